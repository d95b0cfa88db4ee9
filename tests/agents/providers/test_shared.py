"""What holds for every provider's client, at moments that no server can be made to hit."""

import gc
from asyncio import CancelledError
from typing import Any

import anyio
import pytest
from autogen_core import CancellationToken
from autogen_core.models import CreateResult, UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.replay import ReplayChatCompletionClient

from app.agents.providers.shared import Pieces, SharedClient
from tests.agents.providers.cases import Case, ask, each_provider, each_way
from tests.servers.replies import Hang, Text

QUESTION = [UserMessage(content="Hello?", source="user")]


class Tidy(ReplayChatCompletionClient):
    """Streams one piece, and takes its time to clear up."""

    def __init__(self) -> None:
        super().__init__([])
        self.clearing, self.may_clear, self.cleared = anyio.Event(), anyio.Event(), anyio.Event()

    async def create_stream(self, *_: Any, **__: Any) -> Pieces:
        yield "One."
        try:
            await anyio.sleep_forever()
        finally:
            self.clearing.set()
            await self.may_clear.wait()
            self.cleared.set()


class Failing(ReplayChatCompletionClient):
    """Streams one piece, and fails."""

    async def create_stream(self, *_: Any, **__: Any) -> Pieces:
        yield "One."
        raise ConnectionResetError


class SharedTidy(SharedClient, Tidy):
    """As the providers' clients are made."""


class SharedFailing(SharedClient, Failing):
    """As the providers' clients are made."""


async def test_closing_waits_for_the_response() -> None:
    """When `aclose` returns, the response is closed."""
    client = SharedTidy()
    client.may_clear.set()
    stream = client.create_stream(QUESTION)
    await anext(stream)
    await stream.aclose()
    assert client.cleared.is_set()


async def test_closing_does_not_wait_for_ever() -> None:
    """A response that does not close is left behind after a second."""
    client = SharedTidy()
    stream = client.create_stream(QUESTION)
    await anext(stream)
    with anyio.fail_after(3):
        await stream.aclose()
    assert client.clearing.is_set()
    client.may_clear.set()
    await client.cleared.wait()


async def test_cancelled_twice() -> None:
    """Who cancels a call that is clearing up already, however often, does not keep it from that."""
    client, token = SharedTidy(), CancellationToken()

    async def read() -> None:
        stream = client.create_stream(QUESTION, cancellation_token=token)
        assert [piece async for piece in stream] == []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        token.cancel()
        await client.clearing.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            assert not client.cleared.is_set()
            client.may_clear.set()
            with anyio.fail_after(1):
                await client.cleared.wait()


async def test_a_failure_that_nobody_waits_for() -> None:
    """It is not reported as one that was overlooked."""
    stream = SharedFailing([]).create_stream(QUESTION)
    await anext(stream)
    await anyio.wait_all_tasks_blocked()
    await stream.aclose()
    del stream
    gc.collect()  # which is when asyncio complains, and the test would fail


async def test_a_failure_after_a_piece() -> None:
    """It reaches the reader after the piece."""
    stream = SharedFailing([]).create_stream(QUESTION)
    assert await anext(stream) == "One."
    with pytest.raises(ConnectionResetError):
        await anext(stream)


async def test_cancelled_before_it_began() -> None:
    """Nothing is called."""
    client, token = SharedTidy(), CancellationToken()
    token.cancel()
    with pytest.raises(CancelledError):
        await anext(client.create_stream(QUESTION, cancellation_token=token))
    assert not client.clearing.is_set()


@each_way
@each_provider
async def test_a_mistake_of_ours(case: Case, stream: bool) -> None:
    """What AutoGen finds wrong with a request is not taken for a failure of the provider's."""
    tool = FunctionTool(lambda: "", "No name for a tool.", name="not a name")
    async with case.wire() as wire:
        models = case.models(wire.url)
        with pytest.raises(ValueError, match="Invalid name: not a name"):
            await ask(models.client(), stream, QUESTION, tools=[tool])
        await models.aclose()
    assert wire.requests == []


@each_provider
async def test_many_streams(case: Case) -> None:
    """None waits for another: HTTP libraries' pools hold but a hundred connections, if not told otherwise."""
    streams = 120
    async with case.wire(lambda _: Hang(("Well, ",))) as wire:
        models = case.models(wire.url)
        client = models.client()

        async def read() -> None:
            async for _ in client.create_stream(QUESTION):
                pass

        async with anyio.create_task_group() as tasks:
            for _ in range(streams):
                tasks.start_soon(read)
            with anyio.fail_after(20):
                await wire.until_streaming(streams)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await wire.until_abandoned(streams)
        await models.aclose()


@each_way
@each_provider
async def test_asked_again_after_a_silence(case: Case, stream: bool) -> None:
    """A call that nobody answered is made again."""
    async with case.wire([Hang(), Text("There.")]) as wire:
        models = case.models(wire.url, model_timeout_s=0.2, model_max_retries=1)
        result, _ = await ask(models.client(), stream, QUESTION)
        await models.aclose()
    assert isinstance(result, CreateResult)
    assert result.content == "There."
