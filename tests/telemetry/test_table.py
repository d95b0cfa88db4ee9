"""The whole tree of each kind of run, however it is asked for and however it ends."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Garbage, HttpError, ToolCall, ToolCalls
from tests.servers.trees import Span, tree
from tests.telemetry.bench import (
    AGENTS,
    CASES,
    CHAT,
    OPENAI,
    Bench,
    Case,
    End,
    Way,
    answered,
    bench,
    of,
    one_root,
    whole,
)

# AutoGen logs the answer of its one call that asks OpenAI's SDK to parse it, which warns of what it parsed itself.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")


@pytest.fixture(scope="module")
async def openai_bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with OpenAIWire() as wire:
        model = {"model": "openai:gpt-4o-mini", "model_base_url": f"{wire.url}/v1", "openai_api_key": "sk-test"}
        async with bench(wire, tmp_path_factory.mktemp("data"), AGENTS, **model) as made:
            yield made


@pytest.mark.parametrize("way", ["run", "stream"])
@pytest.mark.parametrize("name", CASES)
async def test_a_run_that_completes(name: str, way: Way, openai_bench: Bench) -> None:
    """The whole tree, and what each of its spans tells."""
    case = CASES[name]
    spans = await openai_bench.play(case.agent, case.replies, way, "completed")
    assert tree(spans) == case.whole(way)
    whole(spans)
    root = one_root(spans, calls=len(case.replies))
    assert root["waggle.run.status"] == "completed"
    assert root.get("waggle.run.termination") == case.termination
    assert root["waggle.run.cost_usd"] > 0
    for span in of(spans, "chat"):
        answered(span, OPENAI)
    for span in spans:
        assert ("error.type" in span.attributes) == (span.status == "error")
        assert span.status != "error" or span.name.startswith("execute_")
    assert_tools(spans, case)
    assert_speakers(spans, case)
    handoffs = {
        span.attributes["gen_ai.workflow.name"]: [
            f"{event.attributes['waggle.handoff.source']}>{event.attributes['waggle.handoff.target']}"
            for event in span.events
        ]
        for span in of(spans, "invoke_workflow")
        if span.events
    }
    assert handoffs == case.handoffs
    for span_name, records in case.memory.items():
        (span,) = [span for span in spans if span.name == span_name]
        assert json.loads(span.attributes["gen_ai.memory.records"]) == records
    assert len(of(spans, "execute_code")) == bool(case.code)
    for span in of(spans, "execute_code"):
        found = span.attributes
        assert json.loads(found["gen_ai.tool.call.arguments"]) == case.code["input"]
        assert (found["gen_ai.tool.call.result"], found["waggle.code.exit_code"]) == (
            case.code["output"],
            case.code["exit"],
        )
        assert (found["openinference.span.kind"], found["error.type"]) == ("TOOL", "exit_code")


def ends() -> Iterator[Any]:
    """Each kind, refused at the first of its model calls and at the last, stopped at the last and in the middle."""
    for name, case in CASES.items():
        last = len(case.replies) - 1
        stopped = {last} if case.within is None else {last, case.within}
        calls = {"failed": {0, last}, "cancelled": stopped, "left": stopped}
        for end, numbers in calls.items():
            for call in sorted(numbers):
                yield pytest.param(name, end, call, id=f"{name}-{end}-{call}")


@pytest.mark.parametrize("way", ["run", "stream"])
@pytest.mark.parametrize(("name", "end", "call"), list(ends()))
async def test_a_run_that_does_not_complete(name: str, end: End, call: int, way: Way, openai_bench: Bench) -> None:
    """The same tree as far as the run came, with what ended it on every span that was open."""
    case = CASES[name]
    last = HttpError(400) if end == "failed" else case.endless
    spans = await openai_bench.play(case.agent, [*case.replies[:call], last], way, end)
    assert tree(spans) == case.until(call, way)
    whole(spans)
    root = one_root(spans, calls=call)
    assert root["waggle.run.status"] == ("failed" if end == "failed" else "cancelled")
    assert root["error.type"] == ("provider-failed" if end == "failed" else "cancelled")
    calls = of(spans, "chat")
    (unanswered,) = [span for span in calls if span.status == "error"]
    for span in calls:
        if span is not unanswered:
            answered(span, OPENAI)
    assert "gen_ai.usage.input_tokens" not in unanswered.attributes
    for span in above(spans, unanswered):
        assert span.status == "error", span.name
        if end != "failed":
            assert span.attributes["error.type"] == "CancelledError", span.name
    assert unanswered.attributes["error.type"] == ("BadRequestError" if end == "failed" else "CancelledError")


@pytest.mark.parametrize("way", ["run", "stream"])
@pytest.mark.parametrize("end", ["cancelled", "left"])
async def test_a_run_that_ends_in_a_tool(end: End, way: Way, openai_bench: Bench) -> None:
    """The tool that had answered keeps its result; the one that had not is cancelled, under the same parent."""
    asked = ToolCalls((ToolCall("add", {"a": 1, "b": 2}), ToolCall("hang", {})))
    spans = await openai_bench.play("tools", [asked], way, end, until="execute_tool hang")
    assert (
        tree(spans)
        == f"""\
POST /agents/{{name}}/{way}
  invoke_agent tools
    {CHAT}
    execute_tool add
    execute_tool hang"""
    )
    whole(spans)
    assert one_root(spans, calls=1)["waggle.run.status"] == "cancelled"
    add, hang = of(spans, "execute_tool")
    assert (add.attributes["gen_ai.tool.call.result"], add.status) == ("3", "unset")
    assert (hang.attributes["error.type"], hang.status) == ("CancelledError", "error")
    assert [span.attributes["error.type"] for span in above(spans, hang)] == ["CancelledError"]


async def test_what_was_cached_and_what_was_thought(openai_bench: Bench) -> None:
    """The tokens of either are told where the provider tells them."""
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": OPENAI.answers}
    choice = {"index": 0, "delta": {"role": "assistant", "content": "So it is."}, "finish_reason": "stop"}
    chunks = [chunk | {"choices": [choice]}, chunk | {"choices": [], "usage": usage}]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    spans = await openai_bench.play("single", [Garbage(body.encode())], "run", "completed")
    (call,) = of(spans, "chat")
    answered(call, OPENAI)
    assert call.attributes["gen_ai.usage.cache_read.input_tokens"] == 8
    assert call.attributes["gen_ai.usage.reasoning.output_tokens"] == 5


def assert_tools(spans: Sequence[Span], case: Case) -> None:
    called = of(spans, "execute_tool")
    assert len(called) == len(case.tools)
    for span, tool in zip(called, case.tools, strict=True):
        attributes = span.attributes
        arguments = attributes["gen_ai.tool.call.arguments"]
        assert (arguments if isinstance(tool.arguments, str) else json.loads(arguments)) == tool.arguments
        assert attributes["gen_ai.tool.type"] == tool.type
        assert attributes["gen_ai.tool.call.id"]
        assert attributes.get("error.type") == tool.error
        if tool.result is None:
            assert "gen_ai.tool.call.result" not in attributes
        else:
            assert attributes["gen_ai.tool.call.result"].startswith(tool.result)


def assert_speakers(spans: Sequence[Span], case: Case) -> None:
    chosen = of(spans, "select_speaker")
    assert [list(span.attributes.get("waggle.speaker.selected", [])) for span in chosen] == list(case.speakers)
    for span in chosen:
        candidates = span.attributes["waggle.speaker.candidates"]
        assert list(candidates) == case.candidates if case.candidates else candidates


def above(spans: Sequence[Span], span: Span) -> Iterator[Span]:
    """Its parent, and so on, but the root."""
    by_id = {other.span_id: other for other in spans}
    while span.parent_id is not None and (span := by_id[span.parent_id]).parent_id is not None:
        yield span
