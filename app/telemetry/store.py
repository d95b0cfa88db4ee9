"""The built-in trace store: the spans of the last runs, in memory, as trees."""

from collections import OrderedDict
from collections.abc import Collection
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from app.telemetry.content import Content
from app.telemetry.identity import identity_of
from app.telemetry.shape import shaped

MAX_SPANS = 1000
"""Spans kept of one run: an endless team is bounded by it."""
_HIDDEN = {"exception.message", "exception.stacktrace"}
"""Of an exception, a client is told the type: its text may hold paths, keys, a provider's words."""


class TraceStore(SpanProcessor):
    """Keeps the spans of runs from their start on, so that a tree can be watched growing; `runs` bounds it."""

    def __init__(self, runs: int, content: Content) -> None:
        self._runs = runs
        self._content = content
        self._spans: OrderedDict[int, dict[int, ReadableSpan]] = OrderedDict()
        self._lock = Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if identity_of(parent_context) is None or span.context is None or self._runs == 0:
            return
        with self._lock:
            spans = self._spans.setdefault(span.context.trace_id, {})
            if len(spans) < MAX_SPANS:
                spans[span.context.span_id] = span
            while len(self._spans) > self._runs:
                self._spans.popitem(last=False)

    def on_end(self, span: ReadableSpan) -> None:
        """What is kept from now on is the span as it left, shaped."""
        assert span.context is not None  # noqa: S101 every recorded span has one
        with self._lock:
            spans = self._spans.get(span.context.trace_id, {})
            if span.context.span_id in spans:
                spans[span.context.span_id] = span

    def forget(self, run_ids: Collection[str]) -> None:
        """Keep no span of these runs any more."""
        with self._lock:
            for trace_id, spans in list(self._spans.items()):
                left = {id_: span for id_, span in spans.items() if _run_of(span) not in run_ids}
                if left:
                    self._spans[trace_id] = left
                else:
                    del self._spans[trace_id]

    async def told(self, ids: str) -> bytes:
        """`tree` as JSON, for another worker: of a trace's and a run's id; nothing where it is empty."""
        spans = self.tree(*ids.split(" ", 1))
        return orjson.dumps(spans, default=str) if spans else b""

    def tree(self, trace_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's spans, children within parents, in order of start; empty when they are no longer kept."""
        with self._lock:
            kept = list(self._spans.get(int(trace_id, 16), {}).values())
        spans = [shaped(span, self._content) if span.end_time is None else span for span in kept]
        nodes = {span.context.span_id: _node(span) for span in spans if span.context and _run_of(span) == run_id}
        roots: list[dict[str, Any]] = []
        for span in sorted(spans, key=lambda span: span.start_time or 0):
            node = nodes.get(span.context.span_id) if span.context else None
            if node is None:
                continue
            parent = nodes.get(span.parent.span_id) if span.parent else None
            (parent["children"] if parent else roots).append(node)
        return roots


def _run_of(span: ReadableSpan) -> Any:
    return (span.attributes or {}).get("waggle.run.id")


def _node(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None  # noqa: S101 only spans with a context are kept
    return {
        "name": span.name,
        "span_id": f"{span.context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "kind": span.kind.name.lower(),
        "start": _time(span.start_time),
        "end": _time(span.end_time),
        "duration_ms": (span.end_time - span.start_time) / 1e6 if span.end_time and span.start_time else None,
        "status": span.status.status_code.name.lower(),
        "attributes": dict(span.attributes or {}),
        "events": [
            {
                "name": event.name,
                "time": _time(event.timestamp),
                "attributes": {k: v for k, v in (event.attributes or {}).items() if k not in _HIDDEN},
            }
            for event in span.events
        ],
        "children": [],
    }


def _time(nanoseconds: int | None) -> str | None:
    if nanoseconds is None:
        return None
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat().replace("+00:00", "Z")
