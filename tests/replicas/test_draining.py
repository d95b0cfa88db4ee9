"""A process that is told to stop while it shows what another one executes."""

from typing import Any

import anyio
import httpx
from anyio.abc import TaskStatus

from tests.replicas.conftest import Replicas
from tests.replicas.test_death import Provider, until, watch
from tests.servers.openai_wire import OpenAIWire
from tests.service import Event


async def test_whoever_watches_the_runs_of_others_is_let_go(replicas: Replicas, openai: OpenAIWire) -> None:
    """Streams close, to be resumed elsewhere; who waits for a turn is told where to ask.

    Once both were held until uvicorn lost its patience, and the latter was answered with a line of plain text.
    """
    openai.replies = provider = Provider()
    staying, leaving = replicas.clients
    body = {"task": "holds the session", "session_id": "s"}
    seen: list[Event] = []
    answers: list[httpx.Response] = []

    async def wait_for_a_turn() -> None:
        waiting: dict[str, Any] = {"task": "waits", "session_id": "s", "if_busy": "enqueue"}
        answers.append(await leaving.post("/agents/assistant/run", json=waiting))

    async def hold(*, task_status: TaskStatus[str]) -> None:
        async with staying.stream("POST", "/agents/assistant/stream", json=body) as response:
            task_status.started(response.headers["x-run-id"])
            async for _ in response.aiter_lines():
                pass

    async with anyio.create_task_group() as group:
        run_id = await group.start(hold)
        await until(lambda: "holds the session" in provider.at)
        async with anyio.create_task_group() as watching:
            watching.start_soon(watch, leaving, run_id, seen)
            watching.start_soon(wait_for_a_turn)
            await until(lambda: len(seen) > 3)
            with anyio.fail_after(10):
                while len((await staying.get("/sessions/s/runs")).json()["items"]) < 2:
                    await anyio.sleep(0.01)
            replicas.processes[1].process.terminate()
        assert await replicas.processes[1].process.wait() == 0
        rest: list[Event] = []
        group.start_soon(watch, staying, run_id, rest, seen[-1].id)
        await until(lambda: rest)
        assert rest[0].data["seq"] == seen[-1].data["seq"] + 1
        assert (await staying.post(f"/runs/{run_id}/cancel")).json()["status"] == "cancelled"
    (answer,) = answers
    waiting_id = (await staying.get("/sessions/s/runs")).json()["items"][0]["run_id"]
    assert (answer.status_code, waiting_id in answer.json()["detail"]) == (503, True)
    assert answer.headers["retry-after"]
