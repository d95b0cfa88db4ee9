"""A2A, as its SDK's own client speaks it: protocol 1.0, and 0.3."""

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
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import InvalidParamsError, TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Value  # type: ignore[import-untyped]

from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import Drip, HttpError
from tests.service import Service, serving
from tests.wire.callees import asks, ended, replies, written
from tests.wire.recording import Recording, same_as

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(with_openai: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return with_openai | {"agents_dir": written(tmp_path / "agents"), "disconnect_grace_s": 0.05}


@asynccontextmanager
async def client(
    service: Service,
    agent: str = "assistant",
    recording: Recording | None = None,
    *,
    streaming: bool = True,
    version: str = "1.0",
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Client]:
    """A client that has read the agent's card, and takes that version of the protocol."""
    async with httpx.AsyncClient(transport=recording, timeout=30, trust_env=False, headers=headers) as http:
        card = await A2ACardResolver(http, f"{service.url}/a2a/{agent}").get_agent_card()
        for interface in [each for each in card.supported_interfaces if each.protocol_version != version]:
            card.supported_interfaces.remove(interface)
        yield ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)


def message(text: str, *more: Part, at_once: bool = False, **about: str) -> SendMessageRequest:
    said = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text=text), *more], **about)
    return SendMessageRequest(message=said, configuration=SendMessageConfiguration(return_immediately=at_once))


async def sent(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    return [event async for event in client.send_message(request)]


@pytest.mark.parametrize("version", ["1.0", "0.3"])
@pytest.mark.parametrize(
    ("case", "agent"),
    [("text", "assistant"), ("tool", "weather"), ("team", "research"), ("structured", "ticket"), ("image", "painter")],
)
async def test_a_stream_is_as_it_was_agreed_on(
    case: str, agent: str, version: str, openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    openai.replies = replies
    recording = Recording()
    async with serving(**settings) as service, client(service, agent, recording, version=version) as a2a:
        events = await sent(a2a, message("Hello."))
    assert events[0].task.status.state in (TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_SUBMITTED)
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    same_as(f"a2a-{version}-{case}", recording.text('"jsonrpc"'))


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_message_is_answered_with_the_whole_task(
    version: str, openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    """Once it has ended; its pictures go both ways, and it can be got again, with as much history as is asked for."""
    openai.replies = replies
    recording = Recording()
    image = Part(raw=picture(), media_type="image/png")
    async with (
        serving(**settings) as service,
        client(service, "assistant", recording, streaming=False, version=version) as a2a,
    ):
        (event,) = await sent(a2a, message("Hello.", image))
        assert event.task.status.state == TaskState.TASK_STATE_COMPLETED
        assert [part.text for artifact in event.task.artifacts for part in artifact.parts] == ["Bees dance."]
        shown = openai.requests[-1].json["messages"][-1]["content"][1]["image_url"]["url"]
        assert shown == data_uri(picture())
        again = await a2a.get_task(GetTaskRequest(id=event.task.id))
        assert again == event.task
        assert [part.WhichOneof("content") for part in again.history[0].parts] == ["text", "raw"]
        if version == "1.0":  # of which 0 is as many as there are, in 0.3
            assert not (await a2a.get_task(GetTaskRequest(id=event.task.id, history_length=0))).history
    same_as(f"a2a-{version}-send", recording.text('"jsonrpc"'))


async def test_a_context_is_a_conversation(openai: OpenAIWire, service: Service) -> None:
    openai.replies = replies
    async with client(service) as a2a:
        first = await sent(a2a, message("First."))
        await sent(a2a, message("Second.", context_id=first[0].task.context_id))
    told = [each["content"] for each in openai.requests[-1].json["messages"][1:]]
    assert told == ["First.", "Bees dance.", "Second."]


async def test_what_goes_wrong_is_an_error_of_the_protocol(openai: OpenAIWire, service: Service) -> None:
    """A run that fails is a task that failed; what never was a task is an error with A2A's code."""
    openai.replies = lambda _: HttpError(401)
    recording = Recording()
    async with client(service, "assistant", recording) as a2a:
        failed = (await sent(a2a, message("Hello.")))[-1].status_update.status
        assert failed.state == TaskState.TASK_STATE_FAILED
        assert failed.message.parts[0].text == "The model provider refused the service's credentials."
        with pytest.raises(TaskNotFoundError):
            await a2a.get_task(GetTaskRequest(id="nobody's"))
        with pytest.raises(InvalidParamsError, match="a part is text, data, or an image"):
            await sent(a2a, message("Hello.", Part(raw=b"%PDF", media_type="application/pdf")))
        with pytest.raises(InvalidParamsError, match="A contextId is"):
            await sent(a2a, message("Hello.", context_id="not a name"))
    same_as("a2a-1.0-errors", recording.text('"jsonrpc"'))
    for body, code in ((b"{", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0","id":1,"method":"none"}', -32601)):
        answer = await service.client.post("/a2a/assistant", content=body, headers={"Content-Type": "application/json"})
        assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage", "GetTask", "CancelTask", "message/send"])
@pytest.mark.parametrize(
    "params",
    [
        pytest.param([], id="list"),
        pytest.param(5, id="number"),
        pytest.param({"message": None, "id": 5}, id="types"),
        pytest.param({"message": {"parts": []}, "id": "a\0"}, id="nothing"),
        pytest.param({"message": {"parts": [{"text": "a"}], "contextId": "a\0"}, "id": ""}, id="context"),
        pytest.param({"message": {"parts": [{"text": "a"}], "taskId": "a\0"}, "id": "a" * 999}, id="task"),
        pytest.param({"message": {"parts": [{"text": "a"}] * 101}}, id="many"),
    ],
)
async def test_nonsense_is_refused(params: Any, method: str, service: Service) -> None:
    """In the protocol's words, whatever it is."""
    answer = await service.client.post(
        "/a2a/assistant", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) in [(200, -32600), (200, -32602), (200, -32001)]


async def test_a_task_is_watched_and_cancelled(openai: OpenAIWire, service: Service) -> None:
    """Of a run that goes on by itself: the client did not wait."""
    openai.replies = lambda _: Drip()
    async with client(service, streaming=False) as waiting, client(service) as a2a:
        (event,) = await sent(waiting, message("Hello.", at_once=True))
        assert event.task.status.state == TaskState.TASK_STATE_SUBMITTED
        await openai.until_streaming(1)
        events = a2a.subscribe(SubscribeToTaskRequest(id=event.task.id))
        assert (await anext(events)).task.id == event.task.id
        assert (await a2a.get_task(GetTaskRequest(id=event.task.id))).status.state == TaskState.TASK_STATE_WORKING
        async for update in events:
            if update.WhichOneof("payload") == "artifact_update":
                break
        cancelled = await a2a.cancel_task(CancelTaskRequest(id=event.task.id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        rest = [update async for update in events]
        assert rest[-1].status_update.status.state == TaskState.TASK_STATE_CANCELED
        with pytest.raises(TaskNotCancelableError):
            await a2a.cancel_task(CancelTaskRequest(id=event.task.id))
        with pytest.raises(UnsupportedOperationError):
            await anext(a2a.subscribe(SubscribeToTaskRequest(id=event.task.id)))


async def test_a_client_that_leaves_stops_the_run(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    openai.replies = lambda _: Drip()
    async with serving(**settings) as service:
        async with anyio.create_task_group() as group:

            async def calls() -> None:
                async with client(service, "research") as a2a:
                    await sent(a2a, message("Hello."))

            group.start_soon(calls)
            await openai.until_streaming(1)
            (run_id,) = service.parts.runner._live
            group.cancel_scope.cancel()
        await openai.until_abandoned(1)
        run = await ended(service, run_id)
        assert (run["status"], run["stop_reason"]) == ("cancelled", "Nobody was watching any more.")


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_next_message_answers_what_a_task_asks(
    openai: OpenAIWire, settings: dict[str, Any], *, streaming: bool
) -> None:
    """Text, or data where the question has a schema."""
    openai.replies = asks
    recording = Recording()
    async with serving(**settings) as service, client(service, "asking", recording, streaming=streaming) as a2a:
        for task, answer in (
            ("The colour?", Part(text="Green.")),
            ("Go.", Part(data=ParseDict({"decision": "approve"}, Value()))),
        ):
            last = (await sent(a2a, message(task)))[-1]
            asked = last.status_update if streaming else last.task
            assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
            task_id = last.status_update.task_id if streaming else last.task.id
            said = Message(message_id="a", role=Role.ROLE_USER, parts=[answer], task_id=task_id)
            done = (await sent(a2a, SendMessageRequest(message=said)))[-1]
            ended_as = done.status_update.status if streaming else done.task.status
            assert ended_as.state == TaskState.TASK_STATE_COMPLETED
            with pytest.raises(UnsupportedOperationError):
                await sent(a2a, SendMessageRequest(message=said))
    same_as(f"a2a-1.0-question-{'stream' if streaming else 'send'}", recording.text('"jsonrpc"'))


async def test_tasks_of_others_do_not_exist(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """Nor those of another agent, nor the agents that the credentials may not see; cards say what is asked for."""
    openai.replies = replies
    keys = tmp_path / "keys.json"
    few = {"tenant": "few", "key": "sk-few-0123456789", "scopes": ["agents:ticket:run"]}
    keys.write_text(json.dumps([{"tenant": "acme", "key": "sk-all-0123456789"}, few]))
    everybody, some = ({"Authorization": f"Bearer sk-{who}-0123456789"} for who in ("all", "few"))
    async with serving(**with_openai, api_keys_file=keys) as service:
        async with client(service, "ticket", headers=everybody) as a2a:
            task_id = (await sent(a2a, message("Hello.")))[0].task.id
        for agent, headers in (("ticket", some), ("assistant", everybody)):
            async with client(service, agent, headers=headers) as a2a:
                for request in (
                    a2a.get_task(GetTaskRequest(id=task_id)),
                    a2a.cancel_task(CancelTaskRequest(id=task_id)),
                    sent(a2a, message("Green.", task_id=task_id)),
                ):
                    with pytest.raises(TaskNotFoundError):
                        await request
        cards = "/.well-known/agent-card.json"
        assert (await service.client.get(cards)).status_code == 401
        assert (await service.client.get(f"/a2a/weather{cards}", headers=some)).status_code == 403
        card = (await service.client.get(cards, headers=some)).json()
        assert (card["name"], list(card["securitySchemes"])) == ("ticket", ["bearer"])


async def test_the_card_says_where_and_how(service: Service) -> None:
    """In both forms; the service's own is the default agent's."""
    card = (await service.client.get("/.well-known/agent-card.json")).json()
    assert card == (await service.client.get("/a2a/assistant/.well-known/agent-card.json")).json()
    same_as("a2a-card", json.dumps(card, indent=2) + "\n")


async def test_the_example_runs(openai: OpenAIWire, service: Service) -> None:
    openai.replies = replies
    command = [sys.executable, str(ROOT / "examples" / "a2a_client.py"), f"{service.url}/a2a/assistant"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = await anyio.run_process(command, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == ["assistant: A helpful assistant.", "Bees dance.", "Bees dance."]


def test_the_page_shows_the_example() -> None:
    """Whole, and to the letter."""
    shown = (ROOT / "examples" / "a2a_client.py").read_text(encoding="utf-8")
    assert f"```python\n{shown}```" in (ROOT / "docs" / "protocols" / "a2a.md").read_text(encoding="utf-8")
