"""Spans as values, and what a test wants to know of a tree of them."""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as LiveSpan


@dataclass(frozen=True)
class Event:
    """A span's event; `time` in nanoseconds since 1970."""

    name: str
    time: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Span:
    """A span as a backend received it: ids in hex, times in nanoseconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    kind: str
    """internal, server, client, producer, consumer."""
    start: int
    end: int
    """0: it came without an end."""
    status: str
    """unset, ok, error."""
    status_message: str
    attributes: Mapping[str, Any]
    events: tuple[Event, ...]
    resource: Mapping[str, Any]
    scope: str
    """The instrumentation's name."""


def tree(spans: Collection[Span]) -> str:
    """The names in the order of their start, two spaces a level; an orphan stands at the margin."""
    return "\n".join("  " * depth + span.name for depth, span in walk(spans))


def walk(spans: Collection[Span]) -> Iterator[tuple[int, Span]]:
    """Depth and span, depth first, children in the order of their start."""
    known = {span.span_id for span in spans}
    children: defaultdict[str | None, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start):
        children[span.parent_id if span.parent_id in known else None].append(span)
    waiting = [(0, span) for span in reversed(children[None])]
    while waiting:
        depth, span = waiting.pop()
        yield depth, span
        waiting += [(depth + 1, child) for child in reversed(children[span.span_id])]


def orphans(spans: Collection[Span], *, remote: str | None = None) -> list[Span]:
    """Spans whose parent did not arrive; `remote` is the span id that came in from outside (`traceparent`).

    A span that never ended is never exported: here it shows as the missing parent of its children.
    """
    known = {(span.trace_id, span.span_id) for span in spans}
    return [
        span
        for span in spans
        if span.parent_id is not None and span.parent_id != remote and (span.trace_id, span.parent_id) not in known
    ]


def roots(spans: Collection[Span], *, remote: str | None = None) -> list[Span]:
    return [span for span in spans if span.parent_id is None or span.parent_id == remote]


def unended(spans: Collection[Span]) -> list[Span]:
    """Spans that were exported without an end, or with one before their start."""
    return [span for span in spans if span.end < span.start]


def traces(spans: Collection[Span]) -> dict[str, list[Span]]:
    """The spans by trace id."""
    grouped: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        grouped[span.trace_id].append(span)
    return dict(grouped)


def named(spans: Collection[Span], name: str) -> Span:
    """The only span with that name."""
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, f"{len(found)} spans are named {name!r}:\n{tree(spans)}"
    return found[0]


class OpenSpans(SpanProcessor):
    """Which spans were started and have not ended, as no backend can see; add it to the provider."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, str] = {}

    @property
    def names(self) -> Sequence[str]:
        with self._lock:
            return list(self._open.values())

    def on_start(self, span: LiveSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002
        with self._lock:
            self._open[_id(span)] = span.name

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            self._open.pop(_id(span), None)


def _id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id
