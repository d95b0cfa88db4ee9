"""What is printed: lines for people as the checks end, or one JSON object."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from app.doctor.result import Result, worst

if TYPE_CHECKING:  # they need the service, which may be what is broken
    from app.doctor.probe import Probe
    from app.telemetry.witness import Seen

WIDTH = 21
"""Of the longest name, and a blank."""
MARKS = {"ok": "ok", "warn": "warn", "fail": "FAIL", "skip": "-"}


class Report(Protocol):
    """Told each result as it comes, and the end."""

    def told(self, result: Result) -> None: ...

    def end(self, results: Sequence[Result], probe: Probe | None) -> None: ...


class TextReport:
    """Aligned lines, then the run's tree, then what to do, the worst first."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def told(self, result: Result) -> None:
        self._say(f"{result.name:<{WIDTH}}{MARKS[result.status]:<6}{result.found}")

    def end(self, results: Sequence[Result], probe: Probe | None) -> None:
        if probe is not None and probe.spans:
            self._say(f"\nThe probe run's trace, {probe.trace_id}:\n")
            for line in tree(probe.spans):
                self._say(f"  {line}")
        to_do = [result for status in ("fail", "warn") for result in results if result.status == status]
        if to_do:
            self._say("\nWhat to do:\n")
        for result in to_do:
            self._say(f"  {MARKS[result.status]:<6}{result.name:<{WIDTH}}{result.advice}")
        counts = [f"{sum(r.status == status for r in to_do)} {MARKS[status]}" for status in ("fail", "warn")]
        self._say(f"\n{', '.join(counts)}" if to_do else "\nEverything is well.")

    def _say(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()


class JsonReport:
    """One object, at the end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def told(self, result: Result) -> None:
        """It is in the object."""

    def end(self, results: Sequence[Result], probe: Probe | None) -> None:
        checks = [
            {"name": result.name, "status": result.status, "found": result.found, "advice": result.advice}
            for result in results
        ]
        document = {"status": worst(results), "checks": checks, "trace": _trace(probe)}
        self._out.write(json.dumps(document, ensure_ascii=False) + "\n")
        self._out.flush()


def tree(spans: Sequence[Seen]) -> Iterator[str]:
    """The names, two spaces a level, each with its duration."""
    for depth, span in _walk(spans):
        took = "never ended" if span.duration_ms is None else f"{span.duration_ms:.0f} ms"
        yield f"{'  ' * depth}{span.name}  ({took}{', failed' if span.failed else ''})"


def _trace(probe: Probe | None) -> dict[str, Any] | None:
    if probe is None or not probe.spans:
        return None
    spans = [
        {
            "depth": depth,
            "name": span.name,
            "span_id": span.span_id,
            "parent_id": span.parent_id,
            "kind": span.kind,
            "scope": span.scope,
            "duration_ms": span.duration_ms,
            "failed": span.failed,
        }
        for depth, span in _walk(probe.spans)
    ]
    return {"trace_id": probe.trace_id, "run_id": probe.run_id, "spans": spans}


def _walk(spans: Sequence[Seen]) -> Iterator[tuple[int, Seen]]:
    """Depth first, in the order of their start; an orphan stands at the margin."""
    known = {span.span_id for span in spans}
    children: defaultdict[str | None, list[Seen]] = defaultdict(list)
    for span in spans:
        children[span.parent_id if span.parent_id in known else None].append(span)
    waiting = [(0, span) for span in reversed(children[None])]
    while waiting:
        depth, span = waiting.pop()
        yield depth, span
        waiting += [(depth + 1, child) for child in reversed(children[span.span_id])]
