import socket

import anyio
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from tests.servers.otlp import Collector, dead_url
from tests.servers.trees import OpenSpans, named, orphans, roots, traces, tree, unended


def make_spans() -> InMemorySpanExporter:
    """A request with a model call and a failed tool under it."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "waggle"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("POST /run", kind=SpanKind.SERVER):
        with tracer.start_as_current_span("chat", attributes={"n": 1, "f": 0.5, "b": True, "list": ["a", "b"]}):
            pass
        with tracer.start_as_current_span("execute_tool") as tool:
            tool.add_event("called", {"name": "weather"})
            tool.set_status(Status(StatusCode.ERROR, "no such city"))
    return memory


@pytest.mark.parametrize("compression", Compression, ids=lambda value: str(value.value))
def test_spans_arrive_whole(collector: Collector, compression: Compression) -> None:
    """Names, tree, kinds, attributes, events, status and resource come over the wire as they were made."""
    memory = make_spans()
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", compression=compression, timeout=5)
    assert exporter.export(memory.get_finished_spans()) is SpanExportResult.SUCCESS

    spans = collector.spans()
    assert tree(spans) == "POST /run\n  chat\n  execute_tool"
    assert len(traces(spans)) == 1
    assert (orphans(spans), unended(spans)) == ([], [])
    assert [span.kind for span in roots(spans)] == ["server"]
    assert named(spans, "chat").attributes == {"n": 1, "f": 0.5, "b": True, "list": ["a", "b"]}
    tool = named(spans, "execute_tool")
    assert (tool.status, tool.status_message) == ("error", "no such city")
    assert [(event.name, event.attributes) for event in tool.events] == [("called", {"name": "weather"})]
    assert (tool.resource["service.name"], tool.scope) == ("waggle", "tests")


def test_missing_parents_show(collector: Collector) -> None:
    """A child whose parent did not arrive is an orphan, unless the parent is the remote caller's span."""
    children = make_spans().get_finished_spans()[:-1]
    OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=5).export(children)

    spans = collector.spans()
    assert tree(spans) == "chat\nexecute_tool"
    assert orphans(spans) == spans
    assert orphans(spans, remote=spans[0].parent_id) == []


def test_open_spans_are_counted() -> None:
    """A span is open from its start to its end, whether or not anything exports it."""
    provider, ledger = TracerProvider(shutdown_on_exit=False), OpenSpans()
    provider.add_span_processor(ledger)
    span = provider.get_tracer("tests").start_span("chat")
    assert ledger.names == ["chat"]
    span.end()
    assert ledger.names == []


@pytest.mark.parametrize("status", [401, 429, 503])
def test_refusing(collector: Collector, status: int) -> None:
    """A refused batch is seen as a request and not as spans, and a change of mind is heard."""
    collector.refuse(status)
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=0.5)
    assert exporter.export(make_spans().get_finished_spans()) is SpanExportResult.FAILURE
    assert collector.requests
    assert collector.spans() == []
    collector.normal()
    assert exporter.export(make_spans().get_finished_spans()) is SpanExportResult.SUCCESS
    assert len(collector.spans()) == 3


def test_hanging_holds_the_client_and_closing_lets_it_go() -> None:
    """A hung request is never answered; closing the collector ends it and leaves no thread."""
    with Collector() as collector:
        collector.hang()
        with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2]))) as client:
            client.sendall(b"POST /v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            collector.wait_for(lambda _: len(collector.requests) == 1)
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1)
            client.settimeout(5)
            collector.close()
            assert client.recv(1) == b""


def test_a_dead_address_refuses_at_once() -> None:
    """Nothing listens there."""
    host, _, port = dead_url().removeprefix("http://").partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


async def test_it_answers_while_the_event_loop_is_blocked(collector: Collector) -> None:
    """Exporting from the loop's own thread, which then serves nothing else, succeeds."""
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=5)
    assert exporter.export(make_spans().get_finished_spans()) is SpanExportResult.SUCCESS
    assert len(await collector.wait_for_async(lambda spans: len(spans) == 3)) == 3


async def test_waiting_in_the_background_does_not_block_the_loop() -> None:
    """The spans are sent while a task already waits for them."""
    async with Collector() as collector, anyio.create_task_group() as tasks:
        tasks.start_soon(collector.wait_for_async, lambda spans: len(spans) == 3)
        exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=5)
        await anyio.to_thread.run_sync(exporter.export, make_spans().get_finished_spans())


def test_waiting_in_vain_shows_what_came(collector: Collector) -> None:
    """The error of a wait that ran out carries the tree, so that a failed test explains itself."""
    OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=5).export(make_spans().get_finished_spans())
    with pytest.raises(TimeoutError, match=r"1 requests, 3 spans\nPOST /run\n  chat"):
        collector.wait_for(lambda spans: len(spans) == 4, 0.01)
