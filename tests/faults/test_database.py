"""SQLite locked, full, and gone and back: what is asked meanwhile is refused with 503, and goes on afterwards."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import event

from app.store.lane import Lane
from app.store.sqlite import SqliteFile
from tests.faults.harness import SESSION, survived
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text
from tests.service import Service, serving

Fault = Callable[[Service, Path], Any]


def lanes(service: Service) -> tuple[Lane, Lane]:
    """The one that writes, and the one that reads."""
    backend = service.parts.database._backend
    assert isinstance(backend, SqliteFile)
    return backend._writer, backend._reader


async def disconnect(service: Service) -> None:
    """Its next transactions open the file anew."""
    for lane in lanes(service):
        await asyncio.get_running_loop().run_in_executor(lane._thread, lane._drop)


@asynccontextmanager
async def locked(service: Service, folder: Path) -> AsyncIterator[None]:
    """Somebody else writes, and does not come to an end."""
    other = sqlite3.connect(folder / "waggle.db", isolation_level=None, check_same_thread=False)
    await anyio.to_thread.run_sync(other.execute, "BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@asynccontextmanager
async def full(service: Service, folder: Path) -> AsyncIterator[None]:
    """No page more: what a full disk says, SQLite says in the same words."""
    listening = lanes(service)[0]._engine, "connect", _no_page_more
    event.listen(*listening)
    await disconnect(service)
    yield
    event.remove(*listening)
    await disconnect(service)


def _no_page_more(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA max_page_count=1")  # as many as there are


@asynccontextmanager
async def gone(service: Service, folder: Path) -> AsyncIterator[None]:
    """Its folder is moved away, as an unmounted volume's is, and comes back."""
    await disconnect(service)
    folder.rename(folder.with_name("away"))  # noqa: ASYNC240 at once
    yield
    await disconnect(service)
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name("away").rename(folder)


FAULTS: dict[str, Fault] = {"locked": locked, "full": full, "gone": gone}
TEXT = "x" * 50_000


@pytest.fixture
def settings(with_openai: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("app.store.database.TIMEOUT_S", 1)
    return with_openai | {"data_dir": tmp_path / "data"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_run_is_refused_meanwhile(
    fault: str, openai: OpenAIWire, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """By each way to begin one, with a time to come back; nothing is asked of the model, or is lost."""
    async with serving(**settings) as service, survived(service, openai):
        async with FAULTS[fault](service, settings["data_dir"]):
            for way in ("run", "stream", "runs"):
                body = {"task": TEXT, "session_id": SESSION}
                response = await service.client.post(f"/agents/assistant/{way}", json=body)
                assert (response.status_code, response.json()["type"]) == (503, "urn:waggle:problem:unavailable")
                assert int(response.headers["retry-after"]) > 0
                assert str(settings["data_dir"]) not in response.text
        assert len(openai.requests) == 1
        assert "The database does not answer" in caplog.text


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_run_that_ends_meanwhile_is_recorded_afterwards(
    fault: str, openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    """It had its answer: that is kept until it can be put away, in front and in the background."""
    async with serving(**settings) as service, survived(service, openai):
        openai.replies = lambda _: Text(TEXT, chunks=(TEXT, "."), interval_s=0.2)
        answers: list[dict[str, Any]] = []

        async def run() -> None:
            answers.append(await service.run("assistant", "hi", session_id="other"))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            behind = (await service.client.post("/agents/assistant/runs", json={"task": "hi"})).json()
            await openai.until_streaming(3)
            async with FAULTS[fault](service, settings["data_dir"]):
                await openai.until_idle()
                await anyio.sleep(1.5)  # for attempts that fail; one more succeeds, however long that takes
        assert (answers[0]["status"], answers[0]["output"]) == ("completed", TEXT + ".")
        with anyio.fail_after(10):
            while (ended := await service.get(f"/runs/{behind['run_id']}"))["status"] in ("queued", "running"):
                await anyio.sleep(0.05)
        assert (ended["status"], ended["output"]) == ("completed", TEXT + ".")
