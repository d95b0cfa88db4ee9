"""/agents/{name}/ui: agents for `useChat` of Vercel's AI SDK. The chat is the session; the page shows its messages."""

import re
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, Field
from sse_starlette import EventSourceResponse

from app.api.answering import as_answer, going_on, question_of
from app.api.beginning import RUN_PROBLEMS, AskedDep, Wanted, begun, request_of, unasked
from app.api.bounds import writable
from app.api.chats import Chat, RunOptions, chat_of, is_known, taken_back
from app.api.dependencies import CallerDep, JsonOnly, Parts, PartsDep
from app.api.problems import problems
from app.api.schemas import IMAGE_URL, Lenient, SessionId
from app.api.streams import RunStream, joined, started_stream
from app.caller import Caller
from app.errors import InvalidInput
from app.store.runs import Standing
from app.task import ImagePart, Task, TextPart, Turn
from app.wire import ai_sdk

router = APIRouter(prefix="/agents/{name}/ui", tags=["ai-sdk"])
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The AI SDK's UI message stream: one message, as `UIMessageChunk`s in server-sent events.",
        "content": {"text/event-stream": {}},
    }
}


class UiTextIn(Lenient):
    """What was written."""

    type: Literal["text"]
    text: str


class UiFileIn(Lenient):
    """An image."""

    type: Literal["file"]
    url: str


class UiAnswerIn(Lenient):
    """The answer to a question that has a schema."""

    type: Literal["data-answer"]
    data: Annotated[Any, AfterValidator(writable)]


class UiOtherIn(Lenient):
    """What the server has said: it knows it."""

    type: str


class UiMessageIn(Lenient):
    """A `UIMessage`."""

    role: Literal["system", "user", "assistant"]
    parts: list[Annotated[UiTextIn | UiFileIn | UiAnswerIn | UiOtherIn, Field(union_mode="left_to_right")]] = Field(
        max_length=10_000
    )
    metadata: Any = None
    """Of the server's: which run it is of."""


class UiChatIn(RunOptions):
    """What `DefaultChatTransport` sends, and what its option `body` adds."""

    id: SessionId
    """The chat's: it is the session."""
    messages: list[UiMessageIn] = Field(min_length=1, max_length=10_000)
    """What the page shows, the user's message at its end."""
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messageId: str | None = None  # noqa: N815 the protocol's name
    """The message that is said anew: what was said after it is taken back."""

    @property
    def anew(self) -> bool:
        return self.trigger == "regenerate-message" or self.messageId is not None


@router.post(
    "",
    operation_id="chat_with_ui",
    response_class=EventSourceResponse,
    responses=RUN_PROBLEMS | STREAMED,
    dependencies=[JsonOnly],
)
async def chat(name: str, body: UiChatIn, asked: AskedDep) -> Response:
    """Say the last message of the chat to the agent, and stream its answer as a UI message.

    The answer to a question that the chat's run waits with goes to that run. `regenerate-message` and an edited message
    take back what was said after it first.
    """
    parts, wanted = asked.parts, _wanted(name, body)
    request = request_of(asked, wanted)
    caller = request.caller
    stored = await chat_of(parts, body.id, caller, name)
    known = await is_known(parts, request)
    if stored.waiting is not None and not body.anew and not known:
        return await _answered(parts, caller, stored.waiting, body.messages[-1])
    if not request.task:
        raise InvalidInput(
            "The message has neither a text nor an image.",
            errors=[{"loc": ["body", "messages"], "msg": "Ends with a message that says nothing."}],
        )
    if stored.session is not None and body.anew and not known:
        stored = Chat(await taken_back(parts, stored.session, caller, _runs_of(body.messages)), None)
    if not stored.begun:
        request = request_of(asked, replace(wanted, history=_history(body.messages)))
    started = await begun(asked, request)
    return started_stream(parts, started, partial(ai_sdk.frames, started.run), ai_sdk.HEADERS, until_asked=True)


@router.get(
    "/{session_id}/stream",
    operation_id="resume_ui",
    response_class=EventSourceResponse,
    responses=problems(404, 409) | STREAMED | {204: {"description": "Nothing goes on in that chat."}},
)
async def resume(name: str, session_id: Annotated[SessionId, Path()], parts: PartsDep, caller: CallerDep) -> Response:
    """Watch the run that goes on in the chat, or waits for a person, from its start: for `useChat({resume: true})`."""
    active = (await chat_of(parts, session_id, caller, name)).active
    if active is None:
        return Response(status_code=204)
    write = partial(ai_sdk.frames, active.run)
    return await joined(parts, caller, active.run.run_id, None, write, ai_sdk.HEADERS, until_asked=True)


async def _answered(parts: Parts, caller: Caller, waiting: Standing, message: UiMessageIn) -> Response:
    given = next((part for part in message.parts if isinstance(part, UiAnswerIn)), None)
    answer = as_answer(_text(message), waiting) if given is None else given.data
    write = partial(ai_sdk.frames, waiting.run, message_id=ai_sdk.next_message_id(waiting.run, question_of(waiting)))
    run, events = await going_on(parts, caller, waiting, answer)
    return RunStream(parts, run, events, None, write, ai_sdk.HEADERS, caller)


def _wanted(name: str, body: UiChatIn) -> Wanted:
    said = body.messages[-1]
    if said.role != "user":
        raise unasked("messages")
    return Wanted(
        agent=name,
        task=_task(said),
        body=body.model_dump(mode="json", exclude={"id": True, "messages": {"__all__": {"metadata"}}}),
        session_id=body.id,
        session_field="id",
        metadata=body.metadata,
        timeout_s=body.timeout_s,
        if_busy=body.if_busy,
        on_disconnect=body.on_disconnect,
    )


def _task(message: UiMessageIn) -> Task:
    files = [part for part in message.parts if isinstance(part, UiFileIn)]
    if not files:
        return _text(message)
    if not all(re.match(IMAGE_URL, part.url) for part in files):
        raise InvalidInput(
            "Of files, an agent takes images: PNG, JPEG, GIF and WebP.",
            errors=[{"loc": ["body", "messages"], "msg": "Has a file that is no such image."}],
        )
    return tuple(
        ImagePart(part.url) if isinstance(part, UiFileIn) else TextPart(part.text)
        for part in message.parts
        if isinstance(part, UiFileIn | UiTextIn)
    )


def _text(message: UiMessageIn) -> str:
    return "\n\n".join(part.text for part in message.parts if isinstance(part, UiTextIn))


def _history(messages: list[UiMessageIn]) -> tuple[Turn, ...]:
    """What the page shows, where nothing of it is stored here."""
    turns = [Turn(each.role, _task(each) if each.role == "user" else _text(each)) for each in messages[:-1]]
    return tuple([turn for turn in turns if turn.content])


def _runs_of(messages: list[UiMessageIn]) -> list[str]:
    return [
        each.metadata["run_id"] for each in messages if isinstance(each.metadata, dict) and "run_id" in each.metadata
    ]
