"""Each way in which a provider can fail, as each SDK reports it and as a caller is told."""

from typing import Any

import anyio
import httpx
import pytest
from anthropic import AnthropicError
from autogen_core.models import UserMessage
from ollama import ResponseError
from openai import OpenAIError

from app.agents.provider_errors import ProviderFailure, UnreadableAnswerError, classify
from tests.agents.providers.cases import KEY, Case, ask, each_provider, each_way
from tests.servers.replies import Cut, Garbage, Hang, HttpError, Reply, Text

QUESTION = [UserMessage(content="Hello?", source="user")]
SECRET = "the provider's own words"

FAILURES = (OpenAIError, AnthropicError, ResponseError, httpx.HTTPError, UnreadableAnswerError)
"""What the clients may raise."""

REFUSED = "The model provider refused the service's credentials."
LIMITED = "The model provider's rate limit or quota is reached."
REJECTED = "The model provider rejected the request."
NO_MODEL = "The model provider does not have the model."
DOWN = "The model provider is unavailable."
UNREADABLE = "The model provider's answer could not be read."
SLOW = "The model provider did not answer in time."


async def failure(case: Case, url: str, stream: bool, timeout_s: float = 60, **settings: Any) -> ProviderFailure:
    """What the caller of an agent that asks is told; never in anybody else's words."""
    models = case.models(url, model_timeout_s=timeout_s, **settings)
    with pytest.raises(FAILURES) as raised:
        await ask(models.client(), stream, QUESTION)
    await models.aclose()
    told = classify(raised.value)
    assert told is not None, repr(raised.value)
    assert all(secret not in str(told.problem()) for secret in (SECRET, KEY, url, "127.0.0.1"))
    return told


@pytest.mark.parametrize(
    ("status", "reason", "detail"),
    [
        (400, "bad_request", REJECTED),
        (401, "authentication", REFUSED),
        (403, "authentication", REFUSED),
        (404, "bad_request", NO_MODEL),
        (422, "bad_request", REJECTED),
        (429, "rate_limit", LIMITED),
        (500, "unavailable", DOWN),
        (503, "unavailable", DOWN),
    ],
)
@each_way
@each_provider
async def test_a_refusal(case: Case, stream: bool, status: int, reason: str, detail: str) -> None:
    """Each status is a kind of failure."""
    async with case.wire([HttpError(status, SECRET)]) as wire:
        told = await failure(case, wire.url, stream)
    assert (told.reason, told.detail, told.status) == (reason, detail, 502)


@each_way
@each_provider
async def test_a_wrong_key(case: Case, stream: bool) -> None:
    """A key that the provider does not know."""
    async with case.wire(key="another") as wire:
        told = await failure(case, wire.url, stream)
    assert told.reason == "authentication"


@pytest.mark.parametrize("status", [429, 503])
@each_way
@each_provider
async def test_a_retry(case: Case, stream: bool, status: int) -> None:
    """A refusal for the moment is not one for good: the provider is asked again when it wants to be."""
    refusal = HttpError(status, retry_after=0.01)
    async with case.wire([refusal, refusal, Text("There.")]) as wire:
        models = case.models(wire.url, model_max_retries=2)
        client = models.client()
        with anyio.fail_after(1):  # unasked, everybody would wait longer
            result, _ = await ask(client, stream, QUESTION)
        await models.aclose()
    assert result.content == "There."
    assert len(wire.requests) == 3


@each_way
@each_provider
async def test_the_last_retry(case: Case, stream: bool) -> None:
    """MODEL_MAX_RETRIES is where patience ends."""
    async with case.wire(lambda _: HttpError(429, retry_after=0.01)) as wire:
        told = await failure(case, wire.url, stream, model_max_retries=1)
    assert told.reason == "rate_limit"
    assert len(wire.requests) == 2


@each_way
@each_provider
async def test_nobody_there(case: Case, stream: bool) -> None:
    """The connection is refused."""
    async with case.wire() as wire:
        await wire.stop()
        told = await failure(case, wire.url, stream)
    assert (told.reason, told.detail) == ("unavailable", DOWN)


@each_way
@each_provider
async def test_silence(case: Case, stream: bool) -> None:
    """MODEL_TIMEOUT_S passes without a word."""
    async with case.wire(lambda _: Hang()) as wire:
        timeout_s = 0.1
        while not wire.requests:  # on a busy machine it may be over before the request is there
            timeout_s *= 2
            told = await failure(case, wire.url, stream, timeout_s)
            assert (told.reason, told.detail) == ("timeout", SLOW)
        await wire.until_abandoned()


@each_provider
async def test_silence_in_the_middle(case: Case) -> None:
    """A stream that falls silent."""
    async with case.wire(lambda _: Hang(("Well, ", "I "))) as wire:
        timeout_s = 0.1
        while not wire.streams:  # as above
            timeout_s *= 2
            told = await failure(case, wire.url, stream=True, timeout_s=timeout_s)
            assert (told.reason, told.detail) == ("timeout", SLOW)
        await wire.until_abandoned()


@each_provider
async def test_a_broken_connection(case: Case) -> None:
    """A stream that breaks off is no short answer."""
    async with case.wire([Cut()]) as wire:
        told = await failure(case, wire.url, stream=True)
    assert (told.reason, told.detail) == ("unavailable", DOWN)


@pytest.mark.filterwarnings("ignore:No text content or tool calls:UserWarning")  # AutoGen's, of an empty stream
@pytest.mark.parametrize(
    "reply",
    [
        Garbage(),
        Garbage(b"<html>Welcome</html>", "text/html"),
        Garbage(b"{}", "application/json"),
        Garbage(b'{"choices": null}'),
        Garbage(b"[1, 2]", "application/json"),
        Garbage(b""),
    ],
    ids=["broken", "html", "empty object", "no choices", "list", "nothing"],
)
@each_way
@each_provider
async def test_garbage(case: Case, stream: bool, reply: Reply) -> None:
    """Status 200 and no answer: neither an empty answer, nor an error of the interpreter's."""
    async with case.wire([reply]) as wire:
        told = await failure(case, wire.url, stream)
    assert (told.reason, told.detail) == ("unavailable", UNREADABLE)
