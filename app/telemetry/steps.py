"""The spans of what AutoGen leaves out: a team's run, the choice of a speaker, memory, saved state; a tool's words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from app.telemetry.llm import TRACER, fail

_ARGUMENTS = otel_context.create_key("waggle.tool_arguments")


@contextmanager
def step(name: str, attributes: Mapping[str, Any]) -> Iterator[Span]:
    """A span around what one coroutine does, from entering to leaving."""
    with trace.get_tracer(TRACER).start_as_current_span(
        name,
        attributes={"openinference.span.kind": "CHAIN", "honeyhive_event_type": "chain", **attributes},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, error)
            raise


def span(name: str, **attributes: str | float | bool) -> AbstractContextManager[Span]:
    """A span of a user's own, under the current one: a tool's, in an async tool. It carries the run's identity."""
    return step(name, attributes)


class TeamSpan:
    """A team's run. Its generator enters `current` around each step: no context is kept over a `yield`."""

    def __init__(self, name: str, kind: str, participants: Sequence[str]) -> None:
        self._span = trace.get_tracer(TRACER).start_span(
            f"invoke_workflow {name}",
            attributes={
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": name,
                "gen_ai.agent.name": name,
                "waggle.team.type": kind,
                "waggle.team.participants": list(participants),
            },
        )

    @contextmanager
    def current(self) -> Iterator[None]:
        token = otel_context.attach(trace.set_span_in_context(self._span))
        try:
            yield
        finally:
            otel_context.detach(token)

    def handoff(self, source: str, target: str) -> None:
        """One member passed the conversation on to another."""
        self._span.add_event("handoff", {"waggle.handoff.source": source, "waggle.handoff.target": target})

    def end(self, stop_reason: str | None) -> None:
        if stop_reason is not None:
            self._span.set_attribute("waggle.team.stop_reason", stop_reason)
        self._span.end()

    def fail(self, error: BaseException) -> None:
        fail(self._span, error)
        self._span.end()


@contextmanager
def calling_tool(arguments: str) -> Iterator[None]:
    """The tool's span, which starts inside, is told the arguments (JSON)."""
    token = otel_context.attach(otel_context.set_value(_ARGUMENTS, arguments))
    try:
        yield
    finally:
        otel_context.detach(token)


def arguments_of(context: Context | None) -> str | None:
    """What `calling_tool` was told."""
    found = otel_context.get_value(_ARGUMENTS, context)
    return found if isinstance(found, str) else None


def tool_attributes(arguments: str) -> dict[str, str]:
    """A tool call's arguments, by GenAI's name and OpenInference's."""
    return {
        "gen_ai.tool.call.arguments": arguments,
        "input.value": arguments,
        "input.mime_type": "application/json",
    }


def current_span() -> Span:
    """To be told something later, or from elsewhere."""
    return trace.get_current_span()


def tool_arguments(arguments: str) -> None:
    """Tell the current span, a tool's, what it was called with."""
    trace.get_current_span().set_attributes(tool_attributes(arguments))


def tool_result(span: Span, kind: str, result: str, *, is_error: bool = False) -> None:
    """Tell a tool's span what came of it; `kind` is the conventions' `function` or `extension`."""
    span.set_attributes({"gen_ai.tool.type": kind, "gen_ai.tool.call.result": result, "output.value": result})
    if is_error:
        span.set_attribute("error.type", "tool_error")
        span.set_status(Status(StatusCode.ERROR, "tool_error"))
