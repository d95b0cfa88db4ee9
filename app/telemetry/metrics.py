"""Metrics: what is counted and timed, for `GET /metrics` and for an OTLP endpoint.

Those about model calls, agents, tools, teams and requests are derived from finished spans, by one processor: nothing
else in the code base records them, and nothing is recorded for a streamed piece. The service's own are methods that
are called where the thing happens. No label names a user, a session or a run, and a label has a bounded number of
values. docs/metrics.md describes each one.

Each service has a meter provider of its own, which is never made the global one: that can be set once in a process,
and an instrumentor that found it would count the same calls a second time.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import Final, Literal

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, NoOpMeterProvider, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.errors import SessionBusy, SessionConflict
from app.events import ENDED, Run
from app.settings import Settings
from app.telemetry import otlp
from app.telemetry.span_metrics import DURATION, Bounded, SpanMetrics

METER = "waggle"
PROVIDER, MODEL = "gen_ai.provider.name", "gen_ai.request.model"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

LAG = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

DropReason = Literal["queue_full", "shutdown", "export_failed"]


class Metrics:
    """A service's instruments. Before `start` and after `shutdown` what is recorded goes nowhere."""

    def __init__(self) -> None:
        self.spans: Final = SpanMetrics()
        self._agents = Bounded()
        self._active: Counter[str] = Counter()
        self._viewers = 0
        self._queued = 0
        self._blocked_s = 0.0
        self._breaker_models, self._breaker_providers = Bounded(), Bounded()
        self._open: Counter[tuple[str, str]] = Counter()
        self._provider: MeterProvider | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._scraping = Lock()
        self._make(NoOpMeterProvider().get_meter(METER))

    def start(self, settings: Settings) -> None:
        readers: list[MetricReader] = [PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)]
        if (endpoint := _endpoint(settings)) is not None:
            interval = settings.otel_metric_export_interval
            readers.append(
                PeriodicExportingMetricReader(_exporter(settings, endpoint), export_interval_millis=interval)
            )
        self._provider = MeterProvider(
            readers,
            resource=Resource.create({SERVICE_NAME: settings.otel_service_name}),
            exemplar_filter=AlwaysOffExemplarFilter(),  # the current span, when one has ended, is another
            shutdown_on_exit=False,  # it would wait for a hanging backend; `Telemetry.stop` has a deadline
        )
        self._make(self._provider.get_meter(METER))
        for zero, labels in (
            (self._resumes, {}),
            (self._blocked, {}),
            (self._disconnects, {"reason": "left"}),
            (self._disconnects, {"reason": "slow"}),
            (self._disconnects, {"reason": "max"}),
            (self._disconnects, {"reason": "idle"}),
            (self._rejections, {"reason": "capacity"}),
            (self._rejections, {"reason": "lag"}),
            (self._rejections, {"reason": "queue"}),
            (self._rejections, {"reason": "shutdown"}),
            (self._conflicts, {"kind": SessionBusy.kind}),
            (self._conflicts, {"kind": SessionConflict.kind}),
            (self._webhooks, {"outcome": "delivered"}),
            (self._webhooks, {"outcome": "retried"}),
            (self._webhooks, {"outcome": "given_up"}),
            (self._images, {"outcome": "fetched"}),
            (self._images, {"outcome": "failed"}),
        ):
            zero.add(0, labels)  # a series that begins with its first event hides it from rate()

    def shutdown(self) -> None:
        """Send the last values. Blocks for as long as the endpoint does."""
        if self._provider is not None:
            self._provider.shutdown()

    def prometheus(self) -> bytes:
        """All of it in Prometheus' text format. Takes a millisecond per 80 lines: call it in a thread."""
        with self._scraping:  # two readings at once would double each other's families
            return generate_latest(self._registry)

    async def told(self, _: str) -> bytes:
        """`prometheus`, for another worker."""
        return await asyncio.to_thread(self.prometheus)

    def loop_lagged(self, seconds: float) -> None:
        """The event loop came to something so late."""
        self._lag.record(seconds)

    def loop_blocked(self, seconds: float) -> None:
        """The event loop stood still for so long. May be called in any thread."""
        self._blocked.add(1)
        self._blocked_s = max(self._blocked_s, seconds)

    def run_began(self, agent: str) -> None:
        self._active[self._agents(agent)] += 1

    def run_left(self, agent: str) -> None:
        """It is no longer active, whether it ended, or never started."""
        self._active[self._agents(agent)] -= 1

    def run_ended(self, run: Run) -> None:
        labels = {"agent": self._agents(run.agent), "status": run.status.value}
        self._runs.add(1, labels)
        if run.finished_at is not None:
            self._run_duration.record((run.finished_at - run.created_at).total_seconds(), labels)

    def serves(self, agents: Iterable[str]) -> None:
        """Begin each agent's series at zero: one that begins with its first run hides that from rate()."""
        for agent in agents:
            for status in ENDED:
                self._runs.add(0, {"agent": self._agents(agent), "status": status.value})

    def queued(self, runs: int) -> None:
        """So many wait for a process, over all of the deployment."""
        self._queued = runs

    def viewer_came(self) -> None:
        self._viewers += 1

    def viewer_left(self) -> None:
        self._viewers -= 1

    def disconnected(self, reason: Literal["left", "slow", "max", "idle"]) -> None:
        """A viewer did not see its run's end."""
        self._disconnects.add(1, {"reason": reason})

    def resumed(self) -> None:
        self._resumes.add(1)

    def session_conflict(self, kind: str) -> None:
        """`kind` is an AppError's."""
        self._conflicts.add(1, {"kind": kind})

    def rejected(self, reason: str) -> None:
        """A request was refused; a word for each way, the problem's kind where there is one."""
        self._rejections.add(1, {"reason": reason})

    def breaker(self, provider: str, model: str, *, is_open: bool | None) -> None:
        """Of a model's calls, was opened or closed; None for a new one."""
        provider, model = self._breaker_providers(provider), self._breaker_models(model)
        self._open[provider, model] += 0 if is_open is None else 1 if is_open else -1
        self._opens.add(1 if is_open else 0, {PROVIDER: provider, MODEL: model})

    def webhook(self, outcome: Literal["delivered", "retried", "given_up"]) -> None:
        """An attempt to deliver one ended."""
        self._webhooks.add(1, {"outcome": outcome})

    def image(self, outcome: Literal["fetched", "failed"]) -> None:
        """One that a task names by its URL."""
        self._images.add(1, {"outcome": outcome})

    def spans_exported(self, backend: str, count: int) -> None:
        self._exported.add(count, {"backend": backend})

    def spans_dropped(self, backend: str, count: int, reason: DropReason) -> None:
        self._dropped.add(count, {"backend": backend, "reason": reason})

    def _make(self, meter: Meter) -> None:
        self.spans.make(meter)
        self._runs = meter.create_counter("waggle.runs", "{run}", "Runs that ended.")
        meter.create_observable_up_down_counter(
            "waggle.runs.active", [self._observe_active], "{run}", "Runs that are going on."
        )
        meter.create_observable_gauge(
            "waggle.runs.queued",
            [self._observe_queued],
            "{run}",
            "Runs that wait, of the whole deployment.",
        )
        self._run_duration = meter.create_histogram(
            "waggle.run.duration", "s", "From a run's request to its end.", explicit_bucket_boundaries_advisory=DURATION
        )
        meter.create_observable_up_down_counter(
            "waggle.viewers", [self._observe_viewers], "{viewer}", "Clients that watch a run, or wait for its answer."
        )
        self._disconnects = meter.create_counter(
            "waggle.disconnects", "{viewer}", "Viewers that did not see their run's end."
        )
        self._resumes = meter.create_counter("waggle.resumes", "{stream}", "Streams that went on after an event.")
        self._conflicts = meter.create_counter(
            "waggle.session.conflicts", "{run}", "Runs refused since their session was busy, or another agent's."
        )
        self._rejections = meter.create_counter(
            "waggle.rejections", "{request}", "Requests refused: at capacity, over a limit, without credentials."
        )
        self._webhooks = meter.create_counter(
            "waggle.webhooks", "{attempt}", "Attempts to deliver a webhook, by what became of it."
        )
        self._images = meter.create_counter(
            "waggle.images", "{image}", "Images that tasks name by their URLs, by what became of fetching them."
        )
        self._opens = meter.create_counter(
            "waggle.model.breaker.opens", "{opening}", "Times that a model's provider was taken to be down."
        )
        meter.create_observable_up_down_counter(
            "waggle.model.breaker.open", [self._observe_open], "{breaker}", "Models whose calls are refused at once."
        )
        self._exported = meter.create_counter("waggle.spans.exported", "{span}", "Spans that a backend took.")
        self._dropped = meter.create_counter("waggle.spans.dropped", "{span}", "Spans that no backend will see.")
        self._lag = meter.create_histogram(
            "waggle.event_loop.lag", "s", "How late the event loop was.", explicit_bucket_boundaries_advisory=LAG
        )

        self._blocked = meter.create_counter(
            "waggle.event_loop.blocked", "{blockage}", "Times that the event loop stood still for a second or more."
        )
        meter.create_observable_gauge(
            "waggle.event_loop.blocked.longest", [self._observe_blocked], "s", "The longest of these."
        )

    def _observe_active(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"agent": agent}) for agent, count in list(self._active.items())]

    def _observe_queued(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._queued)]

    def _observe_open(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, {PROVIDER: provider, MODEL: model})
            for (provider, model), count in list(self._open.items())
        ]

    def _observe_blocked(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._blocked_s)]

    def _observe_viewers(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._viewers)]


def _endpoint(settings: Settings) -> str | None:
    if settings.otel_metrics_exporter == "none":
        return None
    own = settings.otel_exporter_otlp_metrics_endpoint
    return otlp.endpoint("metrics", own, settings.otel_exporter_otlp_endpoint)


def _exporter(settings: Settings, endpoint: str) -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 where there is an endpoint
        OTLPMetricExporter,
    )

    headers = otlp.headers(settings.otel_exporter_otlp_metrics_headers, settings.otel_exporter_otlp_headers)
    return OTLPMetricExporter(endpoint=endpoint, headers=headers, timeout=settings.otel_exporter_otlp_timeout)
