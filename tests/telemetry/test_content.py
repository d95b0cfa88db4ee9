"""What the traces may hold: the user's choice, held at every exported byte."""

import json
from pathlib import Path
from typing import Any, Literal

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
LEDGER = {
    "is_request_satisfied": True,
    "is_in_loop": False,
    "is_progress_being_made": True,
    "next_speaker": "ann",
    "instruction_or_question": "Go on.",
}
"""What MagenticOne's orchestrator asks its model for before each step."""
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


MADE_UP = "sk-live-made-up-0123456789"


@pytest.mark.parametrize("policy", ["all", "masked", "none"])
async def test_a_tools_name_that_a_model_made_up_is_content(
    policy: str, openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]
) -> None:
    """It is in a span's name too, which no attribute's policy reached."""
    openai.replies = [ToolCalls((ToolCall(MADE_UP, {}),)), Text("No such tool.")]
    settings = with_openai | {"otel_exporter_otlp_endpoint": collector.url, "trace_content": policy}
    async with serving(**settings) as service:
        run = await service.run("weather", "hi")
        assert run["status"] == "completed"
        metrics = (await service.client.get("/metrics")).text
    sent = b"".join(request.content for request in collector.requests).decode(errors="replace")
    assert (MADE_UP in sent) is (policy == "all")
    assert MADE_UP not in metrics
    (tool,) = [span.name for span in collector.spans() if span.name.startswith("execute_tool")]
    assert tool == {"all": f"execute_tool {MADE_UP}", "masked": f"execute_tool {MASK}", "none": "execute_tool"}[policy]


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
        pytest.param(f'{{"a":"line\\n{KEY}"}}', f'{{"a":"line\\n{MASK}"}}', id="a line in JSON"),
        pytest.param(f'{{"a":"line\\n{CARD}"}}', f'{{"a":"line\\n{MASK}"}}', id="a card on a line in JSON"),
        pytest.param(f'["\\n{MAIL}"]', f'["\\n{MASK}"]', id="an e-mail address on a line in JSON"),
        pytest.param('{"a":4111111111111111}', f'{{"a":"{MASK}"}}', id="a number in JSON"),
        pytest.param(
            f'{{"{MAIL}":[{{"ü":"{KEY}"}}]}}', f'{{"{MASK}":[{{"ü":"{MASK}"}}]}}', id="deep in JSON, and a name"
        ),
        pytest.param(
            json.dumps({"a": json.dumps({"b": f"line\n{KEY}\n{CARD}"})}, separators=(",", ":")),
            json.dumps({"a": json.dumps({"b": f"line\n{MASK}\n{MASK}"}, separators=(",", ":"))}, separators=(",", ":")),
            id="JSON in JSON",
        ),
        pytest.param(
            f"said {{'a': '\\n{KEY}\\t{CARD}'}}", f"said {{'a': '\\n{MASK}\\t{MASK}'}}", id="a line in a repr"
        ),
        pytest.param('{"a": "no secret", "b": 1.50}', '{"a": "no secret", "b": 1.50}', id="JSON that has none"),
        pytest.param(
            "9b2ce3b4-e6b3-41a0-9012-345678901235",
            "9b2ce3b4-e6b3-41a0-9012-345678901235",
            id="a UUID whose digits would be a card",
        ),
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


@pytest.mark.parametrize("patterns", [(), (r"\bhive \d+",)])
def test_own_patterns_see_words_where_json_has_lines(patterns: tuple[str, ...]) -> None:
    """As they are in the text, not as JSON writes them."""
    said = Content.of("all", patterns, 1000).text('{"a":"in\\nhive 12"}')
    assert ("hive 12" in said) is not bool(patterns)
    assert json.loads(said)


def test_a_pattern_that_takes_for_ever_masks_the_whole(caplog: pytest.LogCaptureFixture) -> None:
    """A caller may have made the text for it: once this held the whole service up for hours."""
    content = Content.of("all", (r"(\w+\s?)*$",), 5000)
    for _ in range(20):
        assert content.text("word " * 800 + "!!") == f"{MASK} (a pattern took too long)"
    assert content.text("!!") == f"!!{MASK}"
    assert caplog.text.count("takes too long") == 1


def test_half_characters_are_replaced() -> None:
    """What UTF-8 cannot say, as of a file's name, would cost the whole batch."""
    assert Content().text("a\udcff\ud83d é") == "a?? é"


@pytest.mark.parametrize("policy", ["all", "masked"])
def test_a_huge_value_is_not_looked_through(policy: Literal["all", "masked"]) -> None:
    """No part of a secret is left at the edge, wherever it is; and a deep one is no way to break a run."""
    content = Content.of(policy, (), 100)
    for ahead in range(60, 60 + 5000, 7):
        said = content.text("x " * (ahead // 2) + KEY + " y" * 5000)
        assert policy == "all" or KEY[:7] not in said
        assert len(said) < 150
    assert content.text("[" * 5000 + "]" * 5000)
    assert content.text("[" * 900 + "]" * 900)


@pytest.mark.parametrize("masked", [False, True])
def test_an_identity_made_of_digits_is_kept(masked: bool) -> None:
    """One in ten of them would pass for a card, and two users would be one."""
    content = Content.of("masked" if masked else "all", (), 1000)
    assert content.text("4111111111111111", identity=True) == "4111111111111111"
    assert content.text(MAIL, identity=True) == (MASK if masked else MAIL)


STOPPED = """
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import MagenticOneGroupChat

def build(context):
    ann = AssistantAgent("ann", context.model(), description="Ann.", model_client_stream=True)
    return MagenticOneGroupChat([ann], model_client=context.model())
"""


# AutoGen logs the answer of its one call that asks OpenAI's SDK to parse it, which warns of what it parsed itself.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
async def test_why_a_team_stopped_is_content(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """MagenticOne's orchestrator stops with its model's own words; which condition ended it is told anyway."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "magentic.py").write_text(STOPPED)
    verdict = {name: {"reason": WORDS, "answer": answer} for name, answer in LEDGER.items()}
    for policy in ("all", "none"):
        openai.replies = [Text("Facts."), Text("A plan."), Text(json.dumps(verdict)), Text("Done.")]
        async with serving(**with_openai | {"agents_dir": tmp_path / "agents", "trace_content": policy}) as service:
            run = await service.run("magentic", "hi")
            stored = json.dumps(await service.trace(run))
        assert run["stop_reason"] == WORDS
        assert (WORDS in stored) is (policy == "all")
        assert '"waggle.run.termination": "MagenticOneOrchestrator"' in stored
