"""Metrics of model calls, agents, tools, teams and requests, derived from spans as they end (docs/metrics.md)."""

from collections.abc import Mapping, Sequence

from opentelemetry.metrics import Histogram, Meter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from app.telemetry.pause import REPLAYED
from app.telemetry.steps import UNKNOWN_TOOL

MAX_VALUES, MAX_LENGTH = 100, 128
"""Values of a label that are told apart, and the characters one may have; the others are `other`."""

DURATION = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKENS = [4**power for power in range(14)]
"""Both as the GenAI conventions have them (open-telemetry/semantic-conventions-genai, gen-ai-metrics.md)."""
REQUEST = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120]
"""As the HTTP conventions have them, and on: a streamed run's request lasts as long as the run."""

Labels = dict[str, str | int]


class Bounded:
    """The values of one label: the first `MAX_VALUES` are told apart, so that no name from outside can grow it."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, value: object) -> str:
        name = str(value)
        if name in self._known:
            return name
        if len(self._known) >= MAX_VALUES or len(name) > MAX_LENGTH:
            return "other"
        self._known.add(name)
        return name


class SpanMetrics(SpanProcessor):
    """The GenAI conventions' metrics, and the duration of requests, from spans as they end."""

    def __init__(self) -> None:
        self._providers, self._models, self._errors = Bounded(), Bounded(), Bounded()
        self._agents, self._tools, self._teams = Bounded(), Bounded(), Bounded()

    def make(self, meter: Meter) -> None:
        def seconds(name: str, description: str, buckets: Sequence[float] = DURATION) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=buckets)

        self._chat = seconds("gen_ai.client.operation.duration", "Model calls.")
        self._first_chunk = seconds(
            "gen_ai.client.operation.time_to_first_chunk", "From a streamed model call to its first piece."
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a call.", explicit_bucket_boundaries_advisory=TOKENS
        )
        self._agent = seconds("gen_ai.invoke_agent.duration", "An agent's turns.")
        self._tool = seconds("gen_ai.execute_tool.duration", "Tool calls.")
        self._workflow = seconds("gen_ai.workflow.duration", "Teams' runs.")
        self._request = seconds("http.server.request.duration", "Requests, streams to their end.", REQUEST)

    def on_end(self, span: ReadableSpan) -> None:
        found = span.attributes
        if not found or span.start_time is None or span.end_time is None or REPLAYED in found:
            return
        duration = (span.end_time - span.start_time) / 1e9
        match found.get("gen_ai.operation.name"):
            case "chat":
                self._end_chat(found, duration, self._error(span, found))
            case "invoke_agent":
                agent = self._agents(found.get("gen_ai.agent.name", ""))
                self._agent.record(duration, {**self._error(span, found), "gen_ai.agent.name": agent})
            case "execute_tool":
                made_up = found.get(UNKNOWN_TOOL, False)  # else a model's words would use up the names
                tool = "other" if made_up else self._tools(found.get("gen_ai.tool.name", ""))
                self._tool.record(duration, {**self._error(span, found), "gen_ai.tool.name": tool})
            case "invoke_workflow":
                team = self._teams(found.get("gen_ai.workflow.name", ""))
                self._workflow.record(duration, {**self._error(span, found), "gen_ai.workflow.name": team})
            case None if span.kind is SpanKind.SERVER:
                self._end_request(found, duration, self._error(span, found))

    def _end_chat(self, found: Mapping[str, AttributeValue], duration: float, error: Labels) -> None:
        labels: Labels = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._providers(found.get("gen_ai.provider.name", "")),
            "gen_ai.request.model": self._models(found.get("gen_ai.request.model", "")),
        }
        self._chat.record(duration, {**labels, **error})
        if isinstance(first := found.get("gen_ai.response.time_to_first_chunk"), float):
            self._first_chunk.record(first, labels)
        for kind in ("input", "output"):
            tokens = found.get(f"gen_ai.usage.{kind}_tokens")
            if isinstance(tokens, int) and tokens > 0:  # 0 is what a provider that tells none counts as
                self._tokens.record(tokens, {**labels, "gen_ai.token.type": kind})

    def _end_request(self, found: Mapping[str, AttributeValue], duration: float, error: Labels) -> None:
        labels: Labels = {**error}
        for name in ("http.request.method", "http.route", "http.response.status_code", "url.scheme"):
            if isinstance(value := found.get(name), str | int):
                labels[name] = value
        self._request.record(duration, labels)

    def _error(self, span: ReadableSpan, found: Mapping[str, AttributeValue]) -> Labels:
        if (error := found.get("error.type")) is not None:
            return {"error.type": self._errors(error)}
        return {"error.type": "_OTHER"} if span.status.status_code is StatusCode.ERROR else {}
