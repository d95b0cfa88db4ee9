"""What becomes of spans on their way to a backend, counted.

The SDK's batch processor is silent about both ways in which it loses spans: the oldest go when its queue is full, and a
batch goes when its export fails. The first it tells its own metrics, which can be had under names of the SDK's by
an environment variable alone; so this takes their place. The second is what the exporter answers.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.telemetry.metrics import DropReason, Metrics

Processor = TypeVar("Processor", bound=BatchSpanProcessor)


class Delivery(SpanExporter):
    """An exporter that counts; `watched` has it count what its processor's queue drops too."""

    def __init__(self, exporter: SpanExporter, backend: str, metrics: Metrics) -> None:
        self._exporter = exporter
        self._backend = backend
        self._metrics = metrics
        metrics.spans_exported(backend, 0)
        reasons: tuple[DropReason, ...] = ("queue_full", "shutdown", "export_failed")
        for reason in reasons:
            metrics.spans_dropped(backend, 0, reason)

    def watched(self, processor: Processor) -> Processor:
        """The processor, which tells this what its queue drops. Private in the SDK, and so held by a test."""
        processor._batch_processor._metrics = self  # noqa: SLF001 its own metrics, `ProcessorMetricsT`
        return processor

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self._metrics.spans_exported(self._backend, len(spans))
            else:
                self._metrics.spans_dropped(self._backend, len(spans), "export_failed")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def drop_items(self, count: int, error_type: str = "queue_full") -> None:
        """The processor's queue was full, or it had been shut down."""
        self._metrics.spans_dropped(self._backend, count, "queue_full" if error_type == "queue_full" else "shutdown")

    def finish_items(self, count: int) -> None:
        """The processor hands over a batch: counted by `export`."""

    def register_queue_size(self, get_queue_size: Callable[[], int]) -> None:
        """The processor asks for it while it is made, before it is watched."""
