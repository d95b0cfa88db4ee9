"""What comes out of a call, and what went out, by the service's own client or by the SDK: to be held side by side."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autogen_core.models import CreateResult, LLMMessage, UserMessage
from httpx2 import HTTPError
from openai import OpenAIError

from app.agents.provider_errors import UnreadableAnswerError, classify
from app.agents.providers.lean.client import LeanClient
from tests.agents.providers.cases import CASES, Case, ask
from tests.servers.raw import RawAnswer, RawRequest, RawServer

QUESTION: Sequence[LLMMessage] = [UserMessage(content="What is the wéather?", source="user")]
OWN = {"accept-encoding", "connection", "host"}
"""Headers that are the HTTP library's."""
OF_PYDANTIC = "Pydantic serializer warnings"
"""The SDK's models warn of what they hold when AutoGen dumps them for its log."""


@dataclass
class Outcome:
    """All that can be seen of a call."""

    streamed: str = ""
    """All of it: how it is cut depends on what came at once."""
    result: dict[str, Any] | None = None
    warned: list[str] = field(default_factory=list)
    error: tuple[Any, ...] | None = None
    requests: list[tuple[Any, ...]] = field(default_factory=list)


async def both(
    *answers: RawAnswer,
    stream: bool,
    case: Case = CASES["openai"],
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[Outcome, Outcome]:
    """The SDK's, and the service's own."""
    made = []
    for client in ("sdk", "lean"):
        async with RawServer(*answers) as server:
            outcome = await outcome_of(
                case, server.url, stream=stream, options=options or {}, model_client=client, **settings
            )
            outcome.requests = [_seen(request, server.url) for request in server.requests]
            made.append(outcome)
    return made[0], made[1]


async def outcome_of(case: Case, url: str, *, stream: bool, options: dict[str, Any], **settings: Any) -> Outcome:
    models = case.models(url, **settings)
    client: Any = models.client()
    assert isinstance(client._client, LeanClient) is (settings["model_client"] == "lean")
    outcome = Outcome()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            await _ask(client, outcome, stream=stream, options=options)
        except (OpenAIError, UnreadableAnswerError, HTTPError, ValueError) as error:
            outcome.error = _told(error)
        await models.aclose()
    outcome.warned = [text for each in warned if not (text := str(each.message)).startswith(OF_PYDANTIC)]
    return outcome


async def _ask(client: Any, outcome: Outcome, *, stream: bool, options: dict[str, Any]) -> None:
    if not stream:
        outcome.result = _seen_of((await ask(client, False, QUESTION, **options))[0])
        return
    async for piece in client.create_stream(QUESTION, **options):
        if isinstance(piece, CreateResult):
            outcome.result = _seen_of(piece)
        else:
            outcome.streamed += piece


def _seen_of(result: CreateResult) -> dict[str, Any]:
    """When a stream began to come is another time each time."""
    seen = dict(result)
    seen["first_chunk_at"] = seen["first_chunk_at"] is not None
    return seen


def _told(error: Exception) -> tuple[Any, ...]:
    """Its class, what it knows, and what a caller is told of it."""
    known: Callable[[str], Any] = lambda name: getattr(error, name, None)  # noqa: E731
    words = None if isinstance(error, UnreadableAnswerError) else str(error)
    told = classify(error)
    return type(error), words, known("status_code"), known("code"), known("body"), told and (told.reason, told.detail)


def _seen(request: RawRequest, url: str) -> tuple[Any, ...]:
    headers = {name: value for name, value in request.headers.items() if name not in OWN | {"content-length"}}
    return request.line.replace(url, "there"), headers, request.json if request.body else None
