"""What is wrong with the spans of the probe run: missing, doubled, torn off, open, nobody's."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from app.doctor.result import Finding, Result, skipped, summed
from app.settings import Settings
from app.telemetry.witness import Seen

WHOSE = ("session.id", "user.id", "waggle.run.id")
NAMES = {"AGENT": "invoke_agent", "LLM": "chat", "TOOL": "execute_tool"}
SEE_WIRING = "See tracer-provider and instrumentors, above: something else in this process makes or takes spans."


def examined(spans: Sequence[Seen], run: dict[str, Any], settings: Settings, *, disabled: bool) -> Result:
    """`spans` are all that came while the run went on, `run` is what it answered."""
    if disabled:
        return skipped("spans", "OTEL_SDK_DISABLED=true: there are none")
    trace = [span for span in spans if span.trace_id == run["trace_id"]]
    called = any(message["type"] == "tool_call" for message in run["messages"])
    findings = [
        *_missing(trace, settings, called=called),
        *_doubled(trace),
        *_apart(spans, trace),
        *_lacking(trace),
    ]
    return summed("spans", findings, f"{len(trace)} in one trace: whole, each once, each with its user and session")


def _missing(trace: list[Seen], settings: Settings, *, called: bool) -> Iterator[Finding]:
    if not trace:
        yield Finding("fail", "no span of the run was seen", SEE_WIRING)
        return
    roles = {span.role for span in trace}
    if not any(span.kind == "server" for span in trace):
        yield Finding("fail", "the HTTP request's span is missing", SEE_WIRING)
    for role in ("AGENT", "LLM", "TOOL"):
        if role in roles or (role == "TOOL" and not called):
            continue
        advice = SEE_WIRING
        if role == "LLM" and settings.llm_spans == "openinference":
            advice = "LLM_SPANS=openinference makes spans for OpenAI and Anthropic alone: unset LLM_SPANS."
        yield Finding("fail", f"the {NAMES[role]} span is missing", advice)
    if not called:
        said = "the model answered without calling the tool, so that there is no execute_tool span"
        yield Finding("warn", said, "Run it again, or `waggle doctor --offline` to see the tool's span.")


def _doubled(trace: list[Seen]) -> Iterator[Finding]:
    makers: defaultdict[str, set[str]] = defaultdict(set)
    for span in trace:
        if span.role in NAMES:
            makers[span.role].add(span.scope)
    for role, scopes in makers.items():
        if len(scopes) > 1:
            said = f"{NAMES[role]} spans are doubled: {' and '.join(sorted(scopes))} make them"
            others = [scope for scope in sorted(scopes) if scope not in ("waggle", "autogen-core")]
            yield Finding("fail", said, f"Do not activate {others[0] if others else 'both'}; see instrumentors, above.")
    parents = {span.span_id: span for span in trace}
    for role, name in NAMES.items():
        nested = [s for s in trace if s.role == role and s.parent_id in parents and parents[s.parent_id].role == role]
        if nested and len(makers[role]) == 1:
            said = f"{name} spans are doubled, one within the other"
            yield Finding("fail", said, f"{next(iter(makers[role]))} is active twice: see instrumentors, above.")
    if sum(span.kind == "server" for span in trace) > 1:
        yield Finding("fail", "the HTTP request's span is doubled", "Do not instrument FastAPI or ASGI besides Waggle.")


def _apart(spans: Sequence[Seen], trace: list[Seen]) -> Iterator[Finding]:
    known = {span.span_id for span in trace}
    orphans = [span.name for span in trace if span.parent_id is not None and span.parent_id not in known]
    if orphans:
        yield Finding("fail", f"the parent of {', '.join(orphans)} is missing", SEE_WIRING)
    torn = [span.name for span in spans if span not in trace and span.role in NAMES]
    if torn:
        yield Finding("fail", f"{', '.join(torn)} came in traces of their own", SEE_WIRING)
    unended = [span.name for span in trace if span.duration_ms is None]
    if unended:
        yield Finding("fail", f"{', '.join(unended)} never ended", SEE_WIRING)


def _lacking(trace: list[Seen]) -> Iterator[Finding]:
    lacking = [span for span in trace if not all(name in span.attributes for name in WHOSE)]
    messages = [span for span in lacking if span.name.endswith((" http send", " http receive"))]
    if messages:
        said = f"{len(messages)} spans are of single HTTP messages: something instruments FastAPI besides Waggle"
        advice = (
            "Start Waggle without it; opentelemetry-instrument has OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=fastapi,asgi."
        )
        yield Finding("fail", said, advice)
    others = dict.fromkeys(span.name for span in lacking if span not in messages)
    if others:
        yield Finding("fail", f"{', '.join(others)} lack the user or the session", SEE_WIRING)
