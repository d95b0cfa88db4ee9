"""AG-UI, as its own client speaks it; that holds the events to the protocol's schema and order."""

from pathlib import Path
from typing import Any

import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import Drip, HttpError
from tests.service import Service, serving
from tests.wire.chatting import answers, folder_of
from tests.wire.node import EXAMPLES, client, example
from tests.wire.recording import same_as

OWN = ("painter", "thinker", "asking")


@pytest.fixture
def settings(with_openai: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return with_openai | {"agents_dir": folder_of(tmp_path), "disconnect_grace_s": 0.05}


async def agent(service: Service, name: str, *steps: list[Any], **more: Any) -> Any:
    """What an agent of AG-UI's client holds once it has done these."""
    told = {"url": f"{service.url}/agents/{name}/ag-ui", "threadId": "thread-1", **more}
    return await client("ag-ui.mjs", steps=steps, **told)


def asked(openai: OpenAIWire) -> list[Any]:
    """What users have said, as the model was told last."""
    return [message["content"] for message in openai.requests[-1].json["messages"] if message["role"] == "user"]


@pytest.mark.parametrize("name", ["assistant", "weather", "research", "support", "ticket", *OWN])
async def test_a_stream(name: str, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Whole, for each kind of agent."""
    openai.replies = answers
    if name not in OWN:
        del settings["agents_dir"]
    async with serving(**settings) as service:
        held = await agent(service, name, ["say", "Hello."], state={"theme": "dark"})
    assert held["errors"] == []
    assert (held["state"]["theme"], held["state"]["waggle"]["agent"]) == ("dark", name)
    assert (held["interrupts"] != []) == (name == "asking")
    same_as(f"ag-ui-{name}", held["streams"][0]["text"])


async def test_the_messages_of_a_team(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Each is somebody's; a tool's result belongs to its call."""
    del settings["agents_dir"]
    openai.replies = answers
    async with serving(**settings) as service:
        held = await agent(service, "support", ["say", "Hello."])
    kinds = [(message["role"], message.get("name")) for message in held["messages"]]
    assert kinds == [("user", None), ("assistant", None), ("tool", None), ("assistant", "billing")]
    assert held["messages"][1]["toolCalls"][0]["id"] == held["messages"][2]["toolCallId"]
    assert held["result"] == "Bees dance."


async def test_a_run_that_fails(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    openai.replies = lambda _: HttpError(401, "no such key sk-secret")
    async with serving(**settings) as service:
        held = await agent(service, "plain", ["say", "Hello."])
    assert held["errors"] == ["provider-failed"]
    assert "sk-secret" not in str(held)
    same_as("ag-ui-error", held["streams"][0]["text"])


@pytest.mark.parametrize(
    ("name", "more", "status", "kind"),
    [
        ("nobody", {}, 404, "not-found"),
        ("plain", {"threadId": "no id"}, 422, "invalid-input"),
        ("plain", {"headers": {"X-Session-ID": "another"}}, 422, "invalid-input"),
    ],
)
async def test_what_begins_no_run(
    name: str, more: dict[str, Any], status: int, kind: str, openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    """The client's error has the problem."""
    async with serving(**settings) as service:
        held = await agent(service, name, ["say", "Hello."], **more)
    assert held["streams"][0]["status"] == status
    assert f"urn:waggle:problem:{kind}" in held["errors"][0]
    assert openai.requests == []


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "user"}], "messages.0.user.content"),
        ([{"id": "1", "role": "assistant", "content": "Hi."}], "The last message must be the user's"),
        (
            [{"id": "1", "role": "user", "content": [{"type": "audio", "source": {"type": "url", "value": "x"}}]}],
            "takes images",
        ),
    ],
)
async def test_messages_that_are_none(messages: list[Any], said: str, settings: dict[str, Any]) -> None:
    async with serving(**settings) as service:
        body = {"threadId": "thread-1", "runId": "run-1", "messages": messages}
        refused = await service.client.post("/agents/plain/ag-ui", json=body)
    assert refused.status_code == 422
    assert said in refused.text


async def test_an_image_is_seen(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    uri = data_uri(picture())
    source = {"type": "data", "value": uri.partition(",")[2], "mimeType": "image/png"}
    content = [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}]
    openai.replies = answers
    async with serving(**settings) as service:
        await agent(service, "plain", ["say", content])
        held = await agent(service, "plain", ["run", {}])
    assert asked(openai)[0][1]["image_url"]["url"] == uri
    assert held["messages"][0]["content"][1]["source"] == source


async def test_a_client_that_leaves(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """The run is cancelled, and the thread goes on at once."""
    openai.replies = lambda _: Drip()
    async with serving(**settings) as service:
        await agent(service, "plain", ["abort", "Go on."])
        await openai.until_abandoned(1)
        openai.replies = answers
        held = await agent(service, "plain", ["say", "Hello?"])
        runs = (await service.get("/sessions/thread-1/runs"))["items"]
    assert held["messages"][-1]["content"] == "Bees dance."
    assert [run["status"] for run in runs] == ["completed", "cancelled"]


async def test_runs_are_of_one_session(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """The stored one; a client that has nothing is told what it holds."""
    openai.replies = answers
    async with serving(**settings) as service:
        held = await agent(service, "plain", ["say", "One."], ["say", "Two."])
        assert asked(openai) == ["One.", "Two."]
        again = await agent(service, "plain", ["run", {}])
        nothing = await agent(service, "plain", ["run", {}], threadId="thread-2")
    assert [message["content"] for message in again["messages"]] == ["One.", "Bees dance.", "Two.", "Bees dance."]
    assert [message["id"] for message in again["messages"][1::2]] == [each["id"] for each in held["messages"][1::2]]
    assert (nothing["messages"], nothing["errors"]) == ([], [])
    assert len(openai.requests) == 2


async def test_what_is_stored_nowhere_is_the_history(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    earlier = [
        {"id": "0", "role": "system", "content": "Be brief."},
        {"id": "1", "role": "user", "content": "I am Ann."},
        {"id": "2", "role": "assistant", "content": "Hi, Ann."},
        {"id": "3", "role": "reasoning", "content": "Who is it?"},
    ]
    openai.replies = answers
    async with serving(**settings) as service:
        await agent(service, "plain", ["say", "Who am I?"], messages=earlier)
    sent = [message["content"] for message in openai.requests[-1].json["messages"]]
    assert sent == ["You answer.", "Be brief.", "I am Ann.", "Hi, Ann.", "Who am I?"]


async def test_a_picture_in_the_history(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Is told to no model as text."""
    earlier = [
        {"id": "1", "role": "user", "content": "Paint."},
        {"id": "2", "role": "assistant", "content": f"A dot. ![]({data_uri(picture())})"},
    ]
    openai.replies = answers
    async with serving(**settings) as service:
        await agent(service, "plain", ["say", "And?"], messages=earlier)
    sent = [message["content"] for message in openai.requests[-1].json["messages"]]
    assert sent == ["You answer.", "Paint.", "A dot. [image]", "And?"]


async def test_an_interrupt_is_answered(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """By the next run of the client's: it is one run here."""
    openai.replies = answers
    async with serving(**settings) as service:
        held = await agent(service, "asking", ["say", "Paint."], ["answer", ["resolved", "blue"]])
        runs = (await service.get("/sessions/thread-1/runs"))["items"]
    assert held["errors"] == []
    assert held["messages"][-1]["content"] == "It said: blue"
    assert [run["status"] for run in runs] == ["completed"]
    same_as("ag-ui-answered", held["streams"][1]["text"])


async def test_an_interrupt_is_answered_in_words(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """By a client that knows nothing of it any more."""
    openai.replies = answers
    async with serving(**settings) as service:
        await agent(service, "asking", ["say", "Paint."])
        held = await agent(service, "asking", ["say", "blue"])
    assert held["messages"][-1]["content"] == "It said: blue"


async def test_an_interrupt_that_asks_by_a_schema(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """The client has it; another answer is refused, and the run waits on."""
    openai.replies = answers
    steps: list[list[Any]] = [
        ["say", "Remove."],
        ["answer", ["resolved", "perhaps"]],
        ["answer", ["resolved", {"decision": "approve"}]],
    ]
    async with serving(**settings) as service:
        held = await agent(service, "removing", *steps)
    assert "does not fit the schema" in held["errors"][0]
    assert held["messages"][-1]["content"] == "It said: /a is gone"


async def test_an_interrupt_is_cancelled(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """And the run with it. Then nothing is there to be answered."""
    openai.replies = answers
    async with serving(**settings) as service:
        held = await agent(service, "asking", ["say", "Paint."], ["answer", ["cancelled", None]])
        assert (held["events"][-1], held["errors"], held["interrupts"]) == ("RUN_FINISHED", [], [])
        runs = (await service.get("/sessions/thread-1/runs"))["items"]
        late = {"resume": [{"interruptId": "i", "status": "resolved", "payload": "blue"}]}
        refused = await agent(service, "asking", ["run", late])
    assert [run["status"] for run in runs] == ["cancelled"]
    assert "urn:waggle:problem:not-waiting" in refused["errors"][0]
    same_as("ag-ui-cancelled", held["streams"][1]["text"])


async def test_something_else_is_said_instead(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Of an answer: it begins another run, which knows what was said, since nothing of the thread is stored yet."""
    openai.replies = answers
    async with serving(**settings) as service:
        held = await agent(service, "asking", ["say", "Paint."], ["instead", "Sing."], ["answer", ["resolved", "red"]])
        runs = (await service.get("/sessions/thread-1/runs"))["items"]
    assert held["errors"] == []
    assert held["messages"][-1]["content"] == "It said: red"
    assert [run["status"] for run in runs] == ["completed", "cancelled"]
    assert asked(openai) == ["Paint.", "Sing."]


async def test_options_are_forwarded(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Those that are none of the service's are left alone."""
    openai.replies = answers
    props = {"forwardedProps": {"waggle": {"metadata": {"page": "home"}}, "other": 1}}
    message = {"id": "1", "role": "user", "content": "Hello."}
    async with serving(**settings) as service:
        await agent(service, "plain", ["run", props], messages=[message])
        await agent(service, "plain", ["run", {"forwardedProps": "words"}], messages=[message])
        wrong = await agent(
            service, "plain", ["run", {"forwardedProps": {"waggle": {"timeout_s": 0}}}], messages=[message]
        )
        runs = (await service.get("/sessions/thread-1/runs"))["items"]
    assert [run["metadata"] for run in runs] == [{}, {"page": "home"}]
    assert wrong["streams"][0]["status"] == 422


async def test_it_is_somebodys(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """A thread is found for its user alone."""
    openai.replies = answers
    async with serving(**settings) as service:
        ann, bob = ({"headers": {"X-User-ID": name}} for name in ("ann", "bob"))
        await agent(service, "plain", ["say", "One."], **ann)
        held = await agent(service, "plain", ["say", "Two."], **bob)
        shown = await agent(service, "plain", ["run", {}], **bob)
    assert held["streams"][0]["status"] == 404
    assert shown["messages"] == []


async def test_the_example(openai: OpenAIWire, settings: dict[str, Any], tmp_path: Path) -> None:
    """Prints the answer."""
    openai.replies = answers
    async with serving(**settings) as service:
        url = f"{service.url}/agents/plain/ag-ui"
        assert await example("ag-ui/chat.mjs", tmp_path, url, "Hello!") == "plain: Bees dance.\n"


def test_the_page_shows_the_example() -> None:
    """Word for word."""
    page = (EXAMPLES.parent / "docs" / "protocols" / "ag-ui.md").read_text(encoding="utf-8")
    assert (EXAMPLES / "ag-ui" / "chat.mjs").read_text(encoding="utf-8") in page
