"""A span on its way to more than one backend: each has a queue, retries and losses of its own, but it is encoded once.

It is encoded by the first backend's thread that sends it, never in the event loop. The bytes live as long as the parcel
is in a queue: what keeps spans for longer is not handed parcels.
"""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.telemetry.encoding import encoded_request, encoded_span

logger = logging.getLogger(__name__)

MAX_REQUEST = 64 << 20
"""Bytes that a batch may have, as the SDK's exporter has it."""


class Parcel(ReadableSpan):
    """A span that remembers how it is encoded."""

    def __init__(self, span: ReadableSpan) -> None:
        vars(self).update(vars(span))

    @cached_property
    def encoded(self) -> bytes:
        return encoded_span(self)


class Outbox(SpanProcessor):
    """Puts each span that ends into the backends' queues, as one parcel. Each is shut down by itself: one may hang."""

    def __init__(self, backends: Sequence[BatchSpanProcessor]) -> None:
        self._backends = backends

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for backend in self._backends:
            backend.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        parcel = Parcel(span)
        for backend in self._backends:
            backend.on_end(parcel)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        flushed = [backend.force_flush(timeout_millis) for backend in self._backends]
        return all(flushed)


class Post(SpanExporter):
    """Sends parcels by the SDK's client for OTLP: with its connections, its retries and its deadline."""

    def __init__(self, exporter: SpanExporter, client: Any) -> None:
        self._exporter = exporter
        self._client = client

    @classmethod
    def of(cls, exporter: SpanExporter) -> SpanExporter:
        """In place of an exporter for protobuf, which may be within HoneyHive's; of one for JSON the exporter itself.

        Private in both SDKs, and so held by a test.
        """
        client = getattr(getattr(exporter, "_otlp_exporter", exporter), "_client", None)
        return exporter if client is None else cls(exporter, client)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        parcels = (span if isinstance(span, Parcel) else Parcel(span) for span in spans)
        request = encoded_request((each.resource, each.instrumentation_scope, each.encoded) for each in parcels)
        if len(request) > MAX_REQUEST:
            logger.warning("A batch of %d spans is too large to be sent: %d bytes", len(spans), len(request))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS if self._client.export(request).success else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
