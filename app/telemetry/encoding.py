"""Spans as OTLP's protobuf, written directly.

The SDK's encoder makes a message object of each attribute, which takes three times as long as to write its bytes. The
fields are those of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto. Before each is a tag: its
number times eight, plus how it is written (0 a varint, 1 eight bytes, 2 a length and as many bytes, 5 four bytes).
Only shaped spans are written, of which nothing was dropped.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

_INT64 = range(-(1 << 63), 1 << 63)
_REMOTE, _REMOTE_KNOWN = 0x200, 0x100
"""Flags: whether the parent is another process's, and that this is known."""
_fixed64, _fixed32, _double = Struct("<Q").pack, Struct("<I").pack, Struct("<d").pack


def encoded_span(span: ReadableSpan) -> bytes:
    """A `Span`."""
    context, parent = span.context, span.parent
    assert context is not None  # noqa: S101 every recorded span has one
    return b"".join(
        (
            b"\x0a\x10",
            context.trace_id.to_bytes(16),
            b"\x12\x08",
            context.span_id.to_bytes(8),
            _trace_state(context),
            b"" if parent is None else b"\x22\x08" + parent.span_id.to_bytes(8),
            _field(b"\x2a", _utf8(span.name)),
            b"\x30" + _varint(span.kind.value + 1),  # the protocol's 0 is unspecified
            b"\x39" + _fixed64(span.start_time or 0),
            b"\x41" + _fixed64(span.end_time or 0),
            _attributes(b"\x4a", span.attributes),
            *[_field(b"\x5a", _event(event)) for event in span.events],
            *[_field(b"\x6a", _link(link)) for link in span.links],
            _field(b"\x7a", _status(span)),
            b"\x85\x01" + _flags(parent),
        )
    )


def encoded_request(spans: Iterable[tuple[Resource, InstrumentationScope | None, bytes]]) -> bytes:
    """An `ExportTraceServiceRequest` of spans that are encoded already, by who made them."""
    groups: dict[int, tuple[Resource, dict[int, tuple[InstrumentationScope | None, list[bytes]]]]] = {}
    for resource, scope, span in spans:
        _, scopes = groups.setdefault(id(resource), (resource, {}))
        _, of_scope = scopes.setdefault(id(scope), (scope, []))
        of_scope += b"\x12", _varint(len(span)), span
    return b"".join(
        _field(
            b"\x0a",
            _field(b"\x0a", _attributes(b"\x0a", resource.attributes))
            + b"".join(_field(b"\x12", _scope(scope) + b"".join(of_scope)) for scope, of_scope in scopes.values())
            + _text(b"\x1a", resource.schema_url),
        )
        for resource, scopes in groups.values()
    )


def _scope(scope: InstrumentationScope | None) -> bytes:
    """Of `ScopeSpans`, all but the spans."""
    if scope is None:
        return b"\x0a\x00"
    who = _text(b"\x0a", scope.name) + _text(b"\x12", scope.version) + _attributes(b"\x1a", scope.attributes)
    return _field(b"\x0a", who) + _text(b"\x1a", scope.schema_url)


def _event(event: Event) -> bytes:
    time, name = b"\x09" + _fixed64(event.timestamp), _field(b"\x12", _utf8(event.name))
    return time + name + _attributes(b"\x1a", event.attributes)


def _link(link: Link) -> bytes:
    ids = b"\x0a\x10" + link.context.trace_id.to_bytes(16) + b"\x12\x08" + link.context.span_id.to_bytes(8)
    return ids + _attributes(b"\x22", link.attributes) + b"\x35" + _flags(link.context)


def _status(span: ReadableSpan) -> bytes:
    code = span.status.status_code.value
    return _text(b"\x12", span.status.description) + (b"\x18" + _varint(code) if code else b"")


def _trace_state(context: SpanContext) -> bytes:
    return _text(b"\x1a", ",".join(f"{key}={value}" for key, value in context.trace_state.items()))


def _flags(parent: SpanContext | None) -> bytes:
    return _fixed32(_REMOTE_KNOWN | (_REMOTE if parent is not None and parent.is_remote else 0))


def _attributes(tag: bytes, attributes: Mapping[str, Any] | None) -> bytes:
    written: list[bytes] = []
    for name, value in (attributes or {}).items():
        encoded = _value(value)
        pair = b"%b\x12%b%b" % (_key(name), _varint(len(encoded)), encoded)
        written += tag, _varint(len(pair)), pair
    return b"".join(written)


@lru_cache(4096)
def _key(name: str) -> bytes:
    return _field(b"\x0a", _utf8(name))


def _value(value: Any) -> bytes:
    """An `AnyValue`."""
    match value:
        case str():
            text = value.encode("utf-8", "replace")
            return b"\x0a%b%b" % (_varint(len(text)), text)
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int() if value in _INT64:
            return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        case float():
            return b"\x21" + _double(value)
        case bytes():
            return _field(b"\x3a", value)
        case Sequence():
            return _field(b"\x2a", b"".join([_field(b"\x0a", _value(item)) for item in value]))
        case Mapping():
            return _field(b"\x32", _attributes(b"\x0a", value))
        case None:
            return b""
        case _:
            return _field(b"\x0a", _utf8(str(value)))


def _text(tag: bytes, text: str | None) -> bytes:
    """Left out where it is empty."""
    return _field(tag, _utf8(text)) if text else b""


def _utf8(text: str) -> bytes:
    return text.encode(errors="replace")  # half a character must not cost the others of its batch


def _field(tag: bytes, content: bytes) -> bytes:
    return b"%b%b%b" % (tag, _varint(len(content)), content)


@lru_cache(4096)
def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
