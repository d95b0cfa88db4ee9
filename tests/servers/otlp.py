"""A local OTLP/HTTP collector.

It has its own threads, so that an event loop that blocks, or a test that waits, does not stop it from
receiving. What it stores is what came over the wire; nothing is shared with the SDK under test.
"""

import base64
import gzip
import json
import socket
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

from anyio import to_thread
from google.protobuf import json_format  # type: ignore[import-untyped]  # its stubs are no dependency
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from tests.servers.trees import Event, Span, tree

__all__ = ["Answer", "Collector", "Event", "Request", "Span", "dead_url", "decode"]

JSON = "application/json"
PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Request:
    """One request as it came; `body` is still compressed, header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> bytes:
        match self.headers.get("content-encoding", "identity"):
            case "gzip":
                return gzip.decompress(self.body)
            case "deflate":
                return zlib.decompress(self.body)
            case _:
                return self.body

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def is_json(self) -> bool:
        return self.headers.get("content-type", "").partition(";")[0] == JSON


@dataclass(frozen=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Collector:
    """OTLP over HTTP at `{url}/v1/traces`: protobuf or JSON, plain, gzip or deflate.

    `with Collector() as collector:`, or `async with` inside an event loop. `normal()`, `refuse(status)` and
    `hang()` change how it answers from the next request on; what is refused or left hanging is in `requests`
    but not in `spans()`.
    """

    traces_path = "/v1/traces"

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._condition = threading.Condition()
        self._closed = threading.Event()
        self._mode: Literal["normal", "hang"] | Answer = "normal"
        self._requests: list[Request] = []
        self._spans: list[Span] = []
        self._server = _Server((host, port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def requests(self) -> list[Request]:
        with self._condition:
            return list(self._requests)

    def spans(self) -> list[Span]:
        """Every span accepted so far, in the order of arrival."""
        with self._condition:
            return list(self._spans)

    def clear(self) -> None:
        with self._condition:
            self._requests.clear()
            self._spans.clear()

    def normal(self) -> None:
        self._mode = "normal"

    def refuse(self, status: int = 503, *, retry_after_s: int | None = None) -> None:
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self._mode = Answer(status, b'{"error":"refused"}', headers=headers)

    def hang(self) -> None:
        """Read each request and answer none; they end when the collector closes."""
        self._mode = "hang"

    def wait_for(self, predicate: Callable[[list[Span]], bool], timeout_s: float = 10) -> list[Span]:
        """The spans as soon as `predicate` holds; it is asked again at each request that arrives.

        The `TimeoutError` otherwise carries the tree of what had come.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: predicate(list(self._spans)), timeout_s):
                came = f"{len(self._requests)} requests, {len(self._spans)} spans"
                raise TimeoutError(f"after {timeout_s} s: {came}\n{tree(self._spans)}")
            return list(self._spans)

    async def wait_for_async(self, predicate: Callable[[list[Span]], bool], timeout_s: float = 10) -> list[Span]:
        """`wait_for` on a thread of its own."""
        return await to_thread.run_sync(self.wait_for, predicate, timeout_s)

    def answer(self, request: Request) -> Answer:
        """What a well-behaved collector says; a subclass adds its own paths. Called with the lock held."""
        if (request.method, request.path) != ("POST", self.traces_path):
            return Answer(404, b'{"error":"no such path"}')
        try:
            self._spans.extend(decode(request))
        except (json_format.ParseError, ValueError, OSError, zlib.error) as error:
            return Answer(400, json.dumps({"error": str(error)}).encode())
        if request.is_json:
            return Answer(200, b"{}")
        return Answer(200, ExportTraceServiceResponse().SerializeToString(), PROTOBUF)

    def receive(self, request: Request) -> Answer | None:
        """Store `request` and say what to answer; None: nothing, ever."""
        with self._condition:
            self._requests.append(request)
            mode = self._mode
            answer = self.answer(request) if mode == "normal" else None
            self._condition.notify_all()
        if mode == "hang":
            self._closed.wait()
            return None
        return mode if isinstance(mode, Answer) else answer

    def close(self) -> None:
        """Stop listening, end every connection and join every thread."""
        self._closed.set()
        self._server.shutdown()
        self._server.disconnect()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await to_thread.run_sync(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_thread.run_sync(self.close)


def dead_url() -> str:
    """An address on loopback where nothing listens: connections are refused at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def decode(request: Request) -> list[Span]:
    """The spans of an export request; `ValueError` where the body is none."""
    message = ExportTraceServiceRequest()
    if request.is_json:
        json_format.ParseDict(_ids_as_base64(request.json), message)
    else:
        try:
            message.ParseFromString(request.content)
        except DecodeError as error:
            raise ValueError("the body is not an ExportTraceServiceRequest") from error
    return [
        _span(span, scope.scope.name, _attributes(group.resource.attributes))
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _ids_as_base64(value: Any) -> Any:
    """OTLP writes ids in hex where protobuf's JSON mapping has base64 (OTLP, "JSON Protobuf Encoding")."""
    match value:
        case dict():
            return {
                key: base64.b64encode(bytes.fromhex(inner)).decode()
                if key in {"traceId", "spanId", "parentSpanId"} and isinstance(inner, str)
                else _ids_as_base64(inner)
                for key, inner in value.items()
            }
        case list():
            return [_ids_as_base64(inner) for inner in value]
        case _:
            return value


def _span(span: WireSpan, scope: str, resource: Mapping[str, Any]) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=("unset", "ok", "error")[span.status.code],
        status_message=span.status.message,
        attributes=_attributes(span.attributes),
        events=tuple(Event(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events),
        resource=resource,
        scope=scope,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_value(inner) for inner in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case None:
            return None
        case name:
            return getattr(value, name)


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing ends them instead of waiting for the clients to."""

    daemon_threads = False  # so that server_close() joins them: no test leaves a thread behind
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def disconnect(self) -> None:
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was quicker

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is part of the tests; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keep-alive, as real backends do
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = collector.receive(Request(self.command, self.path, headers, body))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            """Say nothing: the requests are kept."""

    return Handler
