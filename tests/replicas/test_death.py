"""A process that dies at any point of a run: another takes it over, and whoever watches there sees it go on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.replicas.conftest import Replicas, replicas_of, variables
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Hang, Reply, Request, Text, ToolCall, ToolCalls
from tests.service import Event, events_of

TEAM = '''
import asyncio
from pathlib import Path
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat

async def slow() -> str:
    """Takes as long as the file is missing."""
    while not Path("alive").exists():
        await asyncio.sleep(0.01)
    return "done"

def build(context):
    """One with a tool, and one without."""
    first = AssistantAgent("first", context.model(), tools=[slow], model_client_stream=True)
    second = AssistantAgent("second", context.model(), model_client_stream=True)
    return RoundRobinGroupChat([first, second], termination_condition=MaxMessageTermination(3))
'''
ASKING = '''
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat

def build(context):
    """A writer, a person, and the writer again."""
    writer = AssistantAgent("writer", context.model(), model_client_stream=True)
    person = UserProxyAgent("person", input_func=input)
    return RoundRobinGroupChat([writer, person], termination_condition=MaxMessageTermination(4))
'''
POINTS = (
    "before the first token",
    "between tokens",
    "in a tool",
    "in a team's second turn",
    "behind another run",
    "waiting for input",
    "after the input",
    "told to stop",
)
"""Of background runs; foreground ones, and one that has ended, are beside them."""


class Provider:
    """Answers by the task, and by whether the process has died yet."""

    def __init__(self) -> None:
        self.dead = False
        self.at: set[str] = set()
        """The points that were reached."""

    def __call__(self, request: Request) -> Reply:
        messages = request.json["messages"]
        task = next(str(message["content"]) for message in messages if message["role"] == "user")
        turn = sum(message["role"] == "assistant" for message in messages)
        if self.dead:
            return Text(f"answer to {task}")
        self.at.add(f"{task} {turn}" if "team" in task or "input" in task else task)
        if "tool" in task:
            return ToolCalls((ToolCall("slow", {}),))
        if "tokens" in task or "told" in task or "holds" in task:
            return Drip()
        if "first token" in task:
            return Hang()
        if "team" in task:
            return Drip() if any("draft" in str(message["content"]) for message in messages) else Text("draft")
        if task == "after the input" and turn > 0:
            return Drip()
        return Text(f"answer to {task}")


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.01)


async def standing(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = (await client.get(f"/runs/{run_id}")).json()
    return run


async def until_standing(client: httpx.AsyncClient, run_id: str, *statuses: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while (run := await standing(client, run_id))["status"] not in statuses:
            await anyio.sleep(0.02)
    return run


async def watch(client: httpx.AsyncClient, run_id: str, seen: list[Event], after: str | None = None) -> None:
    headers = {"Last-Event-ID": after} if after else {}
    async with client.stream("GET", f"/runs/{run_id}/stream", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        async for event in events_of(response):
            seen.append(event)  # noqa: PERF401 others look at it meanwhile


def agent_of(point: str) -> str:
    return "asking" if "input" in point else "team" if "team" in point or "tool" in point else "assistant"


async def brought_to(point: str, client: httpx.AsyncClient, provider: Provider) -> str:
    """A background run at that point; its id."""
    body = {"task": point, "session_id": point.replace(" ", "-").replace("'", "")}
    if point == "behind another run":
        await client.post("/agents/assistant/runs", json=body | {"task": "holds the session"})
        await until(lambda: "holds the session" in provider.at)
        body["if_busy"] = "enqueue"
    answer = await client.post(f"/agents/{agent_of(point)}/runs", json=body)
    run_id = str(answer.json()["run_id"])
    if point == "waiting for input":
        await until_standing(client, run_id, "input_required")
    elif point == "after the input":
        await until_standing(client, run_id, "input_required")
        await client.post(f"/runs/{run_id}/input", json={"input": "go on"})
        await until(lambda: "after the input 1" in provider.at)
    elif point == "in a team's second turn":
        await until(lambda: sum(at.startswith(point) for at in provider.at) >= 1)
    elif point != "behind another run":
        await until(lambda: point in provider.at)
    return run_id


@pytest.fixture
async def lone(engine: dict[str, str], openai: OpenAIWire, tmp_path: Path) -> Any:
    """One process; more can be started."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "team.py").write_text(TEAM)
    (tmp_path / "agents" / "asking.py").write_text(ASKING)
    async with replicas_of(tmp_path, variables(openai) | engine | {"MAX_RESTARTS": "3"}, number=1) as replicas:
        yield replicas


async def test_a_process_killed_at_any_point(  # noqa: PLR0915 one death, and all that comes of it
    lone: Replicas, openai: OpenAIWire, tmp_path: Path
) -> None:
    """Background runs are taken up by the other, and end well; foreground ones have failed, and say why."""
    openai.replies = provider = Provider()
    (old,) = lone.clients
    complete = (await old.post("/agents/assistant/run", json={"task": "complete", "session_id": "complete"})).json()
    run_ids = {point: await brought_to(point, old, provider) for point in POINTS}
    foreground: list[str] = []

    async def leave_hanging(task: str) -> None:
        body = {"task": task, "session_id": f"foreground-{task.rpartition(' ')[2]}"}
        try:
            agent = "team" if "tool" in task else "assistant"
            async with old.stream("POST", f"/agents/{agent}/stream", json=body) as response:
                foreground.append(response.headers["x-run-id"])
                async for _ in response.aiter_lines():
                    pass
        except httpx.TransportError:
            pass  # its process was killed

    await lone.start()
    new = lone.clients[1]
    seen: dict[str, list[Event]] = {run_id: [] for run_id in run_ids.values()}
    async with anyio.create_task_group() as group:
        for task in ("foreground tokens", "foreground tool"):
            group.start_soon(leave_hanging, task)
        await until(lambda: len(foreground) == 2 and {"foreground tokens", "foreground tool"} <= provider.at)
        for run_id in run_ids.values():
            group.start_soon(watch, new, run_id, seen[run_id])
        shown = [seen[run_ids[point]] for point in ("between tokens", "after the input")]
        await until(lambda: all(len(events) > 3 for events in shown))
        provider.dead = True
        stopping = run_ids["told to stop"]
        group.start_soon(new.post, f"/runs/{stopping}/cancel")
        await lone.kill(0)
        (tmp_path / "alive").touch()
        waiting = await until_standing(new, run_ids["waiting for input"], "input_required")
        answered = await new.post(
            f"/runs/{waiting['run_id']}/input",
            json={"input": "go on", "input_id": waiting["input_request"]["input_id"]},
        )
        assert answered.status_code == 202
    for point, run_id in run_ids.items():
        run, events = await standing(new, run_id), seen[run_id]
        assert run["status"] == ("cancelled" if point == "told to stop" else "completed"), (point, run)
        assert events[-1].data["run"]["status"] == run["status"], point
        restarts = [index for index, event in enumerate(events) if event.type == "run.restarted"]
        legs = [events[start:end] for start, end in zip([0, *restarts], [*restarts, len(events)], strict=True)]
        for leg in filter(None, legs):
            numbers = [event.data["seq"] for event in leg]
            assert numbers == list(range(numbers[0], numbers[0] + len(leg))), point
            assert numbers[0] == 1, point
        if run["status"] == "completed":
            last = [event.data["message"] for event in legs[-1] if event.type == "message"]
            assert [message["content"] for message in last] == [m["content"] for m in run["messages"]], point
            assert run["messages"][-1]["content"].startswith("answer to"), point
            assert len(restarts) == (0 if point in ("behind another run", "waiting for input") else 1), point
    for run_id in foreground:
        run = await standing(new, run_id)
        assert (run["status"], run["error"]["type"]) == ("failed", "urn:waggle:problem:run-lost")
        rest = await new.get(f"/runs/{run_id}/stream", headers={"Last-Event-ID": f"{run_id}:1-1"})
        assert rest.text.count("event: run.failed") == 1
    for session in ("complete", "foreground-tokens", "between-tokens"):
        agent = "assistant"
        again = (await new.post(f"/agents/{agent}/run", json={"task": "again", "session_id": session})).json()
        assert again["status"] == "completed"
    history = (await new.get("/sessions/complete/messages")).json()["items"]
    assert [message["content"] for message in history] == [
        "complete",
        complete["output"],
        "again",
        "answer to complete",
    ]
