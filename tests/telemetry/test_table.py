"""The whole tree of each kind of run, however it is asked for and however it ends."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError
from tests.servers.trees import Span, tree
from tests.telemetry.bench import AGENTS, CASES, OPENAI, Bench, Case, End, Way, answered, bench, of, one_root, whole

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
        assert span.status != "error" or span.name.startswith("execute_tool")
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


ENDS = [("failed", 0), ("failed", -1), ("cancelled", -1), ("left", -1)]


@pytest.mark.parametrize("way", ["run", "stream"])
@pytest.mark.parametrize(("end", "call"), ENDS, ids=["refused-at-first", "refused-later", "cancelled", "left"])
@pytest.mark.parametrize("name", CASES)
async def test_a_run_that_does_not_complete(name: str, end: End, call: int, way: Way, openai_bench: Bench) -> None:
    """The same tree as far as the run came, with what ended it on every span that was open."""
    case = CASES[name]
    call = call % len(case.replies)
    last = HttpError(400) if end == "failed" else Drip()
    spans = await openai_bench.play(case.agent, [*case.replies[:call], last], way, end)
    assert tree(spans) == case.until(call, way)
    whole(spans)
    root = one_root(spans, calls=call)
    assert root["waggle.run.status"] == ("failed" if end == "failed" else "cancelled")
    assert root["error.type"] == ("provider-failed" if end == "failed" else "cancelled")
    *earlier, unanswered = of(spans, "chat")
    for span in earlier:
        answered(span, OPENAI)
    assert "gen_ai.usage.input_tokens" not in unanswered.attributes
    for span in above(spans, unanswered):
        assert span.status == "error", span.name
        if end != "failed":
            assert span.attributes["error.type"] == "CancelledError", span.name
    assert unanswered.attributes["error.type"] == ("BadRequestError" if end == "failed" else "CancelledError")


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
