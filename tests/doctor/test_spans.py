"""What is said of a probe run's spans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.doctor.result import Result
from app.doctor.spans import WHOSE, examined
from app.settings import Settings
from app.telemetry.witness import Seen

RUN: Mapping[str, Any] = {"trace_id": "t", "messages": [{"type": "text"}, {"type": "tool_call"}, {"type": "text"}]}


def span(number: int, name: str, parent: int | None, operation: str = "", **fields: Any) -> Seen:
    attributes = dict.fromkeys(WHOSE, "x") | ({"gen_ai.operation.name": operation} if operation else {})
    seen = Seen(
        name=name,
        trace_id="t",
        span_id=str(number),
        parent_id=None if parent is None else str(parent),
        kind="internal",
        scope="autogen-core",
        attributes=attributes,
        failed=False,
        duration_ms=1,
        start=number,
    )
    return replace(seen, **fields)


ROOT = span(1, "POST /run", None, kind="server")
AGENT = span(2, "invoke_agent a", 1, "invoke_agent")
CHAT = span(3, "chat m", 2, "chat", scope="waggle")
TOOL = span(4, "execute_tool t", 2, "execute_tool")
WHOLE = [ROOT, AGENT, CHAT, TOOL]


def result(spans: Sequence[Seen], run: Mapping[str, Any] = RUN, **settings: Any) -> Result:
    return examined(spans, dict(run), Settings(_env_file=None, **settings), disabled=False)


def test_a_whole_tree_is_ok() -> None:
    """Nothing to do."""
    assert result(WHOLE).status == "ok"
    assert result(WHOLE).advice == ""


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        pytest.param([], "no span of the run was seen", id="none"),
        pytest.param([replace(AGENT, parent_id=None), CHAT, TOOL], "the HTTP request's span is missing", id="no root"),
        pytest.param([ROOT, AGENT, TOOL], "the chat span is missing", id="no chat"),
        pytest.param([ROOT, AGENT, CHAT], "the execute_tool span is missing", id="no tool"),
        pytest.param([*WHOLE, replace(ROOT, span_id="9")], "the HTTP request's span is doubled", id="two requests"),
        pytest.param(
            [*WHOLE, span(5, "ChatCompletion", 3, scope="openai", attributes={"openinference.span.kind": "LLM"})],
            "chat spans are doubled: openai and waggle make them",
            id="two makers",
        ),
        pytest.param(
            [*WHOLE, span(5, "chat m", 3, "chat", scope="waggle")], "one within the other", id="one maker, twice"
        ),
        pytest.param([ROOT, replace(AGENT, parent_id="7"), CHAT, TOOL], "the parent of invoke_agent a", id="orphan"),
        pytest.param([ROOT, AGENT, CHAT, replace(TOOL, duration_ms=None)], "execute_tool t never ended", id="open"),
        pytest.param(
            [*WHOLE, span(5, "chat other", None, "chat", trace_id="u", scope="waggle")],
            "chat other came in traces of their own",
            id="torn",
        ),
        pytest.param(
            [ROOT, AGENT, replace(CHAT, attributes={"gen_ai.operation.name": "chat"}), TOOL],
            "chat m lack the user or the session",
            id="nobody's",
        ),
    ],
)
def test_what_is_wrong_is_named(spans: list[Seen], found: str) -> None:
    """And there is something to do."""
    said = result(spans)
    assert said.status == "fail"
    assert found in said.found
    assert said.advice


def test_a_model_that_calls_no_tool_is_only_a_warning() -> None:
    """Small models do not always."""
    said = result([ROOT, AGENT, CHAT], {**RUN, "messages": [{"type": "text"}]})
    assert said.status == "warn"
    assert "without calling the tool" in said.found


def test_missing_model_calls_are_the_settings_where_they_ask_for_it() -> None:
    """LLM_SPANS=openinference leaves them to instrumentors that know two providers."""
    assert "unset LLM_SPANS" in result([ROOT, AGENT, TOOL], llm_spans="openinference").advice
