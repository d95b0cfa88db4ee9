"""`waggle serve`: its flags, and `--reload`."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

import anyio

from tests.cli.command import HEEDING, replaying
from tests.process import ServiceProcess, environment

AGENT = "from app.agents.catalog import assistant as build\n"


@asynccontextmanager
async def serve(folder: Path, variables: dict[str, str], *words: str) -> AsyncIterator[ServiceProcess]:
    process = await anyio.open_process(
        [sys.executable, "-c", HEEDING, "-m", "app", "serve", *words],
        cwd=folder,
        env=environment(folder / "data", variables),
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    try:
        yield ServiceProcess(process)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            await process.aclose()


async def test_flags_come_before_the_environment(tmp_path: Path) -> None:
    """Both of the address; what does not fit is said as of a variable."""
    async with serve(tmp_path, {"PORT": "1"}, "--host", "127.0.0.2", "--port", "0") as service:
        await service.until_listening()
        assert service.url.startswith("http://127.0.0.2:")
        assert await service.end() == 0, service.output
    async with serve(tmp_path, {}, "--host", "203.0.113.7") as service:
        assert await service.ended() == 1
        assert "HOST=203.0.113.7" in service.output


async def test_a_change_is_served_at_once(tmp_path: Path) -> None:
    """A new file, and one that is broken, which the others outlive; Ctrl-C ends both processes."""
    folder = tmp_path / "agents"
    folder.mkdir()
    async with serve(tmp_path, replaying(tmp_path, "Hello."), "--reload") as service:
        await service.until_listening()
        for name, content, status in (("mine.py", AGENT, "ready"), ("bad.py", "1 / 0\n", "invalid")):
            (folder / name).write_text(content)
            service.url = await service.until(rf"(?s)Changed: .*{name}.*Uvicorn running on (http://[\d.:]+)")
            async with service.client() as client:
                assert (await client.get(f"/agents/{Path(name).stem}")).json()["status"] == status
                assert (await client.get("/agents/mine")).json()["status"] == "ready"
        with anyio.fail_after(30):
            await service.end(signal.SIGINT)
        assert 'Traceback (most recent call last):\n  File "<frozen runpy>' not in service.output


async def test_without_a_folder_there_is_nothing_to_watch(tmp_path: Path) -> None:
    """It says so."""
    async with serve(tmp_path, {}, "--reload") as service:
        assert await service.ended() == 1
        assert "There is no folder 'agents' to watch" in service.output
