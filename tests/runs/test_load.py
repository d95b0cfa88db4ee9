"""Whether runs may begin, by how late the event loop is: real ones that are held, and each sample's effect."""

import asyncio
from pathlib import Path

import anyio
import httpx
import pytest

from app.runs.load import SAMPLES, Load
from app.telemetry.metrics import Metrics
from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls

LATE, IN_TIME, BETWEEN = 0.3, 0.001, 0.07
"""Of a limit of 0.1: beyond it, of no account, and over its half."""

HOLDING = '''
import time
from autogen_agentchat.agents import AssistantAgent

async def hold() -> str:
    """Hold the event loop, as a tool does that was written for threads."""
    time.sleep(0.25)
    return "held"

def build(context):
    return AssistantAgent("holding", context.model(), tools=[hold], max_tool_iterations=1000)
'''


@pytest.mark.parametrize(
    ("samples", "refuses"),
    [
        pytest.param([], False, id="at the start"),
        pytest.param([60.0], False, id="one long stop"),
        pytest.param([LATE, LATE], False, id="two in a row"),
        pytest.param([LATE, IN_TIME] * 20, False, id="every other one"),
        pytest.param([BETWEEN] * 20, False, id="late, but under the limit"),
        pytest.param([LATE] * 3, True, id="three in a row"),
        pytest.param([*[LATE] * 3, *[BETWEEN] * 20], True, id="not back under half of it"),
        pytest.param([*[LATE] * 20, *[IN_TIME] * 3], False, id="calm again"),
    ],
)
def test_what_goes_on_counts_and_what_happens_once_does_not(samples: list[float], *, refuses: bool) -> None:
    """By the median of the last five, with a limit to go over and half of it to come back under."""
    load = Load(200, 0.1, Metrics())
    for sample in samples:
        load.sample(sample)
    assert load.late is refuses


def test_without_a_limit_nothing_is_refused() -> None:
    """However late the loop is."""
    load = Load(200, 0, Metrics())
    for _ in range(SAMPLES):
        load.sample(60.0)
    assert not load.late


async def test_a_late_loop_refuses_runs_and_takes_them_when_it_is_calm(openai: OpenAIWire, tmp_path: Path) -> None:
    """With 503 and `Retry-After`, counted; what is queued is taken and waits; health is answered as ever."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "holding.py").write_text(HOLDING)
    calm = asyncio.Event()

    def replies(request: Request) -> Reply:
        holds = any(tool.name == "hold" for tool in request.asked.tools)
        return ToolCalls((ToolCall("hold", {}),)) if holds and not calm.is_set() else Text("Done.")

    openai.replies = replies
    variables = {"MODEL": "openai:gpt-4o-mini", "MODEL_BASE_URL": f"{openai.url}/v1", "OPENAI_API_KEY": "sk-test"}
    async with started(tmp_path, variables | {"MAX_LOOP_LAG_MS": "20"}) as service, service.client() as client:
        held = (await client.post("/agents/holding/runs", json={"task": "hi"})).json()["run_id"]
        refused = await until_status(client, 503)
        assert refused.headers["retry-after"] == "2"
        assert refused.json()["type"] == "urn:waggle:problem:unavailable"
        queued = await client.post("/agents/assistant/runs", json={"task": "hi"})
        assert queued.status_code == 202
        assert (await client.get("/readyz")).status_code == 200
        calm.set()
        await until_status(client, 200)
        for run_id in (held, queued.json()["run_id"]):
            with anyio.fail_after(20):
                while (await client.get(f"/runs/{run_id}")).json()["status"] != "completed":
                    await anyio.sleep(0.05)
        assert 'waggle_rejections_total{reason="lag"}' in (await client.get("/metrics")).text


async def until_status(client: httpx.AsyncClient, status: int) -> httpx.Response:
    with anyio.fail_after(20):
        while (answer := await client.post("/agents/assistant/run", json={"task": "hi"})).status_code != status:
            pass
    return answer
