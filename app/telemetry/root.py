"""The span that a run's work hangs from, and that tells what was asked and how it ended.

Where a request starts the run in its own process, it is the request's: it lasts as long as the run does. A run that
comes from the queue has a span of its own under that of the request, in whichever process it is executed, beside one
that shows the wait.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from app.events import Run, RunStatus
from app.messages import ToolResult
from app.telemetry.identity import Identity, carrying
from app.telemetry.llm import TRACER
from app.telemetry.provider import adopt_current_span
from app.telemetry.steps import CHAIN


class RunSpan:
    """Told what was asked, and how it ended."""

    def __init__(self, span: Span, task: str) -> None:
        self._span = span
        self._span.set_attributes({"input.value": task, "input.mime_type": "text/plain", "honeyhive_inputs.task": task})

    @classmethod
    def of_request(cls, identity: Identity, task: str) -> "RunSpan":
        """The current span, a request's."""
        adopt_current_span(identity)
        return cls(trace.get_current_span(), task)

    @property
    def span_id(self) -> str | None:
        """16 hex digits; None where nothing is traced."""
        context = self._span.get_span_context()
        return f"{context.span_id:016x}" if context.is_valid else None

    def end(self, run: Run, *, model_calls: int | None, first_token_s: float | None, termination: str | None) -> None:
        """The run's outcome. A request's span itself ends with the request."""
        if not self._span.is_recording():
            return
        answer = run.output if isinstance(run.output, str) else orjson.dumps(run.output).decode()
        metrics: dict[str, float | None] = {
            "input_tokens": run.usage.input_tokens,
            "output_tokens": run.usage.output_tokens,
            "total_tokens": run.usage.input_tokens + run.usage.output_tokens,
            "cost_usd": run.usage.cost_usd,
            "model_calls": model_calls,
            "tool_calls": sum(isinstance(message, ToolResult) for message in run.messages),
            "duration_s": (run.finished_at - run.created_at).total_seconds() if run.finished_at else None,
            "time_to_first_token_s": first_token_s,
        }
        attributes: dict[str, Any] = {"waggle.run.status": run.status.value}
        if run.stop_reason is not None:
            attributes["waggle.run.stop_reason"] = run.stop_reason
        if termination is not None:
            attributes["waggle.run.termination"] = termination
        if run.output is not None:
            attributes |= {"output.value": answer, "honeyhive_outputs.answer": answer}
        for name, value in metrics.items():
            if value is not None:
                attributes |= {f"waggle.run.{name}": value, f"honeyhive_metrics.{name}": value}
        if run.status in (RunStatus.FAILED, RunStatus.CANCELLED):
            kind = run.status.value if run.error is None else str(run.error["type"]).rpartition(":")[2]
            attributes |= {"error.type": kind, "waggle.run.error": kind}
            self._span.set_status(Status(StatusCode.ERROR, kind))
        self._span.set_attributes(attributes)

    def left(self, why: str) -> None:
        """The run is not this process's any more."""
        self._span.set_attributes({"waggle.run.status": why})


@contextmanager
def from_queue(
    identity: Identity, task: str, trace_id: str, parent: str | None, queued_at: datetime | None, attempt: int
) -> Iterator[RunSpan]:
    """A span for an attempt of a run that was queued, current inside, under that of the request that admitted it."""
    tracer = trace.get_tracer(TRACER)
    above = otel_context.get_current()
    if parent is not None:
        flags = TraceFlags(TraceFlags.SAMPLED)
        request = SpanContext(int(trace_id, 16), int(parent, 16), is_remote=True, trace_flags=flags)
        above = trace.set_span_in_context(NonRecordingSpan(request))
    token = otel_context.attach(above)
    try:
        with carrying(identity):
            if queued_at is not None:
                wait = tracer.start_span(
                    f"queue {identity.agent}", start_time=int(queued_at.timestamp() * 1e9), attributes=CHAIN
                )
                wait.end()
            with tracer.start_as_current_span(
                f"run {identity.agent}",
                kind=SpanKind.CONSUMER,
                attributes={**CHAIN, "waggle.run.attempt": attempt},
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                yield RunSpan(span, task)
    finally:
        otel_context.detach(token)
