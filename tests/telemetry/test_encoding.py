"""The bytes that spans are sent as, held against the SDK's own encoder, and made once for all backends."""

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from app.settings import Settings
from app.telemetry import encoding, honeyhive, parcels
from app.telemetry.metrics import Metrics
from app.telemetry.parcels import Outbox, Parcel, Post

HERE = SpanContext(2**127 + 1, 2**63 + 1, is_remote=False, trace_flags=TraceFlags(1))
THERE = SpanContext(1, 2, is_remote=True, trace_state=TraceState([("a", "b"), ("c", "d")]))
VALUES: dict[str, Any] = {
    "text": "Grüße 🐝",
    "empty": "",
    "two bytes of length": "x" * 200,
    "three bytes of length": "x" * 20_000,
    "true": True,
    "false": False,
    "zero": 0,
    "below zero": -1,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "fraction": -0.5,
    "bytes": b"\x00\xff",
    "texts": ("a", "", "b"),
    "numbers": (1, 2.5, True, None),
    "nothing": (),
    "nested": {"a": {"b": (1, "c")}},
    "none": None,
}
FULL: dict[str, Any] = {
    "context": THERE,
    "parent": HERE,
    "attributes": VALUES,
    "events": [Event("exception", {"exception.type": "ValueError"}, 7), Event("empty", {}, 2**63)],
    "links": [Link(HERE, {"a": 1}), Link(THERE)],
    "status": Status(StatusCode.ERROR, "ValueError"),
}
SPANS = {
    "bare": {"context": HERE, "start_time": None, "end_time": None},
    "ok": {"context": HERE, "status": Status(StatusCode.OK)},
    "of a remote parent": {"context": HERE, "parent": THERE},
    "full": FULL,
    **{kind.name: {"context": HERE, "kind": kind} for kind in SpanKind},
}
RESOURCES = [Resource({"service.name": "bees"}), Resource({}, "https://schema")]
SCOPES = [None, InstrumentationScope("a"), InstrumentationScope("b", "1", "https://schema", {"k": "v"})]


def span(**parts: Any) -> ReadableSpan:
    return ReadableSpan("chat ü", **{"start_time": 5, "end_time": 2**63, "resource": RESOURCES[0], **parts})


def sent(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    request = ((each.resource, each.instrumentation_scope, encoding.encoded_span(each)) for each in spans)
    message: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(encoding.encoded_request(request))
    return message


@pytest.mark.parametrize("parts", [pytest.param(parts, id=name) for name, parts in SPANS.items()])
def test_a_span_is_as_the_sdk_writes_it(parts: dict[str, Any]) -> None:
    """Each kind of value, and each field."""
    assert sent([span(**parts)]) == encode_spans([span(**parts)])


def test_a_batch_is_as_the_sdk_writes_it() -> None:
    """By resource and scope, in the order in which they come."""
    spans = [span(context=HERE, resource=of, instrumentation_scope=by) for by in SCOPES * 2 for of in RESOURCES]
    assert sent(spans) == encode_spans(spans)


def test_what_cannot_be_written_costs_nothing_else() -> None:
    """The SDK's encoder loses such an attribute, and where it is the name, the batch."""
    odd = span(context=HERE, attributes={"half \ud800": "a\ud800", "large": 2**63, "a": "b"})
    (found,) = sent([odd]).resource_spans[0].scope_spans[0].spans
    told = {pair.key: pair.value.string_value for pair in found.attributes}
    assert told == {"half ?": "a?", "large": str(2**63), "a": "b"}


class Taken(SpanExporter):
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


def test_backends_share_what_is_encoded() -> None:
    """Whichever comes first encodes it, and the span itself, which others may keep, knows nothing of it."""
    backends = Taken(), Taken()
    processors = [BatchSpanProcessor(each) for each in backends]
    original = span(context=HERE)
    Outbox(processors).on_end(original)
    for processor in processors:
        processor.shutdown()  # type: ignore[no-untyped-call]
    first, second = (each.spans[0] for each in backends)
    assert isinstance(first, Parcel)
    assert isinstance(second, Parcel)
    assert first.encoded is second.encoded
    assert first.encoded == encoding.encoded_span(original)
    assert "encoded" not in vars(original)


def test_both_sdks_exporters_are_posted_through() -> None:
    """What is private in them is where it was; else each span would be encoded by each, and nobody would notice."""
    settings = Settings(_env_file=None, hh_api_key="hh_test_key", hh_api_url="http://127.0.0.1:9")
    processor = honeyhive.processor(settings, Metrics())
    assert isinstance(processor.span_exporter._exporter, Post)
    assert isinstance(Post.of(OTLPSpanExporter("http://127.0.0.1:9")), Post)
    processor.shutdown()  # type: ignore[no-untyped-call]


def test_a_batch_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the SDK's exporter, which no receiver would thank for more."""
    monkeypatch.setattr(parcels, "MAX_REQUEST", 100)
    post = Post.of(OTLPSpanExporter("http://127.0.0.1:9"))
    assert post.export([span(context=HERE, attributes={"a": "x" * 100})]) is SpanExportResult.FAILURE
