"""The tracer provider, and where its spans go: HoneyHive, an OTLP endpoint, the built-in store.

AutoGen takes the global provider at each span, and the global provider can be set once in a process. So one
provider is made for the process, and each `Telemetry` plugs its destinations in and out.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, Tracer, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from app.settings import Settings
from app.telemetry import honeyhive, otlp
from app.telemetry.content import Content
from app.telemetry.delivery import Delivery
from app.telemetry.identity import Identity, IdentityProcessor, with_identity
from app.telemetry.instrumentors import INSTRUMENTORS
from app.telemetry.metrics import Metrics
from app.telemetry.parcels import Outbox, Post
from app.telemetry.shape import shaped
from app.telemetry.store import TraceStore
from app.telemetry.wiring import ForeignProvider, foreign_provider

logger = logging.getLogger(__name__)

ATTRIBUTE_COUNT = 1024
"""OpenInference spreads each message over attributes of its own; beyond the limit the oldest would go first."""
START_TIMEOUT_S = 20
"""For a destination's SDK to be imported, on a busy machine."""


class Telemetry:
    """Owns this service's destinations from `start` to `stop`; `store` answers GET /runs/{id}/trace."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._content = Content.of(settings.trace_content, settings.trace_redact, settings.trace_attribute_limit)
        self.store = TraceStore(settings.trace_store_runs, self._content)
        self.metrics = Metrics()
        self._backends: list[BatchSpanProcessor] = []
        self._processors: list[SpanProcessor] = []

    async def start(self) -> None:
        provider = _provider(self._settings.otel_service_name)
        self.metrics.start(self._settings)
        self._processors += [self.store, self.metrics.spans, Outbox(self._backends)]
        if self._settings.hh_api_key is not None:
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    made = asyncio.to_thread(honeyhive.processor, self._settings, self.metrics)
                    self._backends.append(await made)
            except Exception:  # a broken backend SDK costs its traces, never the service
                logger.exception("HoneyHive could not be started: no traces go there")
        if (endpoint := _otlp_endpoint(self._settings)) is not None:
            delivery = Delivery(Post.of(_otlp_exporter(self._settings, endpoint)), "otlp", self.metrics)
            self._backends.append(delivery.watched(BatchSpanProcessor(delivery)))
        _switchboard.plug(self._content, self._processors)
        INSTRUMENTORS.put_in(provider)

    async def stop(self) -> None:
        """Flush within the deadline, in threads that the process need not wait for: a backend may hang."""
        INSTRUMENTORS.take_out()
        _switchboard.unplug(self._processors)
        loop = asyncio.get_running_loop()
        ends = []
        for part in (*self._processors, *self._backends, self.metrics):
            end = loop.create_future()
            ends.append(end)
            threading.Thread(target=_shut_down, args=(part, loop, end), daemon=True).start()
        _, late = await asyncio.wait(ends, timeout=self._settings.shutdown_timeout_s)
        if late:
            logger.warning("%d backend(s) did not take the last spans or metrics in time", len(late))


def set_up(settings: Settings) -> None:
    """Have the process's provider be there, as it is before a service reads its agents' files."""
    _provider(settings.otel_service_name)


def adopt_current_span(identity: Identity) -> None:
    """The current span, a request's, turns out to be that run's."""
    span = trace.get_current_span()
    if isinstance(span, Span):
        _switchboard.on_start(span, with_identity(identity))


def current_trace_id() -> str:
    """32 hex digits."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


def traceresponse() -> str | None:
    """The W3C `traceresponse` header of the current span, or None outside of one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _shut_down(part: SpanProcessor | Metrics, loop: asyncio.AbstractEventLoop, end: "asyncio.Future[None]") -> None:
    try:
        part.shutdown()
    finally:
        with suppress(RuntimeError):  # the loop was closed before a late backend was done
            loop.call_soon_threadsafe(_done, end)


def _done(end: "asyncio.Future[None]") -> None:
    if not end.done():
        end.set_result(None)


class _Switchboard(SpanProcessor):
    """Passes each span on to the destinations plugged in: the identity written first, shaped at the end."""

    def __init__(self) -> None:
        self._identity = IdentityProcessor()
        self._plugged: tuple[tuple[Content, Sequence[SpanProcessor]], ...] = ()

    def plug(self, content: Content, processors: Sequence[SpanProcessor]) -> None:
        self._plugged = (*self._plugged, (content, processors))

    def unplug(self, processors: Sequence[SpanProcessor]) -> None:
        self._plugged = tuple(plugged for plugged in self._plugged if plugged[1] is not processors)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._identity.on_start(span, parent_context)
        for _, processors in self._plugged:
            for processor in processors:
                processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        for content, processors in self._plugged:
            leaving = shaped(span, content)
            for processor in processors:
                processor.on_end(leaving)


_switchboard = _Switchboard()


class _EverySpan(Sampler):
    """Records everything but AutoGen's `create_agent`, a constructor's noise.

    A remote caller's unsampled `traceparent` switches nothing off.
    """

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,  # noqa: ARG002 the base class has it
    ) -> SamplingResult:
        if attributes and attributes.get("gen_ai.operation.name") == "create_agent":
            return SamplingResult(Decision.DROP)
        return ALWAYS_ON.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return "EverySpan"


class _Provider(TracerProvider):
    """Makes each tracer once. AutoGen asks for its own at each span, and the SDK's takes longer than a span does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._made: dict[tuple[str, str | None, str | None], Tracer] = {}

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        if attributes:
            return super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        key = instrumenting_module_name, instrumenting_library_version, schema_url
        if (tracer := self._made.get(key)) is None:
            tracer = self._made[key] = super().get_tracer(*key)
        return tracer


def _provider(service_name: str) -> TracerProvider:
    """The process's provider: made on first use; a foreign one, installed before us, is joined."""
    if (foreign := foreign_provider()) is not None:
        _warn_of(foreign)
    current = trace.get_tracer_provider()
    if not isinstance(current, TracerProvider):
        current = _Provider(
            resource=Resource.create({SERVICE_NAME: service_name}),
            sampler=_EverySpan(),
            span_limits=SpanLimits(max_span_attributes=ATTRIBUTE_COUNT),
            shutdown_on_exit=False,  # it would wait for a hanging backend; `Telemetry.stop` has a deadline
        )
        trace.set_tracer_provider(current)
        propagate.set_global_textmap(TraceContextTextMapPropagator())  # no baggage in or out
    if not getattr(current, "_waggle_joined", False):
        current.add_span_processor(_switchboard)
        current._waggle_joined = True  # type: ignore[attr-defined]  # noqa: SLF001 our own mark, once per provider
    return current


def _warn_of(foreign: ForeignProvider) -> None:
    """Nothing else shows it: what is missing is missing silently."""
    if not foreign.joined:
        lost = "it takes every span, and none reaches this service's backends or GET /runs/{id}/trace"
    elif foreign.dropped:
        lost = f"its sampler drops {foreign.dropped:.0%} of the traces"
    else:
        logger.info("%s was set as the tracer provider before this service's, which joins it", foreign.kind)
        return
    logger.warning(
        "%s was set as the tracer provider before this service's: %s. `waggle doctor` says what to do",
        foreign.kind,
        lost,
    )


def _otlp_endpoint(settings: Settings) -> str | None:
    return otlp.endpoint("traces", settings.otel_exporter_otlp_traces_endpoint, settings.otel_exporter_otlp_endpoint)


def _otlp_exporter(settings: Settings, endpoint: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 where there is an endpoint
        OTLPSpanExporter,
    )

    headers = otlp.headers(settings.otel_exporter_otlp_traces_headers, settings.otel_exporter_otlp_headers)
    return OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=settings.otel_exporter_otlp_timeout)


def use_stable_http_names() -> None:
    """The HTTP conventions' stable attribute names; the instrumentation reads this switch once."""
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
