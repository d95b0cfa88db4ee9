"""A call that nobody waits for any more ends at the provider, within a second, however it was left."""

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_core import CancellationToken
from autogen_core.models import CreateResult, UserMessage
from pydantic import BaseModel

from tests.agents.providers.cases import CASES, Case, ask, each, each_provider, each_way
from tests.servers.replies import Drip, Hang, Reply, Text
from tests.servers.wire import Wire

SECOND = 1.0
QUESTION = [UserMessage(content="Count.", source="user")]

Stream = AsyncGenerator[str | CreateResult, None]


class Numbers(BaseModel):
    """An answer with a form."""

    numbers: list[list[int]]


async def drain(stream: Stream) -> None:
    async for _ in stream:
        pass


async def drain_cancelled(stream: Stream) -> None:
    """Until the token, not the reader, ends it."""
    with pytest.raises(CancelledError):
        await drain(stream)


async def closed(stream: Stream, _: CancellationToken) -> None:
    """Its reader closes it."""
    await anext(stream)
    await stream.aclose()


async def dropped(stream: Stream, _: CancellationToken) -> None:
    """Its reader forgets it."""
    await anext(stream)


async def cancelled_by_token(stream: Stream, token: CancellationToken) -> None:
    """AutoGen's way, while the reader waits for the next piece."""
    await anext(stream)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drain_cancelled, stream)
        await anyio.wait_all_tasks_blocked()
        token.cancel()


async def cancelled_between_pieces(stream: Stream, token: CancellationToken) -> None:
    """AutoGen's way, while the reader is busy with a piece."""
    await anext(stream)
    token.cancel()
    with pytest.raises(CancelledError):
        await anext(stream)


async def cancelled_by_task(stream: Stream, _: CancellationToken) -> None:
    """The reader's own task is cancelled."""
    await anext(stream)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drain, stream)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


Leave = Callable[[Stream, CancellationToken], Awaitable[None]]
LEAVES: list[Leave] = [closed, dropped, cancelled_by_token, cancelled_between_pieces, cancelled_by_task]


@pytest.mark.parametrize("leave", LEAVES, ids=lambda leave: leave.__name__)
@pytest.mark.parametrize("reply", [Drip("["), Hang(("[", "["))], ids=["speaking", "silent"])
@each_provider
async def test_a_stream(case: Case, reply: Reply, leave: Leave) -> None:
    """A provider that is speaking, or one that is thinking."""
    async with case.wire([reply]) as wire:
        await check_left(case, wire, leave)


@pytest.mark.parametrize("leave", LEAVES, ids=lambda leave: leave.__name__)
@each({name: case for name, case in CASES.items() if case.structured})
async def test_a_structured_stream(case: Case, leave: Leave) -> None:
    """Where AutoGen takes another way through the SDK."""
    async with case.wire([Drip("[")]) as wire:
        await check_left(case, wire, leave, json_output=Numbers)


async def check_left(case: Case, wire: Wire, leave: Leave, **options: Any) -> None:
    models = case.models(wire.url)
    token = CancellationToken()
    stream = models.client().create_stream(QUESTION, cancellation_token=token, **options)
    await leave(stream, token)
    del stream
    with anyio.fail_after(SECOND):
        await wire.until_abandoned()
    assert wire.open_streams == 0
    await models.aclose()


@each_way
@each_provider
async def test_before_the_answer(case: Case, stream: bool) -> None:
    """Nothing has come yet."""
    async with case.wire([Hang()]) as wire:
        models = case.models(wire.url)
        token = CancellationToken()

        async def ask_cancelled() -> None:
            with pytest.raises(CancelledError):
                await ask(models.client(), stream, QUESTION, cancellation_token=token)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_cancelled)
            await wire.until_asked()
            token.cancel()
            with anyio.fail_after(SECOND):
                await wire.until_abandoned()
        await models.aclose()


@each_way
@each_provider
async def test_a_cancelled_token_calls_nobody(case: Case, stream: bool) -> None:
    """A run that was cancelled between two calls."""
    async with case.wire() as wire:
        models = case.models(wire.url)
        token = CancellationToken()
        token.cancel()
        with pytest.raises(CancelledError):
            await ask(models.client(), stream, QUESTION, cancellation_token=token)
        await models.aclose()
    assert wire.requests == []


@each_provider
async def test_an_agent(case: Case) -> None:
    """Through AutoGen's agent, which passes its token on."""
    async with case.wire([Drip()]) as wire:
        models = case.models(wire.url)
        agent = AssistantAgent("agent", models.client(), model_client_stream=True)
        token = CancellationToken()

        async def cancel_at_first_piece() -> None:
            async for event in agent.run_stream(task="Count.", cancellation_token=token):
                if isinstance(event, ModelClientStreamingChunkEvent):
                    token.cancel()

        with pytest.raises(CancelledError):
            await cancel_at_first_piece()
        with anyio.fail_after(SECOND):
            await wire.until_abandoned()
        await models.aclose()


@each_provider
async def test_the_client_goes_on(case: Case) -> None:
    """After a call was abandoned the next one, on the same client, is answered."""
    async with case.wire([Drip()]) as wire:
        models = case.models(wire.url)
        client = models.client()
        stream = client.create_stream(QUESTION)
        await anext(stream)
        await stream.aclose()
        result = await client.create(QUESTION)
        await models.aclose()
    assert result.content == "You said: Count."


@each_provider
async def test_a_token_forgets_the_pieces(case: Case) -> None:
    """AutoGen's token keeps what it is linked to: one thing for a stream, not one for each of its pieces."""
    async with case.wire([Text("word " * 50, interval_s=0.005)]) as wire:
        models = case.models(wire.url)
        token = CancellationToken()
        pieces = [piece async for piece in models.client().create_stream(QUESTION, cancellation_token=token)]
        await models.aclose()
    assert len(pieces) > 10
    assert len(token._callbacks) == 1
