"""OpenAI's own client for Node: what the one for Python is tried with, in short."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.test_runs import TICKET
from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import Drip, HttpError
from tests.service import Service, serving
from tests.wire.callees import ended
from tests.wire.chatting import answers, folder_of
from tests.wire.node import client, example
from tests.wire.openai_client import run_id, told

OWN = ("plain", "painter", "thinker", "asking")
WAYS = ("chat", "chunks", "response", "events")
PICTURE = data_uri(picture())
WEATHER = "It said: Paris, France, 14 July: usually 16 to 26 °C, 26 % chance of rain."
PAINTED = f"A dot.\n\n![]({PICTURE})"
BEES = "Bees dance."


@pytest.fixture
def settings(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    openai.replies = answers
    return with_openai | {"agents_dir": folder_of(tmp_path), "disconnect_grace_s": 0.05}


async def got(service: Service, *steps: tuple[str, Any], **headers: str) -> Any:
    """What the client has of each of these."""
    return await client("openai.mjs", baseURL=f"{service.url}/v1", headers=headers, steps=steps)


def ask(way: str, model: str, said: Any = "Hello.", **more: Any) -> tuple[str, Any]:
    """A message, or a conversation, in that way."""
    if way.endswith(("chat", "chunks")):
        return way, {"model": model, "messages": said if isinstance(said, list) else [user(said)], **more}
    return way, {"model": model, "input": said, **more}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("agent", "text", "items"),
    [
        ("plain", BEES, ["message"]),
        ("thinker", BEES, ["reasoning", "message"]),
        ("weather", WEATHER, ["mcp_call", "message"]),
        ("research", "\n\n".join([BEES] * 2), ["message"] * 2),
        ("support", BEES, ["mcp_call", "message"]),
        ("ticket", TICKET, ["message"]),
        ("painter", PAINTED, ["message", "image_generation_call"]),
        ("asking", "Which colour?", ["mcp_call", "message"]),
    ],
)
async def test_an_answer(agent: str, text: str, items: list[str], settings: dict[str, Any]) -> None:
    """In each way it is the same."""
    if agent not in OWN:
        del settings["agents_dir"]
    async with serving(**settings) as service:
        told = await got(service, *[ask(way, agent) for way in WAYS])
        assert agent in (await got(service, ("models", None)))[0]["models"]
    chat, chunks, response, events = told
    assert [each["end"] for each in told] == ["stop", "stop", "completed", "completed"]
    assert words(chat["text"]) == words(chunks["text"]) == words(text)
    assert words(response["text"]) == words(events["text"]) == words(text.partition("\n\n!")[0].replace("\n\n", ""))
    assert response["items"] == events["items"] == items
    assert chat.get("thought") == chunks.get("thought") == ("What do they do?" if agent == "thinker" else None)
    assert chat["tokens"] == response["tokens"]


def words(text: str) -> str:
    """Without what a model, and what writes JSON anew, leave between its tokens."""
    return text.replace(": ", ":").replace(", ", ",")


async def test_what_never_begins(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """The client's own errors say why."""
    async with serving(**settings, api_keys="acme:sk-acme-0123456789abcdef") as service:
        (stranger,) = await got(service, ask("chat", "plain"))
        key = {"Authorization": "Bearer sk-acme-0123456789abcdef"}
        nobody = await got(service, *[ask(way, "nobody") for way in WAYS], **key)
        wrong = await got(service, ask("chat", "plain", n=2), ask("events", "plain", tool_choice="required"), **key)
    assert (stranger["raised"], stranger["status"], stranger["code"]) == ("AuthenticationError", 401, "unauthorized")
    assert [(each["raised"], each["status"], each["code"]) for each in nobody] == [
        ("NotFoundError", 404, "not_found")
    ] * 4
    assert [(each["raised"], each["code"], each["param"]) for each in wrong] == [
        ("BadRequestError", "invalid_input", "n"),
        ("BadRequestError", "invalid_input", "tool_choice"),
    ]
    assert openai.requests == []


async def test_a_run_that_fails(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Is told once, and not tried again."""
    openai.replies = lambda _: HttpError(401, "no such key sk-secret")
    async with serving(**settings) as service:
        chat, chunks, response, events = await got(service, *[ask(way, "plain") for way in WAYS])
    assert (chat["raised"], chat["status"], chat["code"]) == ("InternalServerError", 502, "provider_failed")
    assert (chunks["raised"], chunks["code"]) == ("APIError", "provider_failed")
    assert [(each["end"], each["error"]["code"]) for each in (response, events)] == [("failed", "server_error")] * 2
    assert len(openai.requests) == 4


@pytest.mark.parametrize("what", ["chunks", "events"])
async def test_a_client_that_leaves(what: str, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Leaves no model call behind, and can ask again."""
    openai.replies = lambda request: Drip() if request.asked.text == "Go on." else answers(request)
    async with serving(**settings) as service:
        gone, again = await got(service, ask(f"leave the {what}", "plain", "Go on."), ask(what, "plain"))
        await openai.until_abandoned(1)
        assert (await ended(service, run_id(gone["id"])))["status"] == "cancelled"
    assert again["text"] == BEES


@pytest.mark.parametrize("way", WAYS)
async def test_two_turns(way: str, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """As the client sends them; of a session; after a response."""
    talk = [user("One."), {"role": "assistant", "content": BEES}, user("Two.")]
    async with serving(**settings) as service:
        await got(service, ask(way, "plain", talk))
        assert told(openai)[1:] == [(each["role"], each["content"]) for each in talk]
        await got(service, ask(way, "plain", "One."), ask(way, "plain", "Two."), **{"X-Session-ID": "s"})
        assert told(openai)[1:] == [(each["role"], each["content"]) for each in talk]
        if way in ("response", "events"):
            first, _ = await got(
                service, ask(way, "plain", "One."), ask(way, "plain", "Two.", previous_response_id="last")
            )
            assert told(openai)[1:] == [(each["role"], each["content"]) for each in talk]
            assert (await service.get(f"/runs/{run_id(first['id'])}"))["status"] == "completed"


@pytest.mark.parametrize("way", WAYS)
async def test_a_question_is_answered_by_what_follows(way: str, settings: dict[str, Any]) -> None:
    async with serving(**settings) as service:
        told = await got(service, ask(way, "asking", "Paint."), ask(way, "asking", "blue"), **{"X-Session-ID": "s"})
    assert [each["text"] for each in told] == ["Which colour?", "It said: blue"]


@pytest.mark.parametrize("way", WAYS)
async def test_an_image_is_seen(way: str, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    if way in ("chat", "chunks"):
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    else:
        parts = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PICTURE}]
    async with serving(**settings) as service:
        await got(service, ask(way, "plain", [user(parts)]))
    assert told(openai)[-1][1][1]["image_url"]["url"] == PICTURE


async def test_in_the_background(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Looked at, watched, come back to, and cancelled."""
    async with serving(**settings) as service:
        begun, seen, rest, whole = await got(
            service,
            ask("response", "plain", background=True),
            ("watch", {}),
            ("watch", {"starting_after": 3}),
            ("retrieve", None),
        )
        assert begun["end"] in ("queued", "in_progress")
        assert (seen["events"][-1], seen["events"][4:]) == ("response.completed", rest["events"])
        assert (whole["end"], whole["text"]) == ("completed", BEES)
        openai.replies = lambda _: Drip()
        _, cancelled, after = await got(
            service, ask("response", "plain", background=True), ("cancel", None), ("retrieve", None)
        )
    assert (cancelled["end"], after["end"]) == ("cancelled", "cancelled")


async def test_the_example(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints the answer, and what it took."""
    async with serving(**settings) as service:
        monkeypatch.setenv("WAGGLE_URL", service.url)
        monkeypatch.setenv("AGENT", "plain")
        assert await example("openai/chat.mjs", tmp_path, "Hello!") == f"{BEES}\n18 tokens\n"
