"""MCP, as its own client speaks it."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import ClientSession, McpError, types
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.context import RequestContext

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError
from tests.service import Service, serving
from tests.wire.callees import asks, ended, replies, written
from tests.wire.recording import Recording, same_as


@pytest.fixture
def settings(with_openai: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return with_openai | {"agents_dir": written(tmp_path / "agents"), "disconnect_grace_s": 0.05}


@asynccontextmanager
async def client(
    service: Service, recording: Recording | None = None, elicit: ElicitationFnT | None = None, **headers: str
) -> AsyncIterator[ClientSession]:
    """A client that has introduced itself."""
    async with introduced(service, recording, elicit, headers) as (session, _):
        yield session


@asynccontextmanager
async def introduced(
    service: Service,
    recording: Recording | None = None,
    elicit: ElicitationFnT | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[tuple[ClientSession, str | None]]:
    """The client, and the id that it was given."""
    async with (
        httpx.AsyncClient(transport=recording, headers=headers, timeout=30, trust_env=False) as http,
        streamable_http_client(f"{service.url}/mcp", http_client=http) as (read, write, id_of),
        ClientSession(read, write, elicitation_callback=elicit) as session,
    ):
        await session.initialize()
        yield session, id_of()


def text_of(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


async def nothing(progress: float, total: float | None, message: str | None) -> None:
    pass


@pytest.mark.parametrize(
    ("case", "agent"),
    [("text", "assistant"), ("tool", "weather"), ("team", "research"), ("structured", "ticket"), ("image", "painter")],
)
async def test_a_call_tells_its_progress_and_its_result(
    case: str, agent: str, openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    """The whole stream is as it was agreed on; the client itself checks structured answers against the schema."""
    openai.replies = replies
    recording, told = Recording(), list[str | None]()

    async def show(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with serving(**settings) as service, client(service, recording) as session:
        result = await session.call_tool(agent, {"task": "Hello."}, progress_callback=show)
    assert not result.isError
    assert told
    same_as(f"mcp-{case}", recording.text('"tools/call"'))


async def test_the_tools_are_the_agents_that_the_caller_may_run(with_openai: dict[str, Any], tmp_path: Path) -> None:
    """As they are at that moment, described for a model."""
    keys = tmp_path / "keys.json"
    scopes = ["agents:ticket:run", "agents:weather:read"]
    keys.write_text(json.dumps([{"tenant": "acme", "key": "sk-few-0123456789", "scopes": scopes}]))
    recording = Recording()
    async with serving(**with_openai, api_keys_file=keys) as service:
        async with client(service, recording, Authorization="Bearer sk-few-0123456789") as session:
            assert [tool.name for tool in (await session.list_tools()).tools] == ["ticket"]
            same_as("mcp-tools", recording.text('"id":'))
            refused = await session.call_tool("weather", {"task": "Hello."})
            assert refused.isError
            assert text_of(refused) == "The credentials lack the scope 'agents:weather:run'."
            service.parts.registry.cards.clear()
            assert (await session.list_tools()).tools == []
        with pytest.raises(ExceptionGroup):
            async with client(service):
                pass
        assert (await service.client.post("/mcp", json={})).status_code == 401


async def test_what_goes_wrong_is_a_result_that_a_model_can_read(openai: OpenAIWire, service: Service) -> None:
    """Also wrong arguments; an unknown tool, or method, is the client's mistake."""
    openai.replies = lambda _: HttpError(401)
    recording = Recording()
    async with client(service, recording) as session:
        failed = await session.call_tool("assistant", {"task": "Hello."})
        assert (failed.isError, text_of(failed)) == (True, "The model provider refused the service's credentials.")
        wrong = await session.call_tool("assistant", {"task": "", "wrong": 1})
        assert wrong.isError
        assert "task: String should have at least 1 character" in text_of(wrong)
        with pytest.raises(McpError, match="There is no agent 'nobody'"):
            await session.call_tool("nobody", {"task": "Hello."})
        with pytest.raises(McpError, match="There is no method 'prompts/list'"):
            await session.list_prompts()
        await session.send_ping()
    same_as("mcp-errors", recording.text('"id":'))


async def test_a_conversation_goes_on_by_its_name(openai: OpenAIWire, service: Service) -> None:
    openai.replies = replies
    async with client(service) as session:
        for task in ("First.", "Second."):
            await session.call_tool("assistant", {"task": task, "session_id": "ours"})
        assert [message["content"] for message in openai.requests[-1].json["messages"][1:]] == [
            "First.",
            "Bees dance.",
            "Second.",
        ]


async def test_two_clients_that_count_alike_are_told_apart(openai: OpenAIWire, service: Service) -> None:
    """Both begin with the same ids of requests; a run is of one of them."""
    openai.replies = replies
    async with client(service) as one, client(service) as other:
        results = [await session.call_tool("assistant", {"task": "Hello."}) for session in (one, other)]
    assert len({(result.meta or {})["waggle/run"]["run_id"] for result in results}) == 2


async def test_a_client_that_cancels_stops_the_run(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Nothing is remembered of a client: its id and its request's name the run, whichever process hears of it."""
    openai.replies = lambda _: Drip()
    async with serving(**with_openai) as service, introduced(service) as (session, client_id):
        call = types.CallToolRequest(params=types.CallToolRequestParams(name="assistant", arguments={"task": "Hi."}))
        request_id = session._request_id
        async with anyio.create_task_group() as group:
            results = list[types.CallToolResult]()

            async def calls() -> None:
                results.append(await session.send_request(types.ClientRequest(call), types.CallToolResult))

            group.start_soon(calls)
            await openai.until_streaming(1)
            told = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
            stranger = await service.client.post("/mcp", json=told)
            (run_id,) = service.parts.runner._live
            assert stranger.status_code == 202
            assert (await service.get(f"/runs/{run_id}"))["status"] == "running"
            headers = {"Mcp-Session-Id": str(client_id)}
            assert (await service.client.post("/mcp", json=told, headers=headers)).status_code == 202
        assert (results[0].isError, text_of(results[0])) == (True, "Cancelled by the caller.")
        assert (await ended(service, run_id))["status"] == "cancelled"


async def test_a_client_that_leaves_stops_the_run(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """After the grace, as elsewhere; nothing of the call is left."""
    openai.replies = lambda _: Drip()
    async with serving(**settings) as service:
        async with anyio.create_task_group() as group:

            async def calls() -> None:
                async with client(service) as session:
                    await session.call_tool("research", {"task": "Hi."}, progress_callback=nothing)

            group.start_soon(calls)
            await openai.until_streaming(1)
            (run_id,) = service.parts.runner._live
            group.cancel_scope.cancel()
        await openai.until_abandoned(1)
        run = await ended(service, run_id)
        assert (run["status"], run["stop_reason"]) == ("cancelled", "Nobody was watching any more.")


async def test_a_question_is_put_to_the_client_s_user(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """By elicitation, if the client can: text, or the fields of the question's schema; who declines ends the run."""
    openai.replies = asks
    recording = Recording()
    answers = iter(
        [
            types.ElicitResult(action="accept", content={"answer": "Green."}),
            types.ElicitResult(action="accept", content={"decision": "approve"}),
            types.ElicitResult(action="decline"),
        ]
    )

    async def elicit(
        context: RequestContext[ClientSession, Any], params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        return next(answers)

    async with serving(**settings) as service, client(service, recording, elicit) as session:
        told = [text_of(await session.call_tool("asking", {"task": task})) for task in ("The colour?", "Go.", "Go.")]
    assert told == ["Green.", "a.txt is gone", "Cancelled by the caller."]
    same_as("mcp-elicitation", recording.text('"tools/call"'))


async def test_a_question_is_the_result_where_the_client_cannot_ask(
    openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    """And says how it is answered: by calling again."""
    openai.replies = asks
    recording = Recording()
    async with serving(**settings) as service, client(service, recording) as session:
        question = await session.call_tool("asking", {"task": "Go."})
        run_id = (question.meta or {})["waggle/run"]["run_id"]
        assert text_of(question).startswith("Call tool 'remove' with")
        wrong = await session.call_tool("asking", {"task": "maybe", "answers": run_id})
        assert wrong.isError
        foreign = await session.call_tool("assistant", {"task": '{"decision": "deny"}', "answers": run_id})
        assert foreign.isError
        answer = await session.call_tool("asking", {"task": '{"decision": "approve"}', "answers": run_id})
        assert text_of(answer) == "a.txt is gone"
    same_as("mcp-question", recording.text('"tools/call"'))


async def test_what_is_no_message_is_refused_as_the_transport_says(service: Service) -> None:
    post = service.client.post
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await post("/mcp", json=ping)).json() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    old = await post("/mcp", json=ping, headers={"MCP-Protocol-Version": "1999-01-01"})
    assert (old.status_code, old.json()["error"]["code"]) == (400, -32600)
    headers = {"Content-Type": "application/json"}
    garbled = await post("/mcp", content=b"{", headers=headers)
    assert (garbled.status_code, garbled.json()["error"]["code"]) == (400, -32700)
    batch = await post("/mcp", json=[ping])
    assert (batch.status_code, batch.json()["error"]["code"]) == (400, -32600)
    for body in (5, ping | {"id": 10**30}, ping | {"params": []}, {"jsonrpc": "2.0", "id": 1}):
        assert (await post("/mcp", json=body)).status_code == 400
    answer = {"jsonrpc": "2.0", "id": "a\0:b", "result": {"action": "accept"}}
    assert (await post("/mcp", json=answer)).status_code == 404
    nobody = await post("/mcp", json=answer | {"id": "nobody:nothing"})
    assert nobody.status_code == 404
    assert (await service.client.get("/mcp")).status_code == 405
    assert (await service.client.delete("/mcp")).status_code == 405


async def test_the_run_is_under_the_request_s_span(openai: OpenAIWire, service: Service) -> None:
    openai.replies = replies
    async with client(service) as session:
        result = await session.call_tool("assistant", {"task": "Hello."})
    run = (result.meta or {})["waggle/run"] | {"user_id": None}
    (root,) = await service.trace(run)
    assert (root["name"], root["attributes"]["waggle.run.id"]) == ("POST /mcp", run["run_id"])


ROOT = Path(__file__).parents[2]


async def test_the_example_runs(openai: OpenAIWire, service: Service) -> None:
    openai.replies = replies
    command = [sys.executable, str(ROOT / "examples" / "mcp_client.py"), f"{service.url}/mcp"]
    done = await anyio.run_process(command, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode().splitlines()
    assert told[0] == "assistant: A helpful assistant."
    assert told[-4:] == ["… Bees dance.", "Bees dance."] * 2


def test_the_page_shows_the_configuration_that_there_is() -> None:
    """And that leads to the route."""
    shown = (ROOT / "examples" / "mcp.json").read_text(encoding="utf-8")
    assert shown in (ROOT / "docs" / "protocols" / "mcp.md").read_text(encoding="utf-8")
    assert json.loads(shown)["mcpServers"]["waggle"]["url"].endswith("/mcp")
