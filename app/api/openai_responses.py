"""/v1/responses: agents for clients of OpenAI's responses. A response is a run, a conversation a session."""

from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Response
from uuid_utils import uuid7

from app.api.beginning import RUN_PROBLEMS, Asked, AskedDep, Wanted, begun, outcome_of, request_of
from app.api.dependencies import CallerDep, JsonOnly, PartsDep, PrincipalDep, either
from app.api.openai_common import as_json, run_id_of, wire_of
from app.api.openai_response_in import ConversationIn, ImageIn, MessageIn, RefusalIn, ResponseIn, TextIn
from app.api.problems import problems
from app.api.streams import joined, run_headers, started_stream
from app.caller import Caller
from app.errors import InvalidInput
from app.events import Position, Run, RunStatus
from app.runs.run import RunRequest, Started
from app.store.history import Point
from app.task import ImagePart, Task, TextPart, Turn, as_text

router = APIRouter(prefix="/v1/responses", tags=["openai"])

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "OpenAI's `Response`; with `stream`, its events as server-sent events.",
        "content": {"application/json": {}, "text/event-stream": {}},
    }
}


@router.post("", responses=RUN_PROBLEMS | ANSWERED, dependencies=[JsonOnly])
async def create_response(body: ResponseIn, asked: AskedDep) -> Response:
    """Let an agent respond: answered whole, as a stream, or at once while it goes on in the background.

    What follows a response that asks the user something is the answer, and the same run goes on with it.
    """
    parts, previous, wire = asked.parts, body.previous_response_id, await wire_of("openai_responses")
    caller = asked.principal.caller(either(asked.user, body.user, "X-User-ID", ["body", "user"]))
    before = await parts.runs.standing(run_id_of(previous), caller) if previous else None
    if before is not None and before.run.status is RunStatus.INPUT_REQUIRED:
        asked.principal.must("run", before.run.agent)
        started = Started(await _answer(before.run, body, asked, caller), caller)
    else:
        started = await begun(asked, await _wanted(body, before.run if before else None, asked, caller))
    if body.stream:
        write = partial(wire.frames, started.run, previous=previous)
        if before is not None and before.run.run_id == started.run.run_id:
            return await joined(
                parts,
                caller,
                started.run.run_id,
                Position(before.attempt, before.last_seq or 0),
                write,
                until_asked=True,
            )
        return started_stream(parts, started, write, until_asked=True)
    run = started.run if body.background else await outcome_of(asked, started)
    return as_json(wire.response(run, previous=previous), run_headers(run))


@router.get("/{response_id}", responses=problems(404, 410) | ANSWERED)
async def get_response(
    response_id: str,
    parts: PartsDep,
    principal: PrincipalDep,
    caller: CallerDep,
    stream: Annotated[bool, Query()] = False,
    starting_after: Annotated[int, Query(ge=-1, lt=2**31)] = -1,
) -> Response:
    """The response as it stands; with `stream`, its events, those after a `sequence_number` alone if one is given."""
    run = await parts.runs.get(run_id_of(response_id), caller)
    principal.must("read", run.agent)
    wire = await wire_of("openai_responses")
    if stream:
        write = partial(wire.frames, run, after=starting_after)
        return await joined(parts, caller, run.run_id, None, write, until_asked=True)
    return as_json(wire.response(run), run_headers(run))


@router.post("/{response_id}/cancel", responses=problems(404) | ANSWERED)
async def cancel_response(response_id: str, parts: PartsDep, principal: PrincipalDep, caller: CallerDep) -> Response:
    """Stop it. Answers once it has really stopped; one that is complete stays as it is."""
    run = await parts.runs.get(run_id_of(response_id), caller)
    principal.must("run", run.agent)
    run = await parts.control.cancel(run.run_id, caller)
    wire = await wire_of("openai_responses")
    return as_json(wire.response(run), run_headers(run))


async def _answer(waiting: Run, body: ResponseIn, asked: Asked, caller: Caller) -> Run:
    """Let a run that waits for a person go on with what the user says: by its question's schema, or as text."""
    said = as_text(_turns(body)[-1].content)
    question = waiting.input_request
    value = said
    if question is not None and question.schema is not None:
        with suppress(orjson.JSONDecodeError):  # text may be what the schema asks for
            value = orjson.loads(said)
    return await asked.parts.control.answer(waiting.run_id, caller, None, value)


async def _wanted(body: ResponseIn, before: Run | None, asked: Asked, caller: Caller) -> RunRequest:
    turns = _turns(body)
    conversation = body.conversation.id if isinstance(body.conversation, ConversationIn) else body.conversation
    if before is not None:
        if conversation is not None:
            raise InvalidInput(
                "Send previous_response_id or conversation, not both.",
                errors=[{"loc": ["body", "conversation"], "msg": "Is named by previous_response_id already."}],
            )
        conversation = await _branch(before, asked, caller)
    stored = asked.session or conversation
    told = (Turn("system", body.instructions),) if body.instructions else ()
    return request_of(
        asked,
        Wanted(
            agent=body.model,
            task=turns[-1].content,
            history=() if stored else (*told, *turns[:-1]),
            body=body.model_dump(mode="json", exclude={"user"}),
            session_id=conversation,
            session_field="conversation",
            user_id=body.user,
            user_field="user",
            metadata=body.metadata or {},
            background=bool(body.background),
        ),
    )


async def _branch(before: Run, asked: Asked, caller: Caller) -> str:
    """The session to go on in after that run: its own, or a fork where the conversation has gone on without this."""
    history = asked.parts.history
    versions = await history.versions(before.session_id, 1, None)
    if before.status is not RunStatus.COMPLETED or not versions or versions[0].run_id in (None, before.run_id):
        return before.session_id
    return (await history.fork(before.session_id, caller, Point(before.run_id), str(uuid7()))).session_id


def _turns(body: ResponseIn) -> list[Turn]:
    """What was said, the user's last message at the end."""
    if isinstance(body.input, str):
        return [Turn("user", body.input)]
    turns = [Turn(_ROLES[item.role], _content(item)) for item in body.input if isinstance(item, MessageIn)]
    if not turns or turns[-1].role != "user":
        raise InvalidInput(
            "The last message must be the user's: it is what the agent is asked.",
            errors=[{"loc": ["body", "input"], "msg": "Does not end with a message of the user."}],
        )
    return turns


def _content(item: MessageIn) -> Task:
    if isinstance(item.content, str):
        return item.content
    return tuple(map(_part, item.content))


def _part(part: TextIn | RefusalIn | ImageIn) -> TextPart | ImagePart:
    match part:
        case TextIn():
            return TextPart(part.text)
        case RefusalIn():
            return TextPart(part.refusal)
        case ImageIn():
            return ImagePart(part.image_url)
