"""/agents/{name}/ag-ui: agents for AG-UI's clients, as CopilotKit. The thread is the session."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from ag_ui.core import AssistantMessage, DataSource, ImagePart, Message, UrlSource, UserMessage
from ag_ui.core import TextPart as TextContent
from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from sse_starlette import EventSourceResponse

from app.api.answering import as_answer, going_on, question_of
from app.api.beginning import RUN_PROBLEMS, AskedDep, Wanted, begun, request_of, unasked
from app.api.bounds import writable
from app.api.chats import RunOptions, chat_of, is_known
from app.api.dependencies import JsonOnly, Parts
from app.api.schemas import Lenient, SessionId
from app.api.streams import RunStream, started_stream
from app.caller import Caller
from app.errors import InvalidInput, NotWaiting
from app.store.runs import Standing
from app.task import ImagePart as Picture
from app.task import Task, TextPart, Turn
from app.wire import ag_ui
from app.wire.speech import unshown

router = APIRouter(prefix="/agents/{name}/ag-ui", tags=["ag-ui"])
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"description": "AG-UI's events, as server-sent events.", "content": {"text/event-stream": {}}}
}
MAX_SHOWN = 10_000
"""Messages of a thread that a client without any is shown."""
Json = Annotated[Any, AfterValidator(writable)]


class AgUiResume(Lenient):
    """The answer to an interrupt."""

    interruptId: str  # noqa: N815 the protocol's names
    status: Literal["resolved", "cancelled"]
    payload: Json = None


class AgUiForwarded(Lenient):
    """What the application passes on."""

    waggle: RunOptions = Field(default_factory=RunOptions)


class AgUiIn(Lenient):
    """AG-UI's `RunAgentInput`. Tools and context of the frontend are not an agent's: they are ignored."""

    threadId: SessionId  # noqa: N815
    """The session."""
    runId: Annotated[str, Field(min_length=1, max_length=256)]  # noqa: N815
    """The client's own, which it is told again."""
    messages: list[Annotated[dict[str, Any], AfterValidator(writable)]] = Field(max_length=10_000)
    """What the client shows, the user's message at its end; none: the client is told what the thread holds."""
    state: Json = None
    """Comes back with what is known of the run, as `waggle`."""
    resume: list[AgUiResume] | None = None
    forwardedProps: Annotated[  # noqa: N815
        AgUiForwarded, BeforeValidator(lambda given: given if isinstance(given, dict) else {})
    ] = Field(default_factory=AgUiForwarded)


@router.post(
    "",
    operation_id="run_ag_ui",
    response_class=EventSourceResponse,
    responses=RUN_PROBLEMS | STREAMED,
    dependencies=[JsonOnly],
)
async def run(name: str, body: AgUiIn, asked: AskedDep) -> Response:
    """Say the last message of the thread to the agent, or answer what its run waits for, and stream what happens."""
    parts, shown = asked.parts, _messages(body)
    said = shown[-1] if shown and isinstance(shown[-1], UserMessage) else None
    wanted = _wanted(name, body, "" if said is None else _task(said))
    request = request_of(asked, wanted)
    caller = request.caller
    told = ag_ui.Asked(thread_id=body.threadId, run_id=body.runId, state=body.state, shown=shown)
    stored = await chat_of(parts, body.threadId, caller, name)
    if stored.waiting is not None and not await is_known(parts, request):
        given = _given(body, stored.waiting)
        if given is not None and given.status == "cancelled":
            stopped = await parts.control.cancel(stored.waiting.run.run_id, caller)
            if not request.task:
                return _whole(ag_ui.ended(told, stopped))
        elif given is not None:
            return await _answered(parts, caller, stored.waiting, given.payload, told)
        elif request.task:
            text = request.task if isinstance(request.task, str) else ""
            return await _answered(parts, caller, stored.waiting, as_answer(text, stored.waiting), told)
    elif any(each.status == "resolved" for each in body.resume or ()):
        raise NotWaiting(f"Nothing in thread {body.threadId!r} waits for an answer.")
    if not request.task:
        if shown:
            raise unasked("messages")
        known = await parts.sessions.messages(body.threadId, MAX_SHOWN, None) if stored.session is not None else []
        return _whole(ag_ui.snapshot(told, [message for _, message in known]))
    if not stored.begun:
        request = request_of(asked, replace(wanted, history=_history(shown)))
    started = await begun(asked, request)
    return started_stream(parts, started, partial(ag_ui.frames, told, started.run), until_asked=True)


async def _answered(parts: Parts, caller: Caller, waiting: Standing, answer: Any, told: ag_ui.Asked) -> Response:
    run, events = await going_on(parts, caller, waiting, answer)
    return RunStream(parts, run, events, None, partial(ag_ui.frames, told, waiting.run), asker=caller)


def _whole(content: bytes) -> Response:
    return Response(content, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _wanted(name: str, body: AgUiIn, task: Task) -> Wanted:
    options = body.forwardedProps.waggle
    return Wanted(
        agent=name,
        task=task,
        body=body.model_dump(mode="json", exclude={"threadId", "runId"}),
        session_id=body.threadId,
        session_field="threadId",
        metadata=options.metadata,
        timeout_s=options.timeout_s,
        if_busy=options.if_busy,
        on_disconnect=options.on_disconnect,
    )


def _messages(body: AgUiIn) -> list[Message]:
    try:
        return ag_ui.messages_of(body.messages)
    except ValidationError as error:
        found = [each | {"loc": ("body", "messages", *each["loc"])} for each in error.errors(include_input=False)]
        raise RequestValidationError(found) from None


def _given(body: AgUiIn, waiting: Standing) -> AgUiResume | None:
    asked = question_of(waiting).input_id
    return next((each for each in body.resume or () if each.interruptId == asked), None)


def _history(shown: list[Message]) -> tuple[Turn, ...]:
    """What the client shows, where nothing of it is stored here."""
    turns = [turn for message in shown[:-1] if (turn := _turn(message)) is not None]
    return tuple([turn for turn in turns if turn.content])


def _turn(message: Message) -> Turn | None:
    match message:
        case UserMessage():
            return Turn("user", _task(message))
        case AssistantMessage(content=str(content)):
            return Turn("assistant", unshown(content))
        case _ if message.role in ("system", "developer"):
            return Turn("system", str(message.content))
        case _:
            return None


def _task(message: UserMessage) -> Task:
    if isinstance(message.content, str):
        return message.content
    return tuple([_part(part) for part in message.content])


def _part(part: Any) -> TextPart | Picture:
    match part:
        case TextContent(text=text):
            return TextPart(text)
        case ImagePart(source=DataSource(value=value, mime_type=media_type)):
            return Picture(f"data:{media_type};base64,{value}")
        case ImagePart(source=UrlSource(value=url)):
            return Picture(url)
        case _:
            raise InvalidInput(
                "Beside text, an agent takes images: PNG, JPEG, GIF and WebP.",
                errors=[{"loc": ["body", "messages"], "msg": f"Has a part of type {part.type!r}."}],
            )
