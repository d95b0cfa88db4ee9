"""What an A2A client's requests do here: agents are asked, and their tasks looked at, watched and stopped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import orjson
from a2a.compat.v0_3 import conversions
from a2a.compat.v0_3 import types as compat
from a2a.types import CancelTaskRequest, GetTaskRequest, SendMessageRequest, SubscribeToTaskRequest
from a2a.utils.errors import JSON_RPC_ERROR_CODE_MAP, TaskNotCancelableError, TaskNotFoundError
from a2a.utils.errors import UnsupportedOperationError as Unsupported
from fastapi import Response
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError

from app.api.answering import Going, as_answer, going_on, run_id_in, waiting
from app.api.beginning import Asked, Wanted, begun, outcome_of, request_of
from app.api.problems import counted
from app.api.schemas import SessionId
from app.api.streams import RunStream, started_stream
from app.caller import Caller
from app.errors import AppError, BadRequest, InvalidInput, NotFound, NotWaiting, RunLost
from app.events import ENDED, Run
from app.runs.run import Started
from app.wire import a2a, jsonrpc
from app.wire.a2a_parts import answer_of, asked_by

CODES: Mapping[type[AppError], int] = {
    BadRequest: jsonrpc.INVALID_PARAMS,
    InvalidInput: jsonrpc.INVALID_PARAMS,
    NotFound: JSON_RPC_ERROR_CODE_MAP[TaskNotFoundError],
    NotWaiting: JSON_RPC_ERROR_CODE_MAP[Unsupported],
}
NOT_CANCELABLE = JSON_RPC_ERROR_CODE_MAP[TaskNotCancelableError]
MAX_PARTS = 100
"""As of a native task."""
_SESSION: TypeAdapter[str] = TypeAdapter(SessionId)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, in the words of protocol 1.0."""

    asked: Asked
    agent: str
    params: Any
    request_id: str | int | None
    version: Literal["1.0", "0.3"]

    def reply(self, history: int | None = None, *, past_questions: bool = False) -> a2a.Reply:
        return a2a.Reply(
            request_id=self.request_id, version=self.version, history=history, past_questions=past_questions
        )


async def answered(asked: Asked, agent: str, body: bytes) -> Response:
    """The answer to one request; what goes wrong is an error in A2A's words."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _error(None, jsonrpc.PARSE_ERROR, "The body is not JSON.")
    match request:
        case {"jsonrpc": "2.0", "method": str(method), "id": str() | int() | None as request_id} if isinstance(
            request.get("params", {}), dict
        ):
            pass
        case _:
            return _error(None, jsonrpc.INVALID_REQUEST, "Send one JSON-RPC request.")
    try:
        asked.parts.registry.card(agent)
        match method:
            case "SendMessage" | "message/send":
                return await _send(_call(asked, agent, request, SendMessageRequest))
            case "SendStreamingMessage" | "message/stream":
                return await _stream(_call(asked, agent, request, SendMessageRequest))
            case "GetTask" | "tasks/get":
                return await _get(_call(asked, agent, request, GetTaskRequest))
            case "CancelTask" | "tasks/cancel":
                return await _cancel(_call(asked, agent, request, CancelTaskRequest))
            case "SubscribeToTask" | "tasks/resubscribe":
                return await _subscribe(_call(asked, agent, request, SubscribeToTaskRequest))
            case _:
                return _error(request_id, jsonrpc.METHOD_NOT_FOUND, f"There is no method {method!r} here.")
    except AppError as error:
        counted(asked.parts.telemetry.metrics, error)
        return _error(request_id, CODES.get(type(error), jsonrpc.INTERNAL_ERROR), error.detail, error)


_COMPAT: Mapping[str, tuple[Any, Callable[[Any], Message]]] = {
    "message/send": (compat.SendMessageRequest, conversions.to_core_send_message_request),
    "message/stream": (compat.SendMessageRequest, conversions.to_core_send_message_request),
    "tasks/get": (compat.GetTaskRequest, conversions.to_core_get_task_request),
    "tasks/cancel": (compat.CancelTaskRequest, conversions.to_core_cancel_task_request),
    "tasks/resubscribe": (compat.TaskResubscriptionRequest, conversions.to_core_subscribe_to_task_request),
}


def _call(asked: Asked, agent: str, request: Mapping[str, Any], kind: type[Message]) -> Call:
    method, params = request["method"], request.get("params", {})
    try:
        if (known := _COMPAT.get(method)) is None:
            read, version = ParseDict(params, kind(), ignore_unknown_fields=True), "1.0"
        else:
            model, to_core = known
            read = to_core(model.model_validate({**request, "method": model.model_fields["method"].default}))
            version = "0.3"
    except (ParseError, ValidationError, ValueError):
        raise InvalidInput(f"The params are not those of {method!r}, as A2A has them.") from None
    return Call(asked, agent, read, request["id"], "1.0" if version == "1.0" else "0.3")


async def _send(call: Call) -> Response:
    """The task once it has ended, or waits; at once, where the client does not want to wait."""
    at_once = call.params.configuration.return_immediately
    started = await _begun(call, background=at_once)
    run = started.run if at_once else await outcome_of(call.asked, started)
    return _json(call.reply(_history(call.params.configuration)).task(run, wrapped=True))


async def _stream(call: Call) -> Response:
    reply = call.reply(_history(call.params.configuration))
    if call.params.message.task_id:
        run, events = await _answered(call)
        return RunStream(call.asked.parts, run, events, None, partial(a2a.frames, run, reply=reply))
    started = await _begun(call)
    return started_stream(call.asked.parts, started, partial(a2a.frames, started.run, reply=reply))


async def _begun(call: Call, *, background: bool = False) -> Started:
    """A run for the message, or the one that it is the answer to."""
    asked, message = call.asked, call.params.message
    if message.task_id:
        return Started((await _answered(call)).run, _caller(call))
    if not 1 <= len(message.parts) <= MAX_PARTS:
        raise InvalidInput(f"A message has 1 to {MAX_PARTS} parts.")
    try:
        task = asked_by(message.parts)
        session_id = _SESSION.validate_python(message.context_id) if message.context_id else None
    except ValidationError:
        raise InvalidInput("A contextId is 1-128 of A-Z a-z 0-9 . _ : -") from None
    except ValueError as error:
        raise InvalidInput(f"The message cannot be taken: {error}.") from None
    if not task:
        raise InvalidInput("The message is empty.")
    wanted = Wanted(
        agent=call.agent,
        task=task,
        body=MessageToDict(message),
        session_id=session_id,
        session_field="contextId",
        metadata={},
        background=background,
    )
    return await begun(asked, request_of(asked, wanted))


async def _answered(call: Call) -> Going:
    parts, caller, message = call.asked.parts, _caller(call), call.params.message
    task = await waiting(parts, caller, call.agent, message.task_id)
    return await going_on(parts, caller, task, as_answer(answer_of(message.parts), task))


async def _get(call: Call) -> Response:
    run = await _task(call)
    history = call.params.history_length if call.params.HasField("history_length") else None
    return _json(call.reply(history).task(run))


async def _cancel(call: Call) -> Response:
    run = await _task(call)
    if run.status in ENDED:
        return _error(call.request_id, NOT_CANCELABLE, f"Task {run.run_id!r} has ended already: {run.status}.")
    caller = _caller(call)
    return _json(call.reply().task(await call.asked.parts.control.cancel(run.run_id, caller)))


async def _subscribe(call: Call) -> Response:
    """From its start: what was told before is told again, and replaces it."""
    run = await _task(call)
    if run.status in ENDED:
        raise NotWaiting(f"Task {run.run_id!r} has ended: get it.")
    parts, caller = call.asked.parts, _caller(call)
    view = await parts.viewing.open(run.run_id, caller)
    if view.events is None:
        raise RunLost(f"Task {run.run_id!r} cannot be watched any more: get it.")
    write = partial(a2a.frames, view.run, reply=call.reply(0, past_questions=True))
    return RunStream(parts, view.run, view.events, None, write)


async def _task(call: Call) -> Run:
    """The caller's, of that agent: others do not exist."""
    caller = _caller(call)
    run = await call.asked.parts.runs.get(run_id_in(call.params.id), caller)
    if run.agent != call.agent:
        raise NotFound(f"There is no run {call.params.id!r}.")
    return run


def _caller(call: Call) -> Caller:
    return call.asked.principal.caller(call.asked.user)


def _history(configuration: Any) -> int | None:
    return configuration.history_length if configuration.HasField("history_length") else None


def _error(request_id: str | int | None, code: int, message: str, error: AppError | None = None) -> Response:
    data = None
    if error is not None:
        about = {"status": str(error.status)}
        reason = error.kind.replace("-", "_").upper()
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        data = [{"@type": kind, "reason": reason, "domain": "waggle", "metadata": about}]
    return _json(jsonrpc.error(request_id, code, message, data))


def _json(content: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
