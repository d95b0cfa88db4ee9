"""The spans of what AutoGen leaves out: a team's run, the choice of a speaker, memory, saved state; a tool's words."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from app.telemetry.llm import TRACER, fail

_CALL = otel_context.create_key("waggle.tool_call")
_CHOICE = otel_context.create_key("waggle.choice")
_TEAM = otel_context.create_key("waggle.team")
UNKNOWN_TOOL = "waggle.tool.unknown"
CHAIN = {"openinference.span.kind": "CHAIN", "honeyhive_event_type": "chain"}


@contextmanager
def step(name: str, attributes: Mapping[str, Any]) -> Iterator[Span]:
    """A span around what one coroutine does, from entering to leaving."""
    with trace.get_tracer(TRACER).start_as_current_span(
        name, attributes={**CHAIN, **attributes}, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, error)
            raise


def span(name: str, **attributes: str | float | bool) -> AbstractContextManager[Span]:
    """A span of a user's own, under the current one: a tool's, in an async tool. It carries the run's identity."""
    return step(name, attributes)


class Choice:
    """The choice of a speaker. What its manager does once it is made is beside its span, not in it."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._outside = otel_context.get_current()
        self._span = trace.get_tracer(TRACER).start_span("select_speaker", attributes={**CHAIN, **attributes})

    @contextmanager
    def going_on(self) -> Iterator[None]:
        inside = trace.set_span_in_context(self._span, otel_context.set_value(_CHOICE, self))
        token = otel_context.attach(inside)
        try:
            yield
        except BaseException as error:
            if self._span.is_recording():
                fail(self._span, error)
            raise
        finally:
            otel_context.detach(token)
            if self._span.is_recording():
                self._span.end()

    def made(self, names: Sequence[str]) -> None:
        self._span.set_attribute("waggle.speaker.selected", list(names))

    @contextmanager
    def over(self) -> Iterator[None]:
        """Nobody was chosen, or somebody was: the span ends, and what follows is where the choice began."""
        if self._span.is_recording():
            self._span.end()
        token = otel_context.attach(self._outside)
        try:
            yield
        finally:
            otel_context.detach(token)


def current_choice() -> Choice | None:
    """The one that is going on."""
    found = otel_context.get_value(_CHOICE)
    return found if isinstance(found, Choice) else None


class TeamSpan:
    """A team's run. Its generator enters `current` around each step: no context is kept over a `yield`."""

    def __init__(self, name: str, kind: str, participants: Sequence[str]) -> None:
        self.termination: str | None = None
        """The condition that ended it."""
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
        token = otel_context.attach(trace.set_span_in_context(self._span, otel_context.set_value(_TEAM, self)))
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
        if self.termination is not None:
            self._span.set_attribute("waggle.team.termination", self.termination)
        self._span.end()

    def fail(self, error: BaseException) -> None:
        fail(self._span, error)
        self._span.end()


def current_team() -> TeamSpan | None:
    """The innermost one."""
    found = otel_context.get_value(_TEAM)
    return found if isinstance(found, TeamSpan) else None


class ToolCall:
    """A call of a tool, whose span starts inside of it, by whoever runs the tool; else it is made afterwards."""

    def __init__(self, arguments: str) -> None:
        self.arguments = arguments
        self.refusal: str | None = None
        """Why it was not made, as an error's type."""
        self.unknown = False
        """There is no such tool: its name is the model's own words."""
        self._began = time.time_ns()
        self.has_span = False

    def span_starts(self, span: Span) -> None:
        if not self.has_span:
            self.has_span = True
            span.set_attributes({"gen_ai.tool.type": "function", **tool_attributes(self.arguments)})

    def ended(self, name: str, call_id: str, result: str, error: str | None) -> None:
        if self.has_span:
            return
        called = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.id": call_id}
        span = trace.get_tracer(TRACER).start_span(f"execute_tool {name}", attributes=called, start_time=self._began)
        if self.unknown:
            span.set_attribute(UNKNOWN_TOOL, value=True)
        tool_result(span, result, self.refusal or error)
        span.end()


@contextmanager
def calling_tool(arguments: str) -> Iterator[ToolCall]:
    """The tool's span, which starts inside, is told the arguments (JSON)."""
    outer = tool_call_of(None)
    call = ToolCall(arguments) if outer is None or outer.has_span else outer  # else it is that call, further inside
    token = otel_context.attach(otel_context.set_value(_CALL, call))
    try:
        yield call
    finally:
        otel_context.detach(token)


def tool_call_of(context: Context | None) -> ToolCall | None:
    """The innermost call."""
    found = otel_context.get_value(_CALL, context)
    return found if isinstance(found, ToolCall) else None


def refused(error: str) -> None:
    """The current call, which has no span yet, is not made; `error` is a type."""
    if (call := tool_call_of(None)) is not None:
        call.refusal = error


def other_arguments(arguments: str) -> None:
    """The current call, which has no span yet, is made with these (JSON) instead."""
    if (call := tool_call_of(None)) is not None:
        call.arguments = arguments


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


def tool_result(span: Span, result: str, error: str | None = None) -> None:
    """Tell a tool's span what came of it; `error` is the type of a failure that is no exception."""
    span.set_attributes({"gen_ai.tool.call.result": result, "output.value": result})
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR, error))


def code_step(executor: str, blocks: str) -> AbstractContextManager[Span]:
    """A span around code that an agent runs; `blocks` are JSON."""
    kinds = {"openinference.span.kind": "TOOL", "honeyhive_event_type": "tool"}
    told = {"gen_ai.operation.name": "execute_code", "waggle.code.executor": executor}
    return step(f"execute_code {executor}", {**kinds, **told, **tool_attributes(blocks)})


def code_result(span: Span, output: str, exit_code: int) -> None:
    """Tell the code's span what came of it."""
    span.set_attribute("waggle.code.exit_code", exit_code)
    tool_result(span, output, "exit_code" if exit_code else None)
