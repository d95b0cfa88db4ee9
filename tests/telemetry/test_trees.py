"""The trace of a run, whole, as an OTLP collector and HoneyHive receive it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from tests.api.test_runs import scripted
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector, dead_url
from tests.servers.replies import Drip, HttpError, Reply, Request, Text, ToolCall, ToolCalls
from tests.servers.trees import Span, named, orphans, roots, traces, tree, unended
from tests.service import Service, serving
from tests.service import tree as stored_tree

CHAT = "chat gpt-4o-mini"


def slowly(request: Request) -> Reply:
    """As `scripted`, but that a text comes in more than one read."""
    reply = scripted(request)
    return replace(reply, interval_s=0.02) if isinstance(reply, Text) else reply


TREES = {
    "assistant": f"""\
POST /agents/{{name}}/run
  invoke_agent assistant
    {CHAT}
  save_state assistant""",
    "weather": f"""\
POST /agents/{{name}}/run
  invoke_agent weather
    {CHAT}
    execute_tool weather
    {CHAT}
  save_state weather""",
    "research": f"""\
POST /agents/{{name}}/run
  invoke_workflow research
    select_speaker
    invoke_agent researcher
      {CHAT}
    select_speaker
    invoke_agent writer
      {CHAT}
  save_state research""",
    "support": f"""\
POST /agents/{{name}}/run
  invoke_workflow support
    select_speaker
    invoke_agent reception
      {CHAT}
      execute_tool transfer_to_billing
    select_speaker
    invoke_agent billing
      {CHAT}
  save_state support""",
    "ticket": f"""\
POST /agents/{{name}}/run
  invoke_agent ticket
    {CHAT}
  save_state ticket""",
}


def whole(spans: Sequence[Span], remote: str | None = None) -> None:
    """One trace, one root, no orphan, none open."""
    assert len(traces(spans)) == 1
    assert len(roots(spans, remote=remote)) == 1, tree(spans)
    assert not orphans(spans, remote=remote), tree(spans)
    assert not unended(spans)


@pytest.mark.parametrize("way", ["run", "stream"])
@pytest.mark.parametrize("agent", TREES)
async def test_every_kind_of_agent_has_its_whole_tree(
    agent: str, way: str, openai: OpenAIWire, collector: Collector, honeyhive: HoneyHive, with_openai: dict[str, Any]
) -> None:
    """Run and streamed alike; the collector, HoneyHive and the built-in store hold the same tree."""
    openai.replies = scripted
    backends = {
        "otel_exporter_otlp_endpoint": collector.url,
        "hh_api_url": honeyhive.url,
        "hh_api_key": "hh_test_key",
    }
    fields: dict[str, Any] = {"session_id": "s1", "user_id": "ann", "metadata": {"plan": "pro"}}
    async with serving(**with_openai, **backends) as service:
        if way == "run":
            run = await service.run(agent, "My question.", **fields)
        else:
            run = (await service.stream(agent, "My question.", **fields))[-1].data["run"]
        stored = await service.trace(run)
    expected = TREES[agent].replace("/run", f"/{way}", 1)
    assert stored_tree(stored) == expected
    spans = [span for span in collector.spans() if span.trace_id == run["trace_id"]]
    whole(spans)
    assert tree(spans) == expected
    for span in spans:
        attributes = span.attributes
        assert attributes["user.id"] == "ann"
        assert attributes["session.id"] == attributes["gen_ai.conversation.id"] == "s1"
        assert attributes["waggle.run.id"] == run["run_id"]
        assert json.loads(attributes["metadata"]) == {"plan": "pro"}
        assert span.status != "error"
    root = roots(spans)[0].attributes
    calls = sum(span.name == CHAT for span in spans)
    assert (root["waggle.run.status"], root["waggle.run.model_calls"]) == ("completed", calls)
    assert root["waggle.run.tool_calls"] == sum(span.name.startswith("execute_tool") for span in spans)
    assert (root["waggle.run.input_tokens"], root["waggle.run.output_tokens"]) == (11 * calls, 7 * calls)
    assert root["honeyhive_metrics.cost_usd"] == root["waggle.run.cost_usd"] == run["usage"]["cost_usd"] > 0
    assert root["waggle.run.duration_s"] >= root["waggle.run.time_to_first_token_s"] > 0
    assert root.get("waggle.run.stop_reason") == run["stop_reason"]
    assert root["honeyhive_inputs.task"] == root["input.value"] == "My question."
    answer = root["honeyhive_outputs.answer"]
    assert (answer if isinstance(run["output"], str) else json.loads(answer)) == run["output"]
    kept = honeyhive.kept()
    assert tree(kept) == expected
    assert not any(request.is_json for request in honeyhive.requests), "its JSON drops a batch that protobuf retries"
    kinds = {"chat": "model", "execute_tool": "tool"}
    for span in kept:
        assert span.attributes["honeyhive_event_type"] == kinds.get(span.name.split()[0], "chain")
        assert span.attributes["honeyhive_user_properties.user_id"] == "ann"
        assert span.attributes["honeyhive_metadata.plan"] == "pro"
        assert span.attributes["honeyhive.session_name"] == agent
    assert len({UUID(span.attributes["honeyhive.session_id"]) for span in kept}) == 1


@pytest.mark.parametrize("way", ["run", "stream"])
async def test_a_model_call_says_what_was_asked_and_answered(
    way: str, openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]
) -> None:
    """GenAI attributes and OpenInference's, usage, cost, and the time to the first chunk where there is one."""
    openai.replies = slowly
    async with serving(**with_openai, otel_exporter_otlp_endpoint=collector.url) as service:
        await (service.run if way == "run" else service.stream)("weather", "In Paris?")
    first, second = sorted((s for s in collector.spans() if s.name == CHAT), key=lambda span: span.start)
    for span in (first, second):
        attributes = span.attributes
        assert span.kind == "client"
        assert attributes["gen_ai.operation.name"] == "chat"
        assert attributes["gen_ai.provider.name"] == attributes["llm.provider"] == "openai"
        assert attributes["gen_ai.request.model"] == attributes["llm.model_name"] == "gpt-4o-mini"
        assert attributes["openinference.span.kind"] == "LLM"
        assert attributes["gen_ai.usage.input_tokens"] == attributes["llm.token_count.prompt"] == 11
        assert attributes["gen_ai.usage.output_tokens"] == attributes["llm.token_count.completion"] == 7
        assert attributes["llm.cost.total"] > 0
    assert first.attributes["gen_ai.response.finish_reasons"] != second.attributes["gen_ai.response.finish_reasons"]
    call = "llm.output_messages.0.message.tool_calls.0.tool_call.function"
    assert first.attributes[f"{call}.name"] == "weather"
    assert json.loads(first.attributes[f"{call}.arguments"])["city"] == "Paris"
    assert "weather" in first.attributes["llm.tools.0.tool.json_schema"]
    assert first.attributes["llm.input_messages.1.message.content"] == "In Paris?"
    roles = [second.attributes[f"llm.input_messages.{n}.message.role"] for n in range(4)]
    assert roles == ["system", "user", "assistant", "tool"]
    assert second.attributes["output.value"].startswith("It is so: Paris")
    # AutoGen's agents stream their model calls whichever way the run itself is asked for.
    assert 0 < second.attributes["gen_ai.response.time_to_first_chunk"] < 30
    assert second.attributes["waggle.stream.chunks"] > 1
    assert second.attributes["waggle.stream.longest_gap_s"] > 0
    assert second.attributes["waggle.stream.tokens_per_second"] > 0
    assert (first.attributes["waggle.context.messages"], second.attributes["waggle.context.messages"]) == (2, 4)
    assert second.attributes["waggle.context.characters"] > first.attributes["waggle.context.characters"]


async def test_concurrent_streams_mix_nothing(
    openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]
) -> None:
    """24 users at once: each trace is one user's, with that user's session, run and words alone."""
    openai.replies = scripted
    agents = list(TREES)
    runs: dict[str, dict[str, Any]] = {}

    async def one(service: Service, number: int) -> None:
        user, agent = f"user-{number}", agents[number % len(agents)]
        events = await service.stream(agent, f"words of {user}", user_id=user, session_id=f"session-{number}")
        assert events[-1].type == "run.completed"
        runs[user] = events[-1].data["run"]

    async with (
        serving(**with_openai, otel_exporter_otlp_endpoint=collector.url) as service,
        anyio.create_task_group() as group,
    ):
        for number in range(24):
            group.start_soon(one, service, number)
    by_trace = traces(collector.spans())
    for user, run in runs.items():
        spans = by_trace[run["trace_id"]]
        whole(spans)
        assert tree(spans) == TREES[run["agent"]].replace("/run", "/stream", 1)
        for span in spans:
            assert span.attributes["user.id"] == user
            assert span.attributes["session.id"] == run["session_id"]
            assert span.attributes["waggle.run.id"] == run["run_id"]
            written = json.dumps(dict(span.attributes))
            assert not [other for other in runs if other != user and f'words of {other}"' in written]


@pytest.mark.parametrize("agent", ["assistant", "research"])
@pytest.mark.parametrize("end", ["failed", "cancelled", "left"])
async def test_a_run_that_does_not_complete_has_a_whole_tree_too(
    end: str, agent: str, openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]
) -> None:
    """Every span has ended, the model call with the error's type."""
    openai.replies = lambda _: HttpError(400) if end == "failed" else Drip()
    backends = {"otel_exporter_otlp_endpoint": collector.url, "disconnect_grace_s": 0, "model_max_retries": 0}
    async with serving(**with_openai, **backends) as service:
        async with service.streaming(agent, "hi") as events:
            started = await anext(events)
            run_id, trace_id = started.data["run_id"], started.data["trace_id"]
            if end != "failed":
                await openai.until_streaming(1)
            if end == "cancelled":
                await service.client.post(f"/runs/{run_id}/cancel")
            if end != "left":
                assert [event async for event in events][-1].type == f"run.{end}"
        if (live := service.parts.runner._live.get(run_id)) is not None:
            await live.finished
    spans = traces(collector.spans())[trace_id]
    whole(spans)
    assert tree(spans).splitlines()[-1].strip() == CHAT
    status = "failed" if end == "failed" else "cancelled"
    root = roots(spans)[0]
    assert root.attributes["waggle.run.status"] == status
    assert root.attributes["error.type"] == ("provider-failed" if end == "failed" else "cancelled")
    assert all(span.status == "error" for span in spans if span.name != "select_speaker")
    assert all(child.end <= root.end for child in spans)
    chat = named(spans, CHAT)
    assert chat.status == "error"
    assert chat.attributes["error.type"] == ("BadRequestError" if end == "failed" else "CancelledError")


async def test_a_callers_trace_goes_on(openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]) -> None:
    """`traceparent` makes the run part of it; unsampled it switches nothing off; `baggage` sets nothing."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    headers = {"traceparent": parent, "baggage": "user.id=mallory,session.id=stolen"}
    async with serving(**with_openai, otel_exporter_otlp_endpoint=collector.url) as service:
        response = await service.client.post("/agents/assistant/run", json={"task": "hi"}, headers=headers)
        assert response.json()["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    spans = collector.spans()
    whole(spans, remote="b7ad6b7169203331")
    assert tree(spans) == TREES["assistant"]
    assert "user.id" not in spans[0].attributes
    assert all(span.attributes["session.id"] != "stolen" for span in spans)
    assert "baggage" not in openai.requests[0].headers


async def test_the_instrumentors_tree_can_be_had(
    openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]
) -> None:
    """LLM_SPANS=openinference: the model calls are OpenInference's spans, once each, in the same places."""
    openai.replies = scripted
    async with serving(**with_openai, otel_exporter_otlp_endpoint=collector.url, llm_spans="openinference") as service:
        run = await service.run("research", "hi", user_id="ann")
        assert run["usage"]["input_tokens"] == 22
    spans = collector.spans()
    whole(spans)
    assert tree(spans) == TREES["research"]
    llm = [span for span in spans if span.name == CHAT]
    assert {span.scope for span in llm} == {"openinference.instrumentation.openai"}
    assert {span.attributes["user.id"] for span in llm} == {"ann"}
    assert {span.attributes["openinference.span.kind"] for span in llm} == {"LLM"}
    costs = [span.attributes["llm.cost.total"] for span in llm]
    assert sum(costs) == pytest.approx(run["usage"]["cost_usd"])


@pytest.mark.parametrize("llm_spans", ["waggle", "openinference"])
async def test_a_failed_call_has_its_type_whoever_made_the_span(
    llm_spans: str, openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]
) -> None:
    """OpenInference's instrumentor tells an exception's event and no `error.type`."""
    openai.replies = [HttpError(400)]
    async with serving(**with_openai, otel_exporter_otlp_endpoint=collector.url, llm_spans=llm_spans) as service:
        await service.run("assistant", "hi", status=502)
        metrics = (await service.client.get("/metrics")).text
    call = named(collector.spans(), CHAT)
    assert (call.status, call.attributes["error.type"]) == ("error", "BadRequestError")
    assert 'gen_ai_client_operation_duration_seconds_count{error_type="BadRequestError"' in metrics


OWN_CALL = '''
from autogen_agentchat.agents import AssistantAgent
from openai import AsyncOpenAI

async def ask(question: str) -> str:
    """Ask a model beside the agent's own."""
    client = AsyncOpenAI(base_url="{url}/v1", api_key="sk-own")
    answer = await client.chat.completions.create(model="gpt-4o", messages=[{{"role": "user", "content": question}}])
    await client.close()
    return answer.choices[0].message.content

def build(context):
    return AssistantAgent("own", context.model(), tools=[ask], model_client_stream=True)
'''


async def test_a_users_own_call_is_in_the_tree(
    openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any], tmp_path: Any
) -> None:
    """A tool that calls OpenAI's SDK has that call under it, by the instrumentor; the agent's are not doubled."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "own.py").write_text(OWN_CALL.format(url=openai.url))
    settings = with_openai | {"agents_dir": tmp_path / "agents", "otel_exporter_otlp_endpoint": collector.url}
    async with serving(**settings) as service:
        run = await service.run("own", "What is 'up'?", user_id="ann")
        assert run["status"] == "completed"
    spans = collector.spans()
    whole(spans)
    assert Counter(span.name for span in spans)[CHAT] == 1
    assert named(spans, "chat gpt-4o").parent_id == named(spans, "execute_tool ask").span_id
    assert named(spans, "chat gpt-4o").attributes["user.id"] == "ann"


async def test_autogens_runtime_spans_join_the_same_tree(
    openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any]
) -> None:
    """Asked for, they are many more, and still one tree; each has a kind, where HoneyHive would guess one."""
    openai.replies = scripted
    settings = with_openai | {"otel_exporter_otlp_endpoint": collector.url, "autogen_runtime_spans": True}
    async with serving(**settings) as service:
        await service.run("research", "hi")
    spans = collector.spans()
    whole(spans)
    assert len(spans) > 10
    kinds = {(span.attributes["openinference.span.kind"], span.attributes["honeyhive_event_type"]) for span in spans}
    assert kinds == {("CHAIN", "chain"), ("AGENT", "chain"), ("LLM", "model")}


HANGING = ["dead", "hanging", "refusing"]


@pytest.mark.parametrize("state", HANGING)
@pytest.mark.parametrize("backend", ["otlp", "honeyhive"])
async def test_a_bad_backend_changes_nothing_for_a_client(
    backend: str,
    state: str,
    openai: OpenAIWire,
    collector: Collector,
    honeyhive: HoneyHive,
    with_openai: dict[str, Any],
) -> None:
    """Dead, hanging or refusing: the service starts, answers, streams, keeps its own trace, and ends in time."""
    openai.replies = scripted
    server = collector if backend == "otlp" else honeyhive
    if state == "hanging":
        server.hang()
    elif state == "refusing":
        server.refuse(503)
    url = dead_url() if state == "dead" else server.url
    settings = (
        {"otel_exporter_otlp_endpoint": url} if backend == "otlp" else {"hh_api_url": url, "hh_api_key": "hh_test_key"}
    )
    with anyio.fail_after(30):
        async with serving(**with_openai, **settings, shutdown_timeout_s=0.5) as service:
            run = await service.run("weather", "hi")
            assert stored_tree(await service.trace(run)) == TREES["weather"]
            assert (await service.stream("research", "hi"))[-1].type == "run.completed"


@pytest.mark.parametrize(("backend", "status"), [("otlp", 429), ("honeyhive", 503)])
async def test_a_batch_survives_a_backend_that_refuses_for_a_while(
    backend: str,
    status: int,
    openai: OpenAIWire,
    collector: Collector,
    honeyhive: HoneyHive,
    with_openai: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is sent again when the backend wants it to be, and arrives once."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")  # ms
    server = collector if backend == "otlp" else honeyhive
    server.refuse(status, retry_after_s=1)
    settings = {
        "otlp": {"otel_exporter_otlp_traces_endpoint": f"{collector.url}/v1/traces"},
        "honeyhive": {"hh_api_url": honeyhive.url, "hh_api_key": honeyhive.api_key},
    }
    async with serving(**with_openai, **settings[backend]) as service:
        await service.run("assistant", "hi")
        await server.wait_for_async(lambda _: len(server.requests) >= 4)
        server.normal()
        await server.wait_for_async(lambda spans: "invoke_agent assistant" in {span.name for span in spans})
        metrics = (await service.client.get("/metrics")).text
    assert f'waggle_spans_dropped_total{{backend="{backend}",reason="export_failed"}} 0.0' in metrics
    assert len({span.span_id for span in server.spans()}) == len(server.spans())


async def test_without_a_key_nothing_is_sent(
    openai: OpenAIWire, collector: Collector, honeyhive: HoneyHive, with_openai: dict[str, Any]
) -> None:
    """Addresses alone, without a key or an endpoint, send no byte."""
    async with serving(**with_openai, hh_api_url=honeyhive.url) as service:
        run = await service.run("assistant", "hi")
        assert stored_tree(await service.trace(run)) == TREES["assistant"]
    assert not honeyhive.requests
    assert not collector.requests


async def test_the_store_is_bounded_and_says_what_it_forgot(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Older traces make room: 410, and the run itself is still there."""
    async with serving(**with_openai, trace_store_runs=2) as service:
        runs = [await service.run("assistant", f"task {n}") for n in range(3)]
        problem = await service.get(f"/runs/{runs[0]['run_id']}/trace", status=410)
        assert problem["type"] == "urn:waggle:problem:events-gone"
        for run in runs[1:]:
            assert stored_tree(await service.trace(run)) == TREES["assistant"]


async def test_a_clients_view_of_a_failure_has_no_internals(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """/runs/{id}/trace names the error's type; the provider's words and our tracebacks stay with the operator."""
    openai.replies = lambda _: HttpError(401, "key sk-secret is wrong")
    async with serving(**with_openai) as service:
        problem = await service.run("assistant", "hi", status=502)
        shown = json.dumps(await service.get(f"/runs/{problem['run_id']}/trace"))
    assert "AuthenticationError" in shown
    for internal in ("sk-secret", "Traceback", "site-packages"):
        assert internal not in shown


async def test_each_run_can_be_a_session_of_honeyhives(honeyhive: HoneyHive, with_openai: dict[str, Any]) -> None:
    """HH_SESSION=request: two runs of a conversation are two sessions, else one."""
    for mapping, count in (("conversation", 1), ("request", 2)):
        honeyhive.clear()
        settings = {"hh_api_url": honeyhive.url, "hh_api_key": "hh_test_key", "hh_session": mapping}
        async with serving(**with_openai, **settings) as service:
            for task in ("one", "two"):
                await service.run("assistant", task, session_id=f"s-{mapping}")
        assert len({span.attributes["honeyhive.session_id"] for span in honeyhive.kept()}) == count


LONG = """
from autogen_agentchat.agents import AssistantAgent
from autogen_core.model_context import UnboundedChatCompletionContext
from autogen_core.models import UserMessage

def build(context):
    said = [UserMessage(content=f"words {number}", source="user") for number in range(2000)]
    history = UnboundedChatCompletionContext(initial_messages=said)
    return AssistantAgent("long", context.model(), model_context=history, model_client_stream=True)
"""


async def test_a_long_conversation_costs_a_span_nothing_but_its_oldest_messages(
    openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any], tmp_path: Path, caplog: Any
) -> None:
    """OpenTelemetry drops a full span's first attributes: whose it is, what it did."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "long.py").write_text(LONG)
    settings = with_openai | {
        "agents_dir": tmp_path / "agents",
        "otel_exporter_otlp_traces_endpoint": f"{collector.url}/v1/traces",
    }
    async with serving(**settings) as service:
        run = await service.run("long", "My question.", user_id="ann")
    call = named(collector.spans(), CHAT).attributes
    assert (call["gen_ai.operation.name"], call["user.id"], call["waggle.run.id"]) == ("chat", "ann", run["run_id"])
    assert (call["waggle.context.messages"], call["gen_ai.usage.input_tokens"]) == (2002, 11)
    told = sorted(
        int(name.split(".")[2]) for name in call if re.fullmatch(r"llm\.input_messages\.\d+\.message\.content", name)
    )
    assert told == list(range(150))
    assert call["llm.input_messages.149.message.content"] == "My question."
    assert "Attributes dict is full" not in caplog.text


async def test_half_characters_cost_no_batch(
    openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any], tmp_path: Path
) -> None:
    """A file's name may have them: what UTF-8 cannot say is replaced in the trace."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "files.py").write_text(FILES)
    openai.replies = [ToolCalls((ToolCall("files", {"where": "\ud83d"}),)), Text("One.")]
    settings = with_openai | {
        "agents_dir": tmp_path / "agents",
        "otel_exporter_otlp_traces_endpoint": f"{collector.url}/v1/traces",
    }
    async with serving(**settings) as service:
        await service.client.post("/agents/files/run", json={"task": "Which files are there?"})
    calls = sorted((span for span in collector.spans() if span.name == CHAT), key=lambda span: span.start)
    assert calls[0].status == "ok"
    tool = named(collector.spans(), "execute_tool files")
    assert (tool.status, tool.attributes["gen_ai.tool.call.result"]) == ("unset", "caf\ufffd")
    assert json.loads(calls[1].attributes["gen_ai.input.messages"])


FILES = """
from autogen_agentchat.agents import AssistantAgent

async def files(where: str) -> str:
    \"\"\"The files there are.\"\"\"
    return b"caf\\xe9".decode("utf-8", "surrogateescape")

def build(context):
    return AssistantAgent("files", context.model(), tools=[files], reflect_on_tool_use=True, model_client_stream=True)
"""
