"""Pieces of a stream that come at once are one; what they add up to is held beside the SDK's in `test_parity.py`."""

from collections.abc import Sequence

import pytest
from autogen_core.models import LLMMessage, UserMessage
from openai import APIError

from app.agents.provider_errors import UnreadableAnswerError
from tests.agents.providers.cases import CASES, ask
from tests.agents.providers.recorded import CHOICE, LOGPROB, call, chunk, events, usage
from tests.servers.raw import RawAnswer, RawServer, answer, chunked

QUESTION: Sequence[LLMMessage] = [UserMessage(content="Hello?", source="user")]
END = chunk({}, "stop")
THOUGHT = [chunk({"content": "", "reasoning_content": each}) for each in ("Let ", "me ", "think.")]
TEXT = [chunk({"role": "assistant", "content": each, "tool_calls": []}) for each in ("One ", "two ", "three")]
CALL = chunk({"tool_calls": [call(0, "weather", "{}", "c1")]})
LOGGED = chunk(choices=[CHOICE | {"logprobs": {"content": [LOGPROB | {"top_logprobs": []}]}}])


async def pieces(reply: RawAnswer) -> list[str]:
    """What a caller of the model is told, one by one."""
    async with RawServer(reply) as server:
        models = CASES["openai"].models(server.url, model_client="lean")
        _, told = await ask(models.client(), True, QUESTION)
        await models.aclose()
    return told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(events(*TEXT, END), ["One two three"], id="a text"),
        pytest.param(events(*TEXT, chunk({"content": "!"}, "stop")), ["One two three", "!"], id="the reason is apart"),
        pytest.param(events(*THOUGHT, CALL, END), ["<think>Let me think.", "</think>"], id="a thought"),
        pytest.param(
            events(*THOUGHT, *TEXT, END),
            ["<think>Let me think.", "</think>", "One two three"],
            id="one, then the other",
        ),
        pytest.param(
            events(*THOUGHT, chunk({"content": "a", "reasoning_content": ""}), *TEXT, END),
            ["<think>Let me think.", "a", "</think>", "One two three"],
            id="a word in a thought",
        ),
        pytest.param(
            events(*TEXT, LOGGED, *TEXT, END), ["One two three", "B", "One two three"], id="log-probabilities"
        ),
        pytest.param(
            events(*TEXT, chunk(choices=[], usage=usage()), *TEXT, END), ["One two three"] * 2, id="usage between"
        ),
        pytest.param(events(*TEXT, CALL, END), ["One two three"], id="a call"),
    ],
)
async def test_what_comes_at_once(body: bytes, told: list[str]) -> None:
    """Neighbours of one kind are one piece; nothing else is."""
    assert await pieces(answer(body)) == told


async def test_what_comes_alone() -> None:
    """It is told as it comes."""
    alone = [events(each, done=False) for each in TEXT]
    assert await pieces(chunked(*alone, events(END))) == ["One ", "two ", "three"]


@pytest.mark.parametrize(
    "broken",
    [b"data: {no\n\n", events({"error": {"message": "overloaded"}}, done=False)],
    ids=["broken JSON", "an error"],
)
async def test_what_came_before_a_failure(broken: bytes) -> None:
    """It is told, and then the call fails."""
    async with RawServer(answer(events(*TEXT, done=False) + broken)) as server:
        models = CASES["openai"].models(server.url, model_client="lean")
        told = models.client().create_stream(QUESTION)
        assert await anext(told) == "One two three"
        with pytest.raises((APIError, UnreadableAnswerError)):
            await anext(told)
        await models.aclose()
