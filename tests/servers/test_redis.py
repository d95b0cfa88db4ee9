import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, TimeoutError  # noqa: A004 Redis' own
from redis.retry import Retry

from tests.servers.redis import Redis

ONCE = Retry(NoBackoff(), 0)


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_finds_it_empty(redis_url: str, time: str) -> None:
    """What one test writes, the next does not find."""
    with Client.from_url(redis_url) as client:
        assert client.set("only-once", time, nx=True)


def test_it_asks_for_the_password(redis: Redis) -> None:
    """Other users of the machine, who can reach loopback as well, do not get in."""
    with Client(port=redis.port) as client, pytest.raises(AuthenticationError):
        client.ping()


def test_it_comes_back_empty(redis: Redis, redis_url: str) -> None:
    """On the same port."""
    with Client.from_url(redis_url) as client:
        client.set("a", "b")
        redis.stop()
        try:
            with pytest.raises(ConnectionError):
                client.ping()
        finally:
            redis.start()
        assert client.dbsize() == 0


def test_it_can_hang(redis: Redis, redis_url: str) -> None:
    """A client waits for its answer in vain, and gets it afterwards."""
    with Client.from_url(redis_url, socket_timeout=0.1, retry=ONCE) as client:
        with redis.hanging(), pytest.raises(TimeoutError):
            client.ping()
        assert client.ping()


_HOLDER = """
import os
from tests.servers.redis import running
with running() as server:
    print(server.keeper, server.port, os.readlink(f"/proc/{server.keeper}/cwd"), flush=True)
    input()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux's way to wait for another's process")
def test_it_goes_when_the_test_session_is_killed() -> None:
    """A killed pytest leaves neither server nor folder behind."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        keeper, port, folder = holder.stdout.readline().decode().split()
        ended = os.pidfd_open(int(keeper))
        assert Path(folder).is_dir()
        holder.kill()
    try:
        assert select.select([ended], [], [], 20)[0], "the keeper still runs"
    finally:
        os.close(ended)
    assert not Path(folder).exists()
    with Client(port=int(port), retry=ONCE) as client, pytest.raises(ConnectionError):
        client.ping()
