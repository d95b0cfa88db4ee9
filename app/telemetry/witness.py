"""Sees the spans of a process as they come, and what became of them at each backend. For `waggle doctor`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.telemetry.honeyhive import HoneyHiveProcessor
from app.telemetry.provider import Telemetry

MAX_SPANS = 2000


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it stood when it was asked for; ids in hex."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    kind: str
    """internal, server, client, …"""
    scope: str
    """The instrumentation that made it."""
    attributes: Mapping[str, Any]
    failed: bool
    duration_ms: float | None
    """None: it has not ended."""
    start: int = 0

    @property
    def role(self) -> str | None:
        """AGENT, LLM, TOOL or CHAIN, whichever vocabulary says so."""
        operation = self.attributes.get("gen_ai.operation.name")
        if operation in _ROLES:
            return _ROLES[operation]
        kind = self.attributes.get("openinference.span.kind")
        return str(kind) if kind else None


_ROLES = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "invoke_agent": "AGENT",
    "execute_tool": "TOOL",
}


@dataclass(slots=True)
class Delivery:
    """What one backend's exporter said of the spans it was given, by id."""

    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Witness(SpanProcessor):
    """To be put among a service's destinations before it starts, and told when it has started."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._lock = Lock()
        self._spans: dict[int, ReadableSpan] = {}
        self.deliveries: dict[str, Delivery] = {}
        telemetry._processors.append(self)  # noqa: SLF001 its destinations are made in its `start`

    def begin(self) -> None:
        """Watch the exporters, and forget the spans until now."""
        for backend in self._telemetry._backends:  # noqa: SLF001 as above
            self._watch(backend.span_exporter, self.deliveries.setdefault(_name(backend), Delivery()))
        with self._lock:
            self._spans.clear()

    def flushes(self) -> dict[str, Callable[[], object]]:
        """By backend, what sends all there is: it blocks, for as long as the backend likes."""
        return {_name(each): each.force_flush for each in self._telemetry._backends}  # noqa: SLF001 as above

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 the base class has it
        with self._lock:  # a request's span is passed on once more, when its run is known
            if len(self._spans) < MAX_SPANS:
                self._spans.setdefault(_number(span), span)

    def on_end(self, span: ReadableSpan) -> None:
        """As it leaves: shaped."""
        with self._lock:
            if _number(span) in self._spans:
                self._spans[_number(span)] = span

    def spans(self) -> list[Seen]:
        """In the order of their start."""
        with self._lock:
            spans = list(self._spans.values())
        return sorted(map(_seen, spans), key=lambda span: span.start)

    def _watch(self, exporter: SpanExporter, delivery: Delivery) -> None:
        export = exporter.export

        def told(spans: Sequence[ReadableSpan]) -> SpanExportResult:
            ids = {f"{_number(span):016x}" for span in spans}
            try:
                result = export(spans)
            except BaseException:
                delivery.refused |= ids
                raise
            if result is SpanExportResult.SUCCESS:
                delivery.accepted |= ids
            else:
                delivery.refused |= ids
            return result

        setattr(exporter, "export", told)  # noqa: B010 of this one exporter, not of its class


def _name(backend: BatchSpanProcessor) -> str:
    return "honeyhive" if isinstance(backend, HoneyHiveProcessor) else "otlp"


def _seen(span: ReadableSpan) -> Seen:
    context = span.get_span_context()
    assert context is not None  # noqa: S101 started spans have one
    ended, started = span.end_time, span.start_time or 0
    return Seen(
        name=span.name,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{span.parent.span_id:016x}" if span.parent else None,
        kind=span.kind.name.lower(),
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        attributes=dict(span.attributes or {}),
        failed=not span.status.is_ok,
        duration_ms=None if ended is None else (ended - started) / 1e6,
        start=started,
    )


def _number(span: ReadableSpan) -> int:
    context = span.get_span_context()
    return context.span_id if context else 0
