"""What an MCP client's messages do here: agents are listed, run, stopped, and told what their user answered."""

from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from fastapi import Response
from mcp import types
from pydantic import Field, ValidationError
from uuid_utils import uuid7

from app import VERSION
from app.api.answering import as_answer, fit, going_on, run_id_in, waiting
from app.api.beginning import Asked, Wanted, begun, request_of
from app.api.problems import counted, invalid
from app.api.schemas import Body, RunId, SessionId
from app.api.streams import NO_HEADERS, RunStream, started_stream
from app.caller import Caller
from app.errors import AppError, NotFound
from app.store.runs import Key
from app.wire import jsonrpc, mcp, mcp_tools
from app.wire.mcp_forms import answered as answered_in

SESSION, VERSION_HEADER = "Mcp-Session-Id", "mcp-protocol-version"


class Arguments(Body):
    """What a tool is called with: `mcp_tools.ARGUMENTS` describes them to clients."""

    task: str = Field(min_length=1)
    session_id: SessionId | None = None
    answers: RunId | None = None


async def answered(asked: Asked, body: bytes) -> Response:
    """The answer to one message."""
    spoken = asked.request.headers.get(VERSION_HEADER)
    if spoken is not None and spoken not in mcp.VERSIONS:
        wrong = f"{VERSION_HEADER} {spoken!r} is not one of {', '.join(mcp.VERSIONS)}."
        return _json(jsonrpc.error(None, jsonrpc.INVALID_REQUEST, wrong), status=400)
    try:
        sent = orjson.loads(body)
        message = types.JSONRPCMessage.model_validate(sent).root
    except orjson.JSONDecodeError:
        return _json(jsonrpc.error(None, jsonrpc.PARSE_ERROR, "The body is not JSON."), status=400)
    except ValidationError:
        wrong = "Send one JSON-RPC message."
        return _json(jsonrpc.error(None, jsonrpc.INVALID_REQUEST, wrong), status=400)
    if isinstance(message, types.JSONRPCNotification) and "id" in sent:  # of which it is none
        return _json(jsonrpc.error(None, jsonrpc.INVALID_REQUEST, "An id is a string or an integer."), status=400)
    match message:
        case types.JSONRPCRequest():
            return await _request(asked, message)
        case types.JSONRPCNotification(method="notifications/cancelled"):
            await _cancel(asked, message.params or {})
        case types.JSONRPCResponse():
            await _answer(asked, str(message.id), message.result)
        case types.JSONRPCError():
            await _answer(asked, str(message.id), {"action": "cancel"})
        case _:
            pass
    return Response(status_code=202)


async def _request(asked: Asked, request: types.JSONRPCRequest) -> Response:
    params = request.params or {}
    try:
        match request.method:
            case "initialize":
                return _initialize(request.id, types.InitializeRequestParams.model_validate(params))
            case "ping":
                return _json(jsonrpc.answer(request.id, {}))
            case "tools/list":
                return _json(jsonrpc.answer(request.id, mcp.dumped(_tools(asked))))
            case "tools/call":
                return await _call(asked, request.id, types.CallToolRequestParams.model_validate(params))
            case _:
                wrong = f"There is no method {request.method!r} here."
                return _json(jsonrpc.error(request.id, jsonrpc.METHOD_NOT_FOUND, wrong))
    except ValidationError as error:
        return _json(jsonrpc.error(request.id, jsonrpc.INVALID_PARAMS, _wrong(error).detail))


def _initialize(request_id: str | int, params: types.InitializeRequestParams) -> Response:
    known = jsonrpc.answer(request_id, mcp.dumped(mcp.initialized(params, VERSION)))
    return _json(known, headers={SESSION: mcp.client_of(params, str(uuid7())).session})


def _tools(asked: Asked) -> types.ListToolsResult:
    cards = [card for _, card in sorted(asked.parts.registry.cards.items()) if card.status == "ready"]
    return mcp_tools.tools([card for card in cards if asked.principal.may("run", card.name)])


async def _call(asked: Asked, request_id: str | int, params: types.CallToolRequestParams) -> Response:
    try:
        card = asked.parts.registry.card(params.name)
    except NotFound as error:
        return _json(jsonrpc.error(request_id, jsonrpc.INVALID_PARAMS, error.detail))
    client = _client(asked)
    call = mcp.Call(
        request_id=request_id,
        progress_token=params.meta.progressToken if params.meta is not None else None,
        elicits=client is not None and client.elicits,
        structured=mcp_tools.is_structured(card),
    )
    try:
        return await _run(asked, call, params, client)
    except AppError as error:
        counted(asked.parts.telemetry.metrics, error)
        return _json(jsonrpc.answer(request_id, mcp.dumped(mcp.refused(error.problem()))))


async def _run(
    asked: Asked, call: mcp.Call, params: types.CallToolRequestParams, client: mcp.Client | None
) -> Response:
    try:
        arguments = Arguments.model_validate(params.arguments or {})
    except ValidationError as error:
        raise _wrong(error) from None
    key = client.key(call.request_id) if client is not None else None
    wanted = request_of(
        replace(asked, key=key),
        Wanted(
            agent=params.name,
            task=arguments.task,
            session_id=arguments.session_id,
            body=arguments.model_dump(mode="json"),
            metadata={},
        ),
    )
    if arguments.answers is not None:
        asks = await waiting(asked.parts, wanted.caller, wanted.agent, arguments.answers)
        run, events = await going_on(asked.parts, wanted.caller, asks, as_answer(arguments.task, asks))
        return RunStream(asked.parts, run, events, None, partial(mcp.frames, run, call=call))
    started = await begun(asked, wanted)
    return started_stream(asked.parts, started, partial(mcp.frames, started.run, call=call))


async def _cancel(asked: Asked, params: dict[str, Any]) -> None:
    """Of a request that this client made; what has ended, or is not known, is left as it is."""
    client, request_id = _client(asked), params.get("requestId")
    if client is None or not isinstance(request_id, str | int):
        return
    caller = _caller(asked)
    run_id = await asked.parts.runs.joined(Key(client.key(request_id)), caller)
    if run_id is not None:
        asked.principal.must("run", (await asked.parts.runs.standing(run_id, caller)).run.agent)
        await asked.parts.control.cancel(run_id, caller)


async def _answer(asked: Asked, question_id: str, result: dict[str, Any]) -> None:
    """What the user says to a run's question; where that is nothing, the run has no way to go on."""
    run_id, _, input_id = question_id.partition(":")
    caller = _caller(asked)
    run = (await asked.parts.runs.standing(run_id_in(run_id), caller)).run
    asked.principal.must("run", run.agent)
    question = run.input_request
    if question is None or question.input_id != input_id:
        return  # it was answered, or ran out
    try:
        value = answered_in(question, types.ElicitResult.model_validate(result))
    except ValidationError as error:
        raise _wrong(error) from None
    if value is None:
        await asked.parts.control.cancel(run_id, caller)
    else:
        await asked.parts.control.answer(run_id, caller, input_id, fit(value))


def _wrong(error: ValidationError) -> AppError:
    """What is wrong with params, or with a tool's arguments."""
    return invalid([{**each, "loc": ("params", *each["loc"])} for each in error.errors()])


def _client(asked: Asked) -> mcp.Client | None:
    session = asked.request.headers.get(SESSION)
    return mcp.Client(session) if session else None


def _caller(asked: Asked) -> Caller:
    return asked.principal.caller(asked.user)


def _json(content: dict[str, Any], *, status: int = 200, headers: Any = NO_HEADERS) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json", headers=headers)
