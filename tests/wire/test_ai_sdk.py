"""Vercel's AI SDK, as its own `Chat`, transport and readers speak it, without a page."""

from pathlib import Path
from typing import Any

import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import Drip, HttpError, Text
from tests.service import Service, serving
from tests.wire.chatting import answers, folder_of
from tests.wire.node import EXAMPLES, client, example
from tests.wire.recording import same_as


@pytest.fixture
def settings(with_openai: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return with_openai | {"agents_dir": folder_of(tmp_path), "disconnect_grace_s": 0.05}


async def chat(service: Service, agent: str, *steps: list[Any], **more: Any) -> Any:
    """What a chat of the AI SDK holds once it has done these."""
    told = {"api": f"{service.url}/agents/{agent}/ui", "id": "chat-1", **more}
    return await client("ai-sdk.mjs", steps=steps, **told)


def words(message: dict[str, Any]) -> str:
    return " ".join(part["text"] for part in message["parts"] if part["type"] == "text")


@pytest.mark.parametrize(
    "agent", ["assistant", "weather", "research", "support", "ticket", "painter", "thinker", "asking"]
)
async def test_a_stream(agent: str, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Whole, for each kind of agent; both readers of the SDK make the same message of it."""
    openai.replies = answers
    if agent not in ("painter", "thinker", "asking"):
        del settings["agents_dir"]
    async with serving(**settings) as service:
        said = await chat(service, agent, ["send", {"text": "Hello."}])
        read = await chat(service, agent, ["read", {"parts": [{"type": "text", "text": "Hello."}]}], id="chat-2")
    assert (said["status"], said.get("error")) == ("ready", None)
    assert said["streams"][0]["protocol"] == "v1"
    same_as(f"ai-sdk-{agent}", said["streams"][0]["text"])
    kinds = [[part["type"] for part in each["messages"][-1]["parts"]] for each in (said, read)]
    assert kinds[0] == kinds[1]
    assert said["finishes"][0]["finishReason"] == ("other" if agent == "asking" else "stop")


async def test_a_run_that_fails(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """What was said stays, and the error is told."""
    openai.replies = lambda _: HttpError(401, "no such key sk-secret")
    async with serving(**settings) as service:
        said = await chat(service, "plain", ["send", {"text": "Hello."}])
    assert said["status"] == "error"
    assert said["messages"][-1]["metadata"]["error"]["detail"] == said["error"]
    assert "sk-secret" not in str(said)
    same_as("ai-sdk-error", said["streams"][0]["text"])


@pytest.mark.parametrize(
    ("agent", "more", "status", "kind"),
    [
        ("nobody", {}, 404, "not-found"),
        ("plain", {"id": "no id"}, 422, "invalid-input"),
        ("plain", {"headers": {"X-Session-ID": "another"}}, 422, "invalid-input"),
        ("plain", {"body": {"timeout_s": -1}}, 422, "invalid-input"),
    ],
)
async def test_what_begins_no_run(
    agent: str, more: dict[str, Any], status: int, kind: str, openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    """The SDK's error has the problem as its message."""
    async with serving(**settings) as service:
        said = await chat(service, agent, ["send", {"text": "Hello."}], **more)
    assert (said["status"], said["streams"][0]["status"]) == ("error", status)
    assert f"urn:waggle:problem:{kind}" in said["error"]
    assert openai.requests == []


async def test_a_file_that_is_no_image_is_refused(settings: dict[str, Any]) -> None:
    file = {"type": "file", "mediaType": "application/pdf", "url": "data:application/pdf;base64,AAAA"}
    async with serving(**settings) as service:
        said = await chat(service, "plain", ["send", {"parts": [file]}])
    assert said["streams"][0]["status"] == 422
    assert "takes images" in said["error"]


async def test_an_image_is_seen(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """A file of the user's message."""
    url = data_uri(picture())
    file = {"type": "file", "mediaType": "image/png", "url": url}
    async with serving(**settings) as service:
        await chat(service, "plain", ["send", {"text": "What is it?", "files": [file]}])
    image, text = openai.requests[-1].json["messages"][-1]["content"]
    assert (image["image_url"]["url"], text["text"]) == (url, "What is it?")


async def test_a_client_that_stops(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """The run is cancelled, and the chat goes on at once."""
    openai.replies = lambda _: Drip()
    async with serving(**settings) as service:
        said = await chat(service, "plain", ["stop", {"text": "Go on."}])
        await openai.until_abandoned(1)
        assert said["finishes"][0]["isAbort"] is True
        openai.replies = answers
        again = await chat(service, "plain", ["send", {"text": "Hello?"}], messages=said["messages"])
        runs = (await service.get("/sessions/chat-1/runs"))["items"]
    assert words(again["messages"][-1]) == "Bees dance."
    assert [run["status"] for run in runs] == ["completed", "cancelled"]


async def test_turns_are_of_one_session(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """The stored one: of what the page sends, the last message is taken."""
    openai.replies = answers
    async with serving(**settings) as service:
        said = await chat(service, "plain", ["send", {"text": "One."}], ["send", {"text": "Two."}])
        session = await service.get("/sessions/chat-1")
    assert [message["role"] for message in said["messages"]] == ["user", "assistant"] * 2
    assert session["turns"] == 2
    sent = [message["content"] for message in openai.requests[-1].json["messages"] if message["role"] == "user"]
    assert sent == ["One.", "Two."]


async def test_what_is_stored_nowhere_is_the_history(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """A chat that was kept by the page alone."""
    earlier = [
        {"id": "1", "role": "user", "parts": [{"type": "text", "text": "I am Ann."}]},
        {"id": "2", "role": "assistant", "parts": [{"type": "step-start"}, {"type": "text", "text": "Hi, Ann."}]},
    ]
    async with serving(**settings) as service:
        await chat(service, "plain", ["send", {"text": "Who am I?"}], ["send", {"text": "Sure?"}], messages=earlier)
    sent = [message["content"] for message in openai.requests[-1].json["messages"][1:]]
    assert [sent[0], sent[1], sent[2], sent[4]] == ["I am Ann.", "Hi, Ann.", "Who am I?", "Sure?"]


async def test_an_answer_is_made_again(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Of the last message; then of the same again; then an earlier message is another."""
    async with serving(**settings) as service:
        send, again = ["send", {"text": "One."}], ["regenerate", None]
        said = await chat(service, "plain", send, ["send", {"text": "Two."}], again, again)
        sent = [message["content"] for message in openai.requests[-1].json["messages"] if message["role"] == "user"]
        assert sent == ["One.", "Two."]
        assert (await service.get("/sessions/chat-1"))["turns"] == 2
        first = said["messages"][0]
        edit = ["send", {"text": "Uno.", "messageId": first["id"]}]
        said = await chat(service, "plain", edit, messages=said["messages"])
        assert (await service.get("/sessions/chat-1"))["turns"] == 1
    assert [message["role"] for message in said["messages"]] == ["user", "assistant"]
    sent = [message["content"] for message in openai.requests[-1].json["messages"] if message["role"] == "user"]
    assert sent == ["Uno."]


async def test_a_chat_is_resumed(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Another reader sees the whole message; where nothing goes on, or there is no such chat, there is none."""
    openai.replies = lambda _: Text(" ".join(f"w{number}" for number in range(40)), interval_s=0.02)
    async with serving(**settings) as service:
        nothing = await chat(service, "plain", ["resume", None])
        assert (nothing["streams"][0]["status"], nothing["messages"]) == (204, [])
        said = await chat(service, "plain", ["watch", {"text": "Count."}])
        over = await service.client.get("/agents/plain/ui/chat-1/stream")
        elsewhere = await service.client.get("/agents/thinker/ui/chat-1/stream")
    _, first, second = said["messages"]
    assert first == second
    assert words(first).split(" ") == [f"w{number}" for number in range(40)]
    assert over.status_code == 204
    assert elsewhere.status_code == 409
    assert len(openai.requests) == 1


async def test_a_question_is_answered_in_words(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """As the next message of the chat; it is one run, and two messages."""
    openai.replies = answers
    async with serving(**settings) as service:
        said = await chat(service, "asking", ["send", {"text": "Paint."}], ["send", {"text": "blue"}])
        runs = (await service.get("/sessions/chat-1/runs"))["items"]
    question = next(part for part in said["messages"][1]["parts"] if part["type"] == "data-input-required")
    assert (question["data"]["prompt"], question["data"]["source"]) == ("Which colour?", "colour")
    assert words(said["messages"][-1]) == "It said: blue"
    assert [run["status"] for run in runs] == ["completed"]
    assert {message["metadata"]["run_id"] for message in said["messages"][1::2]} == {runs[0]["run_id"]}
    same_as("ai-sdk-answered", said["streams"][1]["text"])


@pytest.mark.parametrize("decision", [{"type": "data-answer", "data": {"decision": "deny"}}, '{"decision": "deny"}'])
async def test_a_question_with_a_schema(decision: Any, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Is answered by a part of the message, or by JSON in it; another answer is refused, and the run waits on."""
    openai.replies = answers
    part = decision if isinstance(decision, dict) else {"type": "text", "text": decision}
    async with serving(**settings) as service:
        said = await chat(service, "removing", ["send", {"text": "Remove."}], ["send", {"text": "perhaps"}])
        assert "does not fit the schema" in said["error"]
        said = await chat(service, "removing", ["send", {"parts": [part]}], messages=said["messages"])
    assert "A person denied this call" in words(said["messages"][-1])


async def test_a_chat_that_waits_is_resumed(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """With its question; and whoever waits for the person's words has not left."""
    openai.replies = answers
    async with serving(**settings) as service:
        said = await chat(service, "asking", ["send", {"text": "Paint."}])
        again = await chat(service, "asking", ["resume", None], messages=said["messages"])
        metrics = (await service.client.get("/metrics")).text
    assert again["messages"] == said["messages"]
    assert 'waggle_disconnects_total{reason="left"} 0.0' in metrics


async def test_a_key_is_one_run(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Also where an answer is made again."""
    user = {"role": "user", "parts": [{"type": "text", "text": "One."}]}
    body = {"id": "chat-1", "messages": [user], "trigger": "regenerate-message"}
    async with serving(**settings) as service:
        await chat(service, "plain", ["send", {"text": "One."}])
        keyed = {"Idempotency-Key": "again"}
        sent = [await service.client.post("/agents/plain/ui", json=body, headers=keyed) for _ in range(2)]
        assert len({answer.headers["x-run-id"] for answer in sent}) == 1
        assert (await service.get("/sessions/chat-1"))["turns"] == 1
    assert len(openai.requests) == 2


async def test_a_key_is_no_answer(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """A message that is sent again joins its run, though that waits for a person by now."""
    openai.replies = answers
    body = {"id": "chat-1", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Paint."}]}]}
    async with serving(**settings) as service:
        keyed = {"Idempotency-Key": "again"}
        sent = [await service.client.post("/agents/asking/ui", json=body, headers=keyed) for _ in range(2)]
        run = await service.get(f"/runs/{sent[1].headers['x-run-id']}")
    assert ["Which colour?" in each.text for each in sent] == [True, True]
    assert run["status"] == "input_required"


async def test_it_is_somebodys(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """A chat is found for its user alone."""
    async with serving(**settings) as service:
        ann, bob = ({"headers": {"X-User-ID": name}} for name in ("ann", "bob"))
        await chat(service, "plain", ["send", {"text": "One."}], **ann)
        said = await chat(service, "plain", ["send", {"text": "Two."}], **bob)
    assert said["streams"][0]["status"] == 404
    assert len(openai.requests) == 1


async def test_the_example(openai: OpenAIWire, settings: dict[str, Any], tmp_path: Path) -> None:
    """Prints the answer."""
    openai.replies = answers
    async with serving(**settings) as service:
        url = f"{service.url}/agents/plain/ui"
        assert await example("ai-sdk/chat.mjs", tmp_path, url, "Hello!") == "Bees dance.\n"


def test_the_page_shows_the_examples() -> None:
    """Word for word."""
    page = (EXAMPLES.parent / "docs" / "protocols" / "ai-sdk.md").read_text(encoding="utf-8")
    for name in ("chat.mjs", "page.jsx"):
        assert (EXAMPLES / "ai-sdk" / name).read_text(encoding="utf-8") in page
