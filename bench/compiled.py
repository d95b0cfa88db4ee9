"""The upstream and the load generator: built from bench/native with a C compiler, and kept until they change."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "waggle" / "bench"


class NoCompiler(Exception):
    """A C compiler is needed for the upstream and the load generator, and neither cc nor gcc nor clang was found."""

    def __str__(self) -> str:
        return f"{self.__doc__} On Debian and Ubuntu: apt install gcc libc6-dev"


@dataclass(frozen=True)
class Tools:
    """The built programs."""

    upstream: Path
    load: Path


def compiler() -> str:
    """The C compiler's path; raises NoCompiler."""
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return found
    raise NoCompiler


def build() -> Tools:
    """Both programs, of these very sources; raises NoCompiler where they are not there and cannot be built."""
    sources = sorted(SOURCES.iterdir())
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    tools = Tools(CACHE / f"upstream-{digest}", CACHE / f"load-{digest}")
    for program, name in ((tools.upstream, "upstream.c"), (tools.load, "load.c")):
        if not program.exists():
            _compile(SOURCES / name, program)
    return tools


def _compile(source: Path, program: Path) -> None:
    """Put in place when whole: another process may want it at the same time."""
    found = compiler()
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        built = Path(folder) / program.name
        flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
        subprocess.run([found, *flags, "-o", built, source], check=True)
        built.replace(program)
