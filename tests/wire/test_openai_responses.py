"""OpenAI's responses, by OpenAI's own client, whose helper puts a stream together and refuses what does not fit."""

from typing import Any

import openai as sdk
import pytest

from tests.agents.folder import Folder, folder, until
from tests.agents.test_conversation import PIXEL, add
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError, Text, ToolCall, ToolCalls
from tests.wire.openai_client import TALK, chatting, run_id, streamed, told

__all__ = ["folder"]


def kinds(events: list[Any]) -> list[str]:
    """Of the events, without the deltas."""
    return [event.type.removeprefix("response.") for event in events if not event.type.endswith(".delta")]


async def test_a_response(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Whole and as a stream it is the same, and it can be had again."""
    openai.replies = lambda _: Text("Hello, you.")
    async with chatting(with_openai) as (client, service):
        whole = await client.responses.create(model="assistant", input="Say hello.", temperature=0.2)
        events, final = await streamed(client, model="assistant", input="Say hello.")
        again = await client.responses.retrieve(final.id)
        assert (await service.get(f"/runs/{run_id(whole.id)}"))["output"] == "Hello, you."
    assert whole.output_text == final.output_text == again.output_text == "Hello, you."
    assert (whole.status, final.status, whole.model) == ("completed", "completed", "assistant")
    assert [item.id for item in again.output] == [item.id for item in final.output]
    assert whole.usage is not None
    assert (whole.usage, whole.usage.total_tokens) == (final.usage, 18)
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_a_tool_a_thought_and_a_team(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Each has its item, in order; a tool was called here, and the client is not to."""
    calls = ToolCalls((ToolCall("weather", {"city": "Paris"}),))
    openai.replies = lambda request: Text("Sunny.", thought="Hm.") if request.asked.results else calls
    add(folder, 'team(agent("ann"), agent("bob"))')
    async with chatting(with_openai) as (client, _):
        events, final = await streamed(client, model="weather", input="Paris?")
        again = await client.responses.retrieve(final.id)
        openai.replies = [Text("I am Ann."), Text("I am Bob.")]
        _, team = await streamed(client, model="it", input="Who?")
    assert [item.type for item in final.output] == ["mcp_call", "reasoning", "message"]
    assert [item.type for item in again.output] == ["mcp_call", "reasoning", "message"]
    call = final.output[0]
    assert call.type == "mcp_call"
    assert (call.name, call.arguments, call.status) == ("weather", '{"city":"Paris"}', "completed")
    assert "Paris" in (call.output or "")
    assert {"mcp_call_arguments.done", "mcp_call.completed", "reasoning_text.done"} <= set(kinds(events))
    assert [item.content[0].text for item in team.output if item.type == "message"] == ["I am Ann.", "I am Bob."]  # type: ignore[union-attr]


async def test_a_conversation_goes_on(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """After a response, which may be gone on after twice; by its conversation; or as the client sends it."""
    openai.replies = lambda _: Text("Noted.")
    async with chatting(with_openai) as (client, _):
        first = await client.responses.create(model="assistant", input="I am Zoe.", instructions="Be brief.")
        second = await client.responses.create(model="assistant", input="And I am 7.", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        assert first.conversation == second.conversation
        words = [content for _, content in told(openai)[1:]]
        assert words == ["Be brief.", "I am Zoe.", "Noted.", "And I am 7."]
        branch = await client.responses.create(model="assistant", input="Or 8.", previous_response_id=first.id)
        assert branch.conversation != first.conversation
        assert [content for _, content in told(openai)[1:]] == ["Be brief.", "I am Zoe.", "Noted.", "Or 8."]
        assert second.conversation is not None
        await client.responses.create(model="assistant", input="Go on.", conversation=second.conversation.id)
        assert [content for _, content in told(openai)[1:]] == [*words, "Noted.", "Go on."]
        await client.responses.create(model="assistant", input=TALK)
        assert [content for _, content in told(openai)[1:]] == [message["content"] for message in TALK]
        with pytest.raises(sdk.NotFoundError):
            await client.responses.create(model="assistant", input="Hm?", previous_response_id="resp_nothing")
        with pytest.raises(sdk.BadRequestError):
            await client.responses.create(
                model="assistant", input="Hm?", previous_response_id=first.id, conversation="c"
            )


async def test_in_the_background(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Answered at once; looked at, watched, left and come back to, and cancelled."""
    openai.replies = lambda _: Text("one two three")
    async with chatting(with_openai) as (client, _):
        queued = await client.responses.create(model="assistant", input="Count.", background=True)
        assert queued.status in ("queued", "in_progress")
        seen: list[Any] = [event async for event in await client.responses.retrieve(queued.id, stream=True)]
        rest: list[Any] = [
            event async for event in await client.responses.retrieve(queued.id, stream=True, starting_after=3)
        ]
        assert seen[4:] == rest
        assert seen[-1].response.output_text == "one two three"
        assert (await client.responses.retrieve(queued.id)).output_text == "one two three"
        openai.replies = lambda _: Drip()
        endless = await client.responses.create(model="assistant", input="Count.", background=True)
        await until(lambda: openai.open_streams == 1)
        assert (await client.responses.cancel(endless.id)).status == "cancelled"
        await until(lambda: openai.open_streams == 0)
        assert (await client.responses.retrieve(endless.id)).status == "cancelled"


async def test_images(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Are the task's."""
    parts: Any = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PIXEL}]
    async with chatting(with_openai) as (client, _):
        await client.responses.create(model="assistant", input=[{"role": "user", "content": parts}])
    assert "data:image/png;base64," in str(told(openai)[-1])


async def test_failures(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Before the run by the status, in it by the response."""
    openai.replies = lambda _: HttpError(401)
    async with chatting(with_openai) as (client, _):
        events, final = await streamed(client, model="assistant", input="Hello.")
        assert kinds(events)[-1] == "failed"
        assert final.error is not None
        assert (final.status, final.error.code) == ("failed", "server_error")
        assert (await client.responses.create(model="assistant", input="Hello.")).status == "failed"
        with pytest.raises(sdk.NotFoundError):
            await client.responses.create(model="nobody", input="Hello.")
        wrong: list[Any] = [{"text": {"format": {"type": "json_object"}}}, {"tool_choice": "required"}, {"input": []}]
        for field in wrong:
            request: Any = {"model": "assistant", "input": "Hello.", **field}
            with pytest.raises(sdk.BadRequestError):
                await client.responses.create(**request)


async def test_a_client_that_leaves(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Leaves no model call behind."""
    openai.replies = lambda _: Drip()
    with_openai["disconnect_grace_s"] = 0
    async with chatting(with_openai) as (client, service):
        async with await client.responses.create(model="assistant", input="Hello.", stream=True) as stream:
            await anext(aiter(stream))
            await until(lambda: openai.open_streams == 1)
        await until(lambda: openai.abandoned == 1)
        await until(lambda: service.parts.runner.attempts() == {})


async def test_whose_it_is(with_openai: dict[str, Any]) -> None:
    """Other users' responses do not exist."""
    async with chatting(with_openai) as (client, _):
        mine = await client.responses.create(model="assistant", input="Hello.", user="alice")
        for other in (client, client.with_options(default_headers={"X-User-ID": "bob"})):
            with pytest.raises(sdk.NotFoundError):
                await other.responses.retrieve(mine.id)
            with pytest.raises(sdk.NotFoundError):
                await other.responses.cancel(mine.id)
        alice = client.with_options(default_headers={"X-User-ID": "alice"})
        assert (await alice.responses.retrieve(mine.id)).user == "alice"
