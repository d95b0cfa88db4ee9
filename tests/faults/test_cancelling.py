"""A cancel that comes too early, twice, too late, or while the run pauses or is put away."""

from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from tests.agents.folder import Folder, folder
from tests.faults.harness import SESSION, closed_spans, counted, survived
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Hang, Text
from tests.service import Service, serving

__all__ = ["folder"]

ASKS = """
from autogen_agentchat.agents import AssistantAgent
from app.agents.person import ask

async def question() -> str:
    \"\"\"Ask a person.\"\"\"
    return await ask("Which?")

def build(context):
    return AssistantAgent("asks", context.model(), tools=[question], reflect_on_tool_use=True)
"""


async def cancel(service: Service, run_id: str) -> httpx.Response:
    with anyio.fail_after(10):
        return await service.client.post(f"/runs/{run_id}/cancel")


async def begin(service: Service, agent: str = "assistant", **fields: Any) -> str:
    response = await service.client.post(f"/agents/{agent}/runs", json={"task": "hi", **fields})
    assert response.status_code == 202, response.text
    return str(response.json()["run_id"])


async def test_before_it_starts(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """While it waits for its session: it never begins, and what is before it goes on."""
    async with serving(**with_openai) as service, survived(service, openai):
        openai.replies = lambda _: Hang()
        first = await begin(service, session_id="other")
        await openai.until_asked(2)
        second = await begin(service, session_id="other", if_busy="enqueue")
        assert (await cancel(service, second)).json()["status"] == "cancelled"
        assert (await service.get(f"/runs/{first}"))["status"] == "running"
        assert (await cancel(service, first)).json()["status"] == "cancelled"
        assert len(openai.requests) == 2
        assert await counted(service, "waggle_runs_total", 'status="cancelled"')


async def test_several_at_once_and_again(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Each is answered with the one outcome; the stream ends once."""
    async with serving(**with_openai) as service, survived(service, openai):
        openai.replies = lambda _: Hang(("Well, ",))
        answers: list[httpx.Response] = []
        async with service.streaming("assistant", "hi", session_id=SESSION) as events:
            run_id = (await anext(events)).data["run_id"]

            async def once() -> None:
                answers.append(await cancel(service, run_id))

            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(once)
            seen = [event.type async for event in events]
        answers.append(await cancel(service, run_id))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        assert answers[0].json()["status"] == "cancelled"
        assert [kind for kind in seen if kind.startswith("run.")] == ["run.cancelled"]
        await closed_spans(service, run_id)
        await openai.until_idle()


async def test_after_the_end(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """What has completed stays so."""
    async with serving(**with_openai) as service, survived(service, openai):
        run = await service.run("assistant", "hi", session_id="other")
        assert (await cancel(service, run["run_id"])).json() == run | {
            key: value for key, value in (await service.get(f"/runs/{run['run_id']}")).items() if key not in run
        }


@pytest.mark.parametrize("moment", ["pausing", "paused", "answered"])
async def test_around_a_question(moment: str, openai: OpenAIWire, with_openai: dict[str, Any], folder: Folder) -> None:
    """At the moment it asks, while it waits, and when it has just been answered: it ends once, cancelled or well."""
    folder.add("asks.py", ASKS)
    async with serving(**with_openai) as service, survived(service, openai, "asks"):
        openai.replies = ()  # the echo calls the tool that it is offered, and tells what that gave
        run_id = await begin(service, "asks", session_id="other")
        path = f"/runs/{run_id}"
        if moment != "pausing":
            with anyio.fail_after(10):
                while (run := await service.get(path))["status"] != "input_required":
                    await anyio.sleep(0.01)
        if moment == "answered":
            given = {"input_id": run["input_request"]["input_id"], "input": "That."}
            assert (await service.client.post(f"{path}/input", json=given)).is_success
        ended = (await cancel(service, run_id)).json()
        assert ended["status"] == "cancelled" or (moment == "answered" and ended["status"] == "completed")
        assert (await service.get(path))["status"] == ended["status"]
        late = await service.client.post(f"{path}/input", json={"input_id": "x", "input": "That."})
        assert late.status_code == 409


@pytest.mark.parametrize("late_by", [0, 1, 2, 4, 8, 16, 32])
async def test_while_it_is_put_away(late_by: int, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Completed or cancelled, but one of the two: the stream's end, the answer and the record agree."""
    async with serving(**with_openai) as service, survived(service, openai):
        openai.replies = lambda _: Text("Bees buzz.")
        async with service.streaming("assistant", "hi", session_id="other") as events:
            seen = [await anext(events)]
            run_id = seen[0].data["run_id"]
            while seen[-1].type != "message":
                seen.append(await anext(events))
            for _ in range(late_by):
                await anyio.lowlevel.checkpoint()
            ended = (await cancel(service, run_id)).json()
            seen += [event async for event in events]
        assert seen[-1].type == f"run.{ended['status']}"
        assert (await service.get(f"/runs/{run_id}"))["status"] == ended["status"]
        kept = (await service.get("/sessions/other/messages"))["items"] if ended["status"] == "completed" else []
        assert len(kept) == (2 if ended["status"] == "completed" else 0)
        await closed_spans(service, run_id)
