"""MCP (https://modelcontextprotocol.io/specification): an agent is a tool, and a run of it is a call.

Of the SDK only its types are taken. Its server keeps what cancels a call, and what answers a question, in one process;
here a call is a run, which any replica finds by the client's id and the request's (see docs/decisions/0023).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson
from mcp import types
from mcp.shared.version import SUPPORTED_PROTOCOL_VERSIONS
from pydantic import BaseModel

from app.events import InputRequest, InputRequired, MessageAdded, Placed, Run, RunEnded, RunEvent, RunStatus
from app.messages import Handoff, Image, Message, Speaker, ToolCall, ToolResult
from app.wire import jsonrpc
from app.wire.mcp_forms import form_of
from app.wire.speech import Speech

VERSIONS = SUPPORTED_PROTOCOL_VERSIONS
MAX_PROGRESS = 1000
"""Characters of one piece of progress: it is shown, not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What of a request its answer depends on."""

    request_id: str | int
    progress_token: str | int | None = None
    elicits: bool = False
    """Whether the client can ask its user."""
    structured: bool = False
    """Whether the tool has an output schema."""


@dataclass(frozen=True, slots=True)
class Client:
    """What its id says of it, to whichever process it comes."""

    session: str

    @property
    def elicits(self) -> bool:
        """Whether it can ask its user, with a form."""
        return self.session.endswith(".elicits")

    def key(self, request_id: str | int) -> str:
        """Names the run of a request of it."""
        return "mcp:" + sha256(orjson.dumps([self.session, request_id])).hexdigest()


def client_of(params: types.InitializeRequestParams, unique: str) -> Client:
    """The id that a client is given says whether it elicits, as forms: nothing has to be remembered of it."""
    elicitation = params.capabilities.elicitation
    elicits = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
    return Client(f"{unique}.elicits" if elicits else unique)


def initialized(params: types.InitializeRequestParams, version: str) -> types.InitializeResult:
    spoken = params.protocolVersion
    return types.InitializeResult(
        protocolVersion=spoken if spoken in VERSIONS else types.LATEST_PROTOCOL_VERSION,
        capabilities=types.ServerCapabilities(tools=types.ToolsCapability(listChanged=False)),
        serverInfo=types.Implementation(name="waggle", version=version),
    )


async def frames(run: Run, events: AsyncIterator[list[Placed]], call: Call) -> AsyncGenerator[bytes, None]:
    """Progress as the client asked for it, questions to its user if it can ask, and the result at the end."""
    told, complete = _Told(run, call), False
    async for batch in events:
        if frame := b"".join(map(jsonrpc.frame, told.messages([event for _, event in batch]))):
            yield frame
        match batch[-1][1]:
            case RunEnded(ended):
                complete = True
                yield _framed(call, result_of(ended, told.last))
            case InputRequired(request) if not (call.elicits and form_of(request)):
                yield _framed(call, question(run, request, call))
                return
            case _:
                pass
    if not complete:
        gone = f"The run {run.run_id} had not ended when the stream had to."
        yield _framed(call, types.CallToolResult(content=[_text(gone)], isError=True))


def result_of(ended: Run, last: Message | None) -> types.CallToolResult:
    """What the run came to: its last answer, or why there is none."""
    match ended.status:
        case RunStatus.COMPLETED:
            found = types.CallToolResult(
                content=list(_content(ended, last)),
                structuredContent=ended.output if isinstance(ended.output, dict) else None,
            )
        case RunStatus.CANCELLED:
            why = ended.stop_reason or "The run was cancelled."
            found = types.CallToolResult(content=[_text(why)], isError=True)
        case _:
            found = refused(ended.error or {"detail": "The run failed."})
    return _about(found, ended)


def question(run: Run, request: InputRequest, call: Call) -> types.CallToolResult:
    """The question itself as the result, and how it is answered."""
    how = f"This is a question. To answer, call this tool again with answers={run.run_id!r} and the answer as task"
    if request.schema is not None:
        how += f", as JSON of this schema: {orjson.dumps(request.schema).decode()}"
    asked = types.CallToolResult(content=[_text(request.prompt), _text(f"{how}.")], isError=call.structured)
    return _about(asked, run)


def refused(problem: Mapping[str, Any]) -> types.CallToolResult:
    """A problem as a result: a model reads it, and may do better."""
    listed = problem.get("errors") or ()
    details = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in listed)
    told = types.CallToolResult(content=[_text(f"{problem['detail']} {details}".strip())], isError=True)
    told.meta = {"waggle/problem": {key: value for key, value in problem.items() if key != "errors"}}
    return told


def question_id(run_id: str, input_id: str) -> str:
    """Of the request that puts a run's question: its answer says what it is the answer to, to any process."""
    return f"{run_id}:{input_id}"


def dumped(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


class _Told:
    """A call as far as it was told."""

    def __init__(self, run: Run, call: Call) -> None:
        self._run = run
        self._call = call
        self._speech = Speech()
        self._progress = 0
        self.last: Message | None = None

    def messages(self, events: list[RunEvent]) -> Iterator[dict[str, Any]]:
        if self._call.progress_token is not None:
            yield from map(self._notification, self._progressed(events))
        for event in events:
            match event:
                case MessageAdded(message):
                    self.last = message
                case InputRequired(request) if self._call.elicits and (form := form_of(request)) is not None:
                    params = types.ElicitRequestFormParams(message=request.prompt, requestedSchema=form)
                    asked = question_id(self._run.run_id, request.input_id)
                    yield jsonrpc.call(asked, "elicitation/create", dumped(params))
                case _:
                    pass

    def _progressed(self, events: list[RunEvent]) -> Iterator[str]:
        """What was said and done; the words that came of one message at once are one piece."""
        for _, pieces in groupby(self._pieces(events), key=itemgetter(0)):
            yield "".join(words for _, words in pieces)

    def _pieces(self, events: list[RunEvent]) -> Iterator[tuple[str, str]]:
        for event in events:
            match event:
                case MessageAdded(Image() as message):
                    yield message.id, "\n".join(part["text"] for part in message.content if part["type"] == "text")
                case MessageAdded(message) if (deed := _deed(message)) is not None:
                    yield message.id, deed
                case _:
                    yield from ((piece.message_id, piece.words) for piece in self._speech.pieces(event))

    def _notification(self, words: str) -> dict[str, Any]:
        token = self._call.progress_token
        self._progress += 1
        assert token is not None, "it is asked for"  # noqa: S101
        cut = words if len(words) <= MAX_PROGRESS else words[:MAX_PROGRESS] + "…"
        params = types.ProgressNotificationParams(progressToken=token, progress=self._progress, message=cut)
        return jsonrpc.call(None, "notifications/progress", dumped(params))


def _deed(message: Message) -> str | None:
    match message:
        case ToolCall():
            return f"{message.source} calls {message.name}"
        case ToolResult():
            return f"{message.name} failed" if message.is_error else f"{message.name} answered"
        case Handoff():
            return f"{message.source} hands over to {message.target}"
        case Speaker():
            return f"{', '.join(message.selected)} speaks next"
        case _:
            return None


def _content(ended: Run, last: Message | None) -> Iterator[types.ContentBlock]:
    """The last answer, with its images if it has some."""
    match last:
        case Image(content=parts):
            yield from map(_block, parts)
        case _:
            if ended.output is not None:
                yield _text(ended.output if isinstance(ended.output, str) else orjson.dumps(ended.output).decode())


def _block(part: Mapping[str, Any]) -> types.ContentBlock:
    if part["type"] == "text":
        return _text(part["text"])
    kind, _, data = str(part["image_url"]["url"]).removeprefix("data:").partition(";base64,")
    return types.ImageContent(type="image", data=data, mimeType=kind)


def _about(result: types.CallToolResult, run: Run) -> types.CallToolResult:
    known = {"run_id": run.run_id, "session_id": run.session_id, "trace_id": run.trace_id}
    result.meta = {**(result.meta or {}), "waggle/run": known}
    return result


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _framed(call: Call, result: types.CallToolResult) -> bytes:
    return jsonrpc.frame(jsonrpc.answer(call.request_id, dumped(result)))
