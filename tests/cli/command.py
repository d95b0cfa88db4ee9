"""`waggle` as a user calls it: a process of its own, with its output in pipes or on a terminal."""

import errno
import json
import os
import pty
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

from tests.process import environment
from tests.servers.openai_wire import OpenAIWire

HEEDING = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""For a command that heeds Ctrl-C, whether or not the tests run where that is ignored: in the background, say."""
ON_A_TERMINAL = """\
import os, signal, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""The same, and the terminal that is there as stdin is made the one whose Ctrl-C reaches the command."""


def asks(openai: OpenAIWire) -> dict[str, str]:
    """The variables of a command whose model is that one."""
    return {"MODEL": "openai:gpt-4o-mini", "MODEL_BASE_URL": f"{openai.url}/v1", "OPENAI_API_KEY": "sk-test"}


def replaying(folder: Path, *answers: Any) -> dict[str, str]:
    """Those of one whose model gives these answers in each run."""
    script = folder / "script.json"
    script.write_text(json.dumps(answers))
    return {"MODEL": f"replay:{script}"}


@dataclass(frozen=True)
class Said:
    """What one call printed, and its exit status."""

    status: int
    out: str
    err: str


async def waggle(folder: Path, variables: Mapping[str, str], *words: str, stdin: str = "") -> Said:
    """Call it in that folder, without a terminal."""
    process = await anyio.run_process(
        [sys.executable, "-m", "app", *words],
        cwd=folder,
        env=environment(folder / "data", variables),
        input=stdin.encode(),
        check=False,
    )
    said = Said(process.returncode, process.stdout.decode(), process.stderr.decode())
    assert "Traceback" not in said.out + said.err, said.err
    return said


class Terminal:
    """The command on a pseudo-terminal; `output` is all that it printed so far."""

    def __init__(self, process: Process, descriptor: int) -> None:
        self.process = process
        self.output = ""
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def until(self, text: str) -> None:
        """Read until that was printed."""
        while text not in self.output:
            assert await self.more(), self.output

    async def ended(self) -> int:
        """Read to the end; the exit status."""
        while await self.more():
            pass
        return await self.process.wait()

    async def more(self) -> bool:
        """Read what there is; False at the end."""
        await anyio.wait_readable(self._descriptor)
        try:
            piece = os.read(self._descriptor, 65_536)
        except OSError as error:
            if error.errno != errno.EIO:  # on Linux, the end of a terminal that nobody has any more
                raise
            return False
        self.output += piece.decode(errors="replace")
        return bool(piece)


@asynccontextmanager
async def terminal(folder: Path, variables: Mapping[str, str], *words: str) -> AsyncIterator[Terminal]:
    """Start it in that folder on a terminal of its own; it is killed at the latest when the block is left."""
    ours, theirs = pty.openpty()
    process = await anyio.open_process(
        [sys.executable, "-c", ON_A_TERMINAL, "-m", "app", *words],
        cwd=folder,
        env=environment(folder / "data", {"TERM": "xterm", **variables}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()
            os.close(ours)
