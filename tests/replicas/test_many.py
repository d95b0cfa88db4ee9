"""A hundred at once for one session, from two replicas; runs stopped from the other one; engines that go and come."""

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.replicas.conftest import Replicas, replicas_of, variables
from tests.replicas.test_death import ASKING, TEAM, Provider, brought_to, until_standing
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text

POSTS = 100


class OneAtATime:
    """A provider that sees how many runs of the session ask it at once."""

    def __init__(self, openai: OpenAIWire) -> None:
        self._openai = openai
        self.most = 0
        self.order: list[str] = []

    def __call__(self, request: Request) -> Reply:
        self.most = max(self.most, self._openai.open_requests)
        self.order.append(str(request.json["messages"][-1]["content"]))
        return Text("some words of an answer", interval_s=0.002)


async def posted(replicas: Replicas, policy: str) -> list[dict[str, Any]]:
    """The answers to so many posts at the same moment, to either replica."""
    answers: list[dict[str, Any]] = []

    async def post(index: int) -> None:
        body = {"task": f"task {index}", "session_id": "s", "if_busy": policy}
        answer = await replicas.clients[index % 2].post("/agents/assistant/run", json=body, timeout=110)
        answers.append(answer.json() | {"http": answer.status_code, "retry": answer.headers.get("retry-after")})

    async with anyio.create_task_group() as group:
        for index in range(POSTS):
            group.start_soon(post, index)
    return answers


async def history(replicas: Replicas) -> list[str]:
    said: list[str] = []
    cursor = ""
    while True:
        page = (await replicas.clients[0].get(f"/sessions/s/messages?limit=100{cursor}")).json()
        said += [message["content"] for message in page["items"] if message["source"] == "user"]
        if page["next_cursor"] is None:
            return said
        cursor = f"&cursor={page['next_cursor']}"


async def runs_of(replicas: Replicas) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = (await replicas.clients[1].get("/sessions/s/runs?limit=100")).json()["items"]
    return runs


@pytest.mark.parametrize("policy", ["reject", "enqueue", "interrupt"])
async def test_one_runs_at_a_time(replicas: Replicas, openai: OpenAIWire, policy: str) -> None:
    """Every caller is answered, as the policy says; the session's conversation has exactly what was completed."""
    openai.replies = provider = OneAtATime(openai)
    answers = await posted(replicas, policy)
    assert len(answers) == POSTS
    kinds = Counter(str(answer.get("status")) for answer in answers)
    completed = kinds.pop("completed")
    match policy:
        case "reject":
            assert set(kinds) == {"409"}
            assert all(answer["retry"] for answer in answers if answer["http"] == 409)
        case "enqueue":
            assert not kinds
            assert await history(replicas) == provider.order
        case _:
            assert set(kinds) <= {"cancelled"}
    assert provider.most == 1 or policy == "interrupt"
    assert (
        len(await history(replicas))
        == completed
        == sum(run["status"] == "completed" for run in await runs_of(replicas))
    )
    after = await replicas.clients[1].post("/agents/assistant/run", json={"task": "after", "session_id": "s"})
    assert after.json()["status"] == "completed"


STOPPED = ("before the first token", "between tokens", "in a tool", "in a team's second turn", "behind another run")


@pytest.fixture
def with_agents(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "team.py").write_text(TEAM)
    (tmp_path / "agents" / "asking.py").write_text(ASKING)


@pytest.mark.usefixtures("with_agents")
async def test_a_run_is_stopped_from_any_replica(replicas: Replicas, openai: OpenAIWire) -> None:
    """During a model call, a tool, a team, a wait for its turn or for a person: it has ended when that is answered."""
    openai.replies = provider = Provider()
    run_ids = {
        point: await brought_to(point, replicas.clients[0], provider) for point in (*STOPPED, "waiting for input")
    }
    for point, run_id in run_ids.items():
        for client in replicas.clients:  # the second time it has ended
            answer = await client.post(f"/runs/{run_id}/cancel")
            assert answer.json()["status"] == "cancelled", (point, answer.text)
    holding = (await replicas.clients[0].get("/sessions/behind-another-run/runs")).json()["items"][-1]
    await replicas.clients[1].post(f"/runs/{holding['run_id']}/cancel")
    with anyio.fail_after(10):
        await openai.until_idle()
    for client in replicas.clients:
        metrics = (await client.get("/metrics")).text
        active = [line for line in metrics.splitlines() if line.startswith("waggle_runs_active")]
        assert all(float(line.rpartition(" ")[2]) == 0 for line in active), active


async def test_a_queued_run_that_its_caller_left_is_cancelled(openai: OpenAIWire, tmp_path: Path) -> None:
    """In a process of its own, whose callbacks have no task: once that ended in an error, and the run was executed."""
    openai.replies = Provider()
    async with replicas_of(tmp_path, variables(openai) | {"DISCONNECT_GRACE_S": "0.05"}, number=1) as lone:
        (client,) = lone.clients
        holding = {"task": "holds the session", "session_id": "s"}
        first = (await client.post("/agents/assistant/runs", json=holding)).json()["run_id"]
        waiting = {"task": "waits", "session_id": "s", "if_busy": "enqueue"}
        async with client.stream("POST", "/agents/assistant/stream", json=waiting) as response:
            second = response.headers["x-run-id"]
        await until_standing(client, second, "cancelled")
        assert (await client.post(f"/runs/{first}/cancel")).json()["status"] == "cancelled"
        assert "Exception in callback" not in lone.processes[0].output
