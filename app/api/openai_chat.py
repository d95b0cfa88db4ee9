"""/v1: agents for clients of OpenAI's chat completions. What an agent cannot heed is refused, or ignored."""

import time
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.beginning import RUN_PROBLEMS, AskedDep, Wanted, request_of, unasked
from app.api.chats import waiting_in
from app.api.dependencies import JsonOnly, PartsDep, PrincipalDep
from app.api.openai_common import as_json, spoken, wire_of
from app.api.problems import problem_response, problems
from app.api.schemas import IMAGE_URL, Lenient, Metadata, UserId
from app.api.streams import finished_response, run_headers
from app.events import RunStatus
from app.task import ImagePart, TextPart, Turn
from app.wire.speech import unshown

router = APIRouter(prefix="/v1", tags=["openai"])
ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "OpenAI's `ChatCompletion`; with `stream`, its chunks as server-sent events.",
        "content": {"application/json": {}, "text/event-stream": {}},
    }
}
_SERVED_SINCE = int(time.time())


class Where(Lenient):
    """Where an image is."""

    url: str = Field(pattern=IMAGE_URL)


class ChatTextIn(Lenient):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ChatImageIn(Lenient):
    """An image."""

    type: Literal["image_url"]
    image_url: Where


Parts = Annotated[
    list[Annotated[ChatTextIn | ChatImageIn, Field(discriminator="type")]], Field(min_length=1, max_length=100)
]


class RefusalIn(Lenient):
    """That a model would not answer."""

    type: Literal["refusal"]
    refusal: str


class SystemIn(Lenient):
    """What the client tells every agent."""

    role: Literal["system", "developer"]
    content: str | list[ChatTextIn]


class UserIn(Lenient):
    """What the user says."""

    role: Literal["user"]
    content: Annotated[str, Field(min_length=1)] | Parts


class AssistantIn(Lenient):
    """What was answered; calls of a client's own tools are left out."""

    role: Literal["assistant"]
    content: str | list[ChatTextIn | RefusalIn] | None = None


class ToolIn(Lenient):
    """What a client's own tool came to: left out."""

    role: Literal["tool", "function"]


class StreamOptions(Lenient):
    """What a stream has beside the answer."""

    include_usage: bool = False
    """Whether a last chunk tells the tokens."""


class TextFormat(Lenient):
    """Text as it comes."""

    type: Literal["text"]


class ChatIn(Lenient):
    """A conversation to be answered. Sampling parameters and `tools` are the agent's own business: they are ignored."""

    model: str
    """The agent's name."""
    messages: list[Annotated[SystemIn | UserIn | AssistantIn | ToolIn, Field(discriminator="role")]] = Field(
        min_length=1, max_length=10_000
    )
    """The whole conversation, the user's last message at its end; with X-Session-ID only that is taken."""
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: UserId | None = None
    """The end user, as X-User-ID."""
    metadata: Metadata | None = None
    """Up to 16 pairs of strings, on every span of the run."""
    n: Literal[1] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    """The agent alone decides which of its tools it calls."""
    response_format: TextFormat | None = None
    """An agent's output schema is its own."""
    modalities: list[Literal["text"]] | None = None
    logprobs: Literal[False] | None = None


@router.get("/models", responses=problems(401))
async def list_models(parts: PartsDep, principal: PrincipalDep) -> Response:
    """The agents that are served, as models."""
    names = [name for name, card in sorted(parts.registry.cards.items()) if card.status == "ready"]
    wire = await wire_of("openai_chat")
    return as_json(wire.models({name: _SERVED_SINCE for name in names if principal.may("read", name)}))


@router.get("/models/{name}", responses=problems(404))
async def get_model(name: str, parts: PartsDep) -> Response:
    """One of them."""
    wire = await wire_of("openai_chat")
    return as_json(wire.model(parts.registry.card(name).name, _SERVED_SINCE))


@router.post(
    "/chat/completions", operation_id="complete_chat", responses=RUN_PROBLEMS | ANSWERED, dependencies=[JsonOnly]
)
async def complete(body: ChatIn, asked: AskedDep) -> Response:
    """Answer a conversation: whole, or with `stream` as chunks.

    What is said in a session whose run asks the user something is the answer, and the same run goes on.
    """
    turns = [turn for message in body.messages if (turn := _turn(message)) is not None]
    if not turns or turns[-1].role != "user":
        raise unasked("messages")
    request = request_of(
        asked,
        Wanted(
            agent=body.model,
            task=turns[-1].content,
            history=() if asked.session else tuple(turns[:-1]),
            body=body.model_dump(mode="json", exclude={"user"}),
            user_id=body.user,
            user_field="user",
            metadata=body.metadata or {},
        ),
    )
    waiting = await waiting_in(asked.parts, request) if asked.session else None
    wire = await wire_of("openai_chat")  # nothing is waited for between a run's begin and its first viewer
    said = await spoken(asked, request, waiting)
    if body.stream:
        options = body.stream_options or StreamOptions()
        return said.stream(partial(wire.frames, said.started.run, include_usage=options.include_usage))
    outcome = await said.outcome()
    if outcome.status is RunStatus.CANCELLED:
        return problem_response(wire.why(outcome), headers=run_headers(outcome))
    if outcome.status is RunStatus.FAILED:
        return finished_response(outcome)
    return as_json(wire.response(outcome), run_headers(outcome))


def _turn(message: SystemIn | UserIn | AssistantIn | ToolIn) -> Turn | None:
    match message:
        case SystemIn():
            return Turn("system", _text(message.content))
        case UserIn(content=str(text)):
            return Turn("user", text)
        case UserIn(content=list(parts)):
            return Turn("user", tuple(map(_part, parts)))
        case AssistantIn() if content := _text(message.content or ""):
            return Turn("assistant", unshown(content))
        case _:
            return None


def _text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text if isinstance(part, ChatTextIn) else part.refusal for part in content)


def _part(part: ChatTextIn | ChatImageIn) -> TextPart | ImagePart:
    return TextPart(part.text) if isinstance(part, ChatTextIn) else ImagePart(part.image_url.url)
