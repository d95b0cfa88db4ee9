"""What the traces may hold: the user's choice, held at every exported byte."""

import json
from typing import Any

import pytest

from app.telemetry.content import MASK, Content
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.replies import HttpError, Reply, Request, Text, ToolCall, ToolCalls
from tests.service import serving

KEY = "sk-live-1234567890abcdef"
MAIL = "ann.example@bees.example"
CARD = "4111 1111 1111 1111"
WORDS = "the queen is in the third hive"
PLANTED = {"key": KEY, "mail": MAIL, "card": CARD, "words": WORDS}

TOOL = '''
from autogen_agentchat.agents import AssistantAgent
from openai import AsyncOpenAI

async def keep(note: str) -> str:
    """Keep a note, and ask another model about it."""
    client = AsyncOpenAI(base_url="{url}/v1", api_key="sk-own")
    await client.chat.completions.create(model="gpt-4o", messages=[{{"role": "user", "content": note}}])
    await client.close()
    if "fail" in note:
        raise ValueError(f"cannot keep {{note}}")
    return f"kept: {{note}}"

def build(context):
    return AssistantAgent("keeper", context.model(), tools=[keep], model_client_stream=True, reflect_on_tool_use=True)
'''


def telling(request: Request) -> Reply:
    """Repeats everything that was planted: in a tool call, in an answer, in an error."""
    said = " and ".join(PLANTED.values())
    if "break" in request.asked.text:
        return HttpError(400, f"refused: {said}")
    if request.asked.tools and not request.asked.results:
        return ToolCalls((ToolCall("keep", {"note": f"{said} {request.asked.text}"}),))
    return Text(f"I heard {said}.")


@pytest.mark.parametrize("policy", ["all", "masked", "none"])
@pytest.mark.parametrize("llm_spans", ["waggle", "openinference"])
async def test_nothing_that_may_not_leave_leaves(
    policy: str,
    llm_spans: str,
    openai: OpenAIWire,
    collector: Collector,
    honeyhive: HoneyHive,
    with_openai: dict[str, Any],
    tmp_path: Any,
) -> None:
    """Runs that say, call, answer and fail with planted secrets: each exported byte is looked at."""
    openai.replies = telling
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "keeper.py").write_text(TOOL.format(url=openai.url))
    settings = with_openai | {
        "agents_dir": tmp_path / "agents",
        "otel_exporter_otlp_endpoint": collector.url,
        "hh_api_url": honeyhive.url,
        "hh_api_key": "hh_test_key",
        "trace_content": policy,
        "llm_spans": llm_spans,
        "autogen_runtime_spans": True,
        "model_max_retries": 0,
    }
    said = " and ".join(PLANTED.values())
    async with serving(**settings) as service:
        runs = [
            await service.run("keeper", said),
            await service.run("keeper", f"{said} fail"),
            await service.run("research", said),
        ]
        problem = await service.run("research", f"{said} break", status=502)
        runs.append(await service.get(f"/runs/{problem['run_id']}"))
        await service.client.get("/agents/assistant/stream", params={"task": said})
        stored = json.dumps([await service.trace(run) for run in runs], ensure_ascii=False)
    sent = b"".join(request.content for server in (collector, honeyhive) for request in server.requests).decode(
        errors="replace"
    )
    assert "chat gpt-4o-mini" in sent
    assert "execute_tool keep" in sent
    for place in (sent, stored):
        there = {name for name, planted in PLANTED.items() if planted in place or planted.replace(" ", "+") in place}
        assert there == {"all": set(PLANTED), "masked": {"words"}, "none": set()}[policy]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param(f"my key is {KEY}.", f"my key is {MASK}.", id="key"),
        pytest.param("AKIAIOSFODNN7EXAMPLE", MASK, id="AWS"),
        pytest.param("Authorization: Bearer abcdefgh12345678", f"Authorization: {MASK}", id="bearer"),
        pytest.param(f"write to {MAIL}!", f"write to {MASK}!", id="e-mail"),
        pytest.param(f"pay with {CARD}, please", f"pay with {MASK}, please", id="card"),
        pytest.param("4111111111111111", MASK, id="card without spaces"),
        pytest.param("order 4111 1111 1111 1112", "order 4111 1111 1111 1112", id="a number that is no card"),
        pytest.param("task-list and ask-me", "task-list and ask-me", id="words"),
    ],
)
def test_what_is_masked_by_default(text: str, masked: str) -> None:
    """What looks like a secret, and nothing else."""
    assert Content.of("masked", (), 1000).text(text) == masked


def test_own_patterns_mask_whatever_the_policy() -> None:
    """TRACE_REDACT."""
    for policy in ("all", "masked", "none"):
        content = Content.of(policy, (r"hive \d+",), 1000)
        assert content.text("in hive 12") == f"in {MASK}"


def test_a_long_value_is_cut_and_says_so() -> None:
    """After masking, so that no half of a secret is left at the edge."""
    text = Content.of("masked", (), 300).text("x" * 290 + f" {KEY} " + "y" * 100)
    assert text.startswith("x" * 290 + f" {MASK[:9]}")
    assert text.endswith("characters more]")
    assert KEY[:6] not in text
