"""What /metrics and an OTLP endpoint are told, of services that really ran."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Event, Thread
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from opentelemetry import trace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.settings import Settings
from app.telemetry.delivery import Delivery
from app.telemetry.metrics import Metrics
from app.telemetry.span_metrics import DURATION, MAX_VALUES, TOKENS
from tests.api.test_runs import scripted
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import PROTOBUF, Answer, Collector, Request, dead_url
from tests.servers.replies import Drip, HttpError, Text, ToolCall, ToolCalls, Usage
from tests.service import Service, events_of, flat, serving

CHAT = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "openai", "gen_ai_request_model": "gpt-4o-mini"}


class Scrape:
    """One answer of /metrics; it has parsed."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.text = text
        self.samples = [sample for family in families for sample in family.samples]
        keys = [(sample.name, *sorted(sample.labels.items())) for sample in self.samples]
        assert len(keys) == len(set(keys)), "a series is there twice"

    def of(self, name: str, /, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """The series with these labels among theirs, with their values; `""` is a label that is not there."""
        return [
            (sample.labels, sample.value)
            for sample in self.samples
            if sample.name == name and all(sample.labels.get(key, "") == value for key, value in labels.items())
        ]

    def sum(self, name: str, /, **labels: str) -> float:
        found = self.of(name, **labels)
        assert found, f"no {name} with {labels}"
        return sum(value for _, value in found)

    def values(self, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.samples if label in sample.labels}


async def scrape(service: Service) -> Scrape:
    response = await service.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(response.text)


async def scrape_with(service: Service, name: str) -> Scrape:
    """The first answer that has that series: what is measured now and then may not be there yet."""
    with anyio.fail_after(10):
        while not (found := await scrape(service)).of(name):
            pass
    return found


@pytest.mark.parametrize("way", ["run", "stream"])
async def test_runs_and_what_they_did_are_counted(way: str, openai: OpenAIWire, service: Service) -> None:
    """Runs by agent and outcome, calls, tokens, first chunks, agents, tools and teams, whichever way they ran."""
    openai.replies = scripted
    for agent in ("assistant", "weather", "research", "research"):
        await (service.run if way == "run" else service.stream)(agent, "hi", user_id="ann")
    found = await scrape(service)
    for agent, count in {"assistant": 1, "weather": 1, "research": 2}.items():
        assert found.sum("waggle_runs_total", agent=agent, status="completed") == count
        assert found.sum("waggle_run_duration_seconds_count", agent=agent, status="completed") == count
    calls = len(openai.requests)
    assert found.sum("gen_ai_client_operation_duration_seconds_count", **CHAT, error_type="") == calls == 7
    assert found.sum("gen_ai_client_operation_time_to_first_chunk_seconds_count", **CHAT) == calls
    assert found.sum("gen_ai_client_token_usage_sum", **CHAT, gen_ai_token_type="input") == 11 * calls
    assert found.sum("gen_ai_client_token_usage_sum", **CHAT, gen_ai_token_type="output") == 7 * calls
    for agent, count in {"assistant": 1, "weather": 1, "researcher": 2, "writer": 2}.items():
        assert found.sum("gen_ai_invoke_agent_duration_seconds_count", gen_ai_agent_name=agent) == count
    assert found.sum("gen_ai_execute_tool_duration_seconds_count", gen_ai_tool_name="weather", error_type="") == 1
    assert found.sum("gen_ai_workflow_duration_seconds_count", gen_ai_workflow_name="research") == 2
    route = {"http_route": f"/agents/{{name}}/{way}", "http_request_method": "POST", "http_response_status_code": "200"}
    assert found.sum("http_server_request_duration_seconds_count", **route, error_type="") == 4
    assert {"/metrics", "/livez", "/readyz"}.isdisjoint(found.values("http_route"))
    assert (found.sum("waggle_runs_active"), found.sum("waggle_viewers")) == (0, 0)
    assert found.sum("target_info", service_name="waggle") == 1


async def test_buckets_are_the_conventions(openai: OpenAIWire, service: Service) -> None:
    """Durations and tokens have the boundaries that dashboards made for the conventions expect."""
    openai.replies = scripted
    await service.run("weather", "hi")
    found = await scrape(service)

    def bounds(name: str) -> list[float]:
        series = found.of(f"{name}_bucket")
        return sorted({float(labels["le"]) for labels, _ in series if labels["le"] != "+Inf"})

    assert bounds("gen_ai_client_token_usage") == TOKENS
    for name in ("client_operation", "invoke_agent", "execute_tool"):
        assert bounds(f"gen_ai_{name}_duration_seconds") == DURATION
    assert bounds("gen_ai_client_operation_time_to_first_chunk_seconds") == DURATION


async def test_a_failure_has_its_type_everywhere(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The model call by the SDK's error, the request by the problem, the run by its status."""
    openai.replies = lambda _: HttpError(400)
    async with serving(**with_openai, model_max_retries=0) as service:
        await service.run("assistant", "hi", status=502)
        found = await scrape(service)
    errors = found.of("gen_ai_client_operation_duration_seconds_count", **CHAT, error_type="BadRequestError")
    assert [count for _, count in errors] == [1]
    assert found.sum("waggle_runs_total", agent="assistant", status="failed") == 1
    failed = {"http_route": "/agents/{name}/run", "http_response_status_code": "502"}
    assert found.of("http_server_request_duration_seconds_count", **failed)
    assert not found.of("gen_ai_client_token_usage_count")


async def test_tokens_that_no_provider_told_are_not_counted(openai: OpenAIWire, service: Service) -> None:
    """0 tokens means that none were told: no observation, instead of a wrong one."""
    openai.replies = [Text("hi", usage=Usage(0, 0))]
    await service.run("assistant", "hi")
    assert not (await scrape(service)).of("gen_ai_client_token_usage_count")


async def test_what_goes_on_is_seen_and_whoever_leaves(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Active runs and viewers while they are there; afterwards none, two who left, and two cancelled runs."""
    openai.replies = lambda _: Drip()
    async with serving(**with_openai, disconnect_grace_s=0) as service:
        async with service.streaming("assistant", "hi") as one, service.streaming("research", "hi") as two:
            await anext(one)
            await anext(two)
            during = await scrape(service)
            runs = list(service.parts.runner._live.values())
        with anyio.fail_after(10):
            for run in runs:
                await run.finished
        after = await scrape(service)
    assert during.of("waggle_runs_active", agent="assistant") == [({"agent": "assistant"}, 1)]
    assert (during.sum("waggle_runs_active"), during.sum("waggle_viewers")) == (2, 2)
    assert (after.sum("waggle_runs_active"), after.sum("waggle_viewers")) == (0, 0)
    assert after.sum("waggle_disconnects_total", reason="left") == 2
    assert after.sum("waggle_runs_total", status="cancelled") == 2
    cancelled = after.of("gen_ai_client_operation_duration_seconds_count", **CHAT, error_type="CancelledError")
    assert [count for _, count in cancelled] == [2]


async def test_refusals_and_returns_are_counted(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """At capacity, a busy session, another agent's session, a stream that is resumed."""
    async with serving(**with_openai, max_concurrent_runs=2, disconnect_grace_s=0) as service:
        zero = await scrape(service)
        for name in ("rejections", "session_conflicts", "resumes", "disconnects"):
            assert zero.sum(f"waggle_{name}_total") == 0, "a series begins at zero, else rate() misses its first event"
        events = await service.stream("assistant", "hi", session_id="s")
        headers = {"Last-Event-ID": events[0].id}
        async with service.client.stream("POST", "/agents/assistant/stream", json={"task": "x"}, headers=headers) as r:
            assert [event async for event in events_of(r)] == events[1:]
        await service.run("weather", "hi", session_id="s", status=409)
        openai.replies = lambda _: Drip()
        async with service.streaming("assistant", "hi", session_id="t") as one:
            await anext(one)
            await service.run("assistant", "hi", session_id="t", status=409)
            async with service.streaming("assistant", "hi") as two:
                await anext(two)
                await service.run("assistant", "hi", status=503)
        found = await scrape(service)
    assert found.sum("waggle_resumes_total") == 1
    assert found.sum("waggle_session_conflicts_total", kind="session-conflict") == 1
    assert found.sum("waggle_session_conflicts_total", kind="session-busy") == 1
    assert found.sum("waggle_rejections_total", reason="capacity") == 1


async def test_no_label_names_anybody(openai: OpenAIWire, service: Service) -> None:
    """Neither user, session, run, trace, metadata nor content; nor a path that no route has."""
    openai.replies = scripted
    secret: dict[str, Any] = {"user_id": "ann-7f3", "session_id": "session-7f3", "metadata": {"plan": "metadata-7f3"}}
    run = await service.run("weather", "task-7f3", **secret)
    await service.client.get("/no-such-7f3")
    await service.client.post("/agents/no-such-7f3/run", json={"task": "hi"})
    text = (await scrape(service)).text
    assert "7f3" not in text
    assert run["run_id"] not in text
    assert run["trace_id"] not in text


async def test_names_from_outside_cannot_grow_it(service: Service) -> None:
    """A model may ask for any tool: beyond so many names, or too long a one, it is `other`; no name breaks a line."""
    await service.run("assistant", "hi")  # the tracer provider is there
    tracer = trace.get_tracer("hostile")
    hostile = ['"} 1\nwaggle_runs_total{agent="forged', "x" * 10_000, *(f"tool-{n}" for n in range(3 * MAX_VALUES))]
    for name in hostile:
        operations = {
            "execute_tool": {"gen_ai.tool.name": name},
            "invoke_agent": {"gen_ai.agent.name": name},
            "invoke_workflow": {"gen_ai.workflow.name": name},
            "chat": {"gen_ai.request.model": name, "gen_ai.provider.name": name},
        }
        for operation, attributes in operations.items():
            attributes |= {"gen_ai.operation.name": operation, "error.type": name}
            tracer.start_span(operation, attributes=attributes).end()
    found = await scrape(service)
    for label in ("tool_name", "agent_name", "workflow_name", "request_model", "provider_name"):
        values = found.values(f"gen_ai_{label}")
        assert "other" in values
        assert len(values) <= MAX_VALUES + 1
    assert len(found.values("error_type")) <= MAX_VALUES + 2
    assert found.sum("gen_ai_execute_tool_duration_seconds_count", gen_ai_tool_name="other") > MAX_VALUES
    assert not found.of("waggle_runs_total", agent="forged")
    assert found.sum("gen_ai_execute_tool_duration_seconds_count", gen_ai_tool_name=hostile[0]) == 1


async def test_tools_that_a_model_makes_up_use_up_no_names(openai: OpenAIWire, service: Service) -> None:
    """Else one caller could make every tool of the service `other`, for all."""
    invented = ToolCalls(tuple(ToolCall(f"invented_{n}", {}) for n in range(MAX_VALUES + 10)))
    there = ToolCalls((ToolCall("weather", {"city": "Paris", "day": "tomorrow"}),))
    openai.replies = [invented, Text("None of them."), there, Text("Rain.")]
    await service.run("weather", "hi")
    await service.run("weather", "hi")
    found = await scrape(service)
    assert found.values("gen_ai_tool_name") == {"other", "weather"}
    assert found.sum("gen_ai_execute_tool_duration_seconds_count", gen_ai_tool_name="other") == MAX_VALUES + 10


class Rendezvous:
    """A collector that finds out whether two scrapes are made at once."""

    def __init__(self) -> None:
        self.both, self.met = Barrier(2, timeout=0.3), False

    def collect(self) -> list[Metric]:
        with suppress(BrokenBarrierError):
            self.both.wait()
            self.met = True
        return []


def test_scrapes_are_made_one_after_the_other() -> None:
    """Two at once would find each other's readings in the exporter's queue: one twice the series, the other none."""
    metrics = Metrics()
    metrics.start(Settings(_env_file=None))
    metrics._registry.register(rendezvous := Rendezvous())
    found: list[bytes] = []
    threads = [Thread(target=lambda: found.append(metrics.prometheus())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.shutdown()
    assert not rendezvous.met
    assert [Scrape(text.decode()).sum("waggle_viewers") for text in found] == [0, 0]


async def test_each_service_counts_its_own(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """One after the other in a process: the second begins at zero."""
    for _ in range(2):
        async with serving(**with_openai) as service:
            await service.run("assistant", "hi")
            found = await scrape(service)
        assert found.sum("waggle_runs_total") == 1
        assert found.sum("gen_ai_client_operation_duration_seconds_count") == 1


async def test_a_blocked_loop_is_seen(service: Service) -> None:
    """What stops the event loop for half a second is in the histogram of its lag."""
    time.sleep(0.5)  # noqa: ASYNC251 that is what is measured
    found = await scrape_with(service, "waggle_event_loop_lag_seconds_count")
    assert found.sum("waggle_event_loop_lag_seconds_sum") > 0.2


@pytest.mark.parametrize("state", ["normal", "refusing", "dead"])
async def test_spans_are_counted_by_what_became_of_them(
    state: str, openai: OpenAIWire, collector: Collector, honeyhive: HoneyHive, with_openai: dict[str, Any]
) -> None:
    """Those that a backend took, and those of the batches that it did not, for each backend by itself."""
    if state == "refusing":
        collector.refuse(400)
        honeyhive.refuse(400)
    settings = {
        "otel_exporter_otlp_endpoint": dead_url() if state == "dead" else collector.url,
        "otel_exporter_otlp_timeout": 1,
        "otel_metrics_exporter": "none",
        "hh_api_url": dead_url() if state == "dead" else honeyhive.url,
        "hh_api_key": "hh_test_key",
    }
    async with serving(**with_openai, **settings, shutdown_timeout_s=0.5) as service:
        run = await service.run("assistant", "hi")
        of_run = len(flat(await service.trace(run)))
        for processor in service.parts.telemetry._processors:
            await to_thread.run_sync(processor.force_flush)
        found = await scrape(service)
    name, reason = ("exported", {}) if state == "normal" else ("dropped", {"reason": "export_failed"})
    for backend, spans in {"otlp": of_run + 1, "honeyhive": of_run}.items():  # HoneyHive is not sent GET …/trace
        assert found.sum(f"waggle_spans_{name}_total", backend=backend, **reason) == spans
        assert found.sum("waggle_spans_exported_total", backend=backend) == (spans if state == "normal" else 0)
        assert found.sum("waggle_spans_dropped_total", backend=backend, reason="queue_full") == 0
    if state == "normal":
        assert len(collector.spans()) == len(honeyhive.kept()) + 1 == of_run + 1


class Gate(SpanExporter):
    """Takes nothing until it is opened; then fails, if it is to."""

    def __init__(self, *, fails: bool) -> None:
        self.entered, self.open, self.fails = Event(), Event(), fails

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 the base class has it
        self.entered.set()
        assert self.open.wait(10)
        if self.fails:
            raise OSError("the exporter's own failure")
        return SpanExportResult.SUCCESS


@pytest.mark.parametrize("fails", [False, True], ids=["taken", "raises"])
def test_a_full_queue_is_counted(fails: bool) -> None:
    """The SDK drops the oldest in silence: with one batch of 4 in flight and room for 8, 88 of 100 spans are gone."""
    metrics = Metrics()
    metrics.start(Settings(_env_file=None))
    gate = Gate(fails=fails)
    delivery = Delivery(gate, "otlp", metrics)
    processor = delivery.watched(BatchSpanProcessor(delivery, max_queue_size=8, max_export_batch_size=4))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("test")
    for _ in range(4):
        tracer.start_span("in flight").end()
    assert gate.entered.wait(10)
    for _ in range(96):
        tracer.start_span("queued").end()
    found = Scrape(metrics.prometheus().decode())
    assert found.sum("waggle_spans_dropped_total", backend="otlp", reason="queue_full") == 88
    gate.open.set()
    processor.shutdown()  # type: ignore[no-untyped-call]
    found = Scrape(metrics.prometheus().decode())
    assert found.sum("waggle_spans_exported_total") == (0 if fails else 12)
    assert found.sum("waggle_spans_dropped_total", reason="export_failed") == (12 if fails else 0)
    tracer.start_span("too late").end()
    found = Scrape(metrics.prometheus().decode())
    assert found.sum("waggle_spans_dropped_total", reason="shutdown") == 1
    metrics.shutdown()


class MetricsCollector(Collector):
    """A collector that takes metrics too: the last value of each series, by the metric's name."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, float] = {}
        self.services: set[str] = set()

    def answer(self, request: Request) -> Answer:
        if request.path not in ("/v1/metrics", "/own/path"):
            return super().answer(request)
        message = ExportMetricsServiceRequest.FromString(request.content)
        for group in message.resource_metrics:
            self.services |= {
                pair.value.string_value for pair in group.resource.attributes if "service.name" in pair.key
            }
            for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
                numbers = [point.as_int or point.as_double for point in metric.sum.data_points]
                self.values[metric.name] = sum(numbers) + sum(point.count for point in metric.histogram.data_points)
        return Answer(200, ExportMetricsServiceResponse().SerializeToString(), PROTOBUF)


@pytest.mark.parametrize("own", [False, True], ids=["for all signals", "for metrics"])
async def test_a_collector_gets_them_too(own: bool, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """By the standard variables, with their headers, and the last values when the service ends."""
    openai.replies = scripted
    with MetricsCollector() as collector:
        settings: dict[str, Any] = {"otel_exporter_otlp_endpoint": collector.url}
        if own:
            settings = {"otel_exporter_otlp_metrics_endpoint": f"{collector.url}/own/path"}
            settings["otel_exporter_otlp_metrics_headers"] = "x-tenant=ours%20alone"
        async with serving(**with_openai, **settings, otel_service_name="bees") as service:
            await service.run("weather", "hi")
            found = await scrape(service)
        requests = [request for request in collector.requests if "metrics" in request.path or own]
        assert {request.path for request in requests} == {"/own/path" if own else "/v1/metrics"}
        assert not own or {request.headers["x-tenant"] for request in requests} == {"ours alone"}
        assert collector.services == {"bees"}
        assert collector.values["waggle.runs"] == found.sum("waggle_runs_total") == 1
        assert collector.values["gen_ai.client.operation.duration"] == 2
        assert collector.values["waggle.runs.active"] == 0


async def test_a_collector_gets_them_while_it_runs(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Every OTEL_METRIC_EXPORT_INTERVAL milliseconds."""
    with MetricsCollector() as collector:
        settings = {"otel_exporter_otlp_endpoint": collector.url, "otel_metric_export_interval": 100}
        async with serving(**with_openai, **settings) as service:
            await service.run("assistant", "hi")
            await collector.wait_for_async(lambda _: collector.values.get("waggle.runs") == 1)


async def test_it_can_be_left_out(openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]) -> None:
    """OTEL_METRICS_EXPORTER=none: a collector of traces alone is sent no metrics, and /metrics is there."""
    settings = {"otel_exporter_otlp_endpoint": collector.url, "otel_metrics_exporter": "none"}
    async with serving(**with_openai, **settings) as service:
        await service.run("assistant", "hi")
        assert (await scrape(service)).sum("waggle_runs_total") == 1
    assert {request.path for request in collector.requests} == {"/v1/traces"}


@pytest.mark.parametrize("state", ["dead", "hanging", "refusing"])
async def test_a_bad_endpoint_changes_nothing_for_a_client(
    state: str, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """The service starts, answers, streams, is scraped, and ends in time."""
    openai.replies = scripted
    with MetricsCollector() as collector:
        if state == "hanging":
            collector.hang()
        elif state == "refusing":
            collector.refuse(503)
        endpoint = (dead_url() if state == "dead" else collector.url) + "/v1/metrics"
        settings = {"otel_exporter_otlp_metrics_endpoint": endpoint, "otel_metric_export_interval": 100}
        with anyio.fail_after(20):
            async with serving(**with_openai, **settings, shutdown_timeout_s=0.5) as service:
                assert (await service.run("weather", "hi"))["status"] == "completed"
                if state != "dead":
                    await to_thread.run_sync(collector.wait_for, lambda _: bool(collector.requests))
                assert (await service.stream("research", "hi"))[-1].type == "run.completed"
                assert (await scrape(service)).sum("waggle_runs_total") == 2
                began = time.monotonic()
        assert time.monotonic() - began < 8


async def test_a_name_that_looks_like_a_probe_is_traced(service: Service) -> None:
    """Only /livez, /readyz and /metrics themselves have no span: a session or a task of that name has one."""
    response: httpx.Response = await service.client.get("/sessions/metrics")
    assert response.status_code == 404
    assert "traceresponse" in response.headers
    assert "traceresponse" not in (await service.client.get("/metrics")).headers
