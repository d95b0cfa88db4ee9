"""AG-UI, the protocol of CopilotKit and others: https://docs.ag-ui.com, by its own types and encoder.

The client numbers its runs: one of its ends with a question that ours asks, and the next of its has the answer. Who
speaks is a step. What AG-UI has no event for is `CUSTOM`, by the name of the message's type.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from ag_ui import core as ag
from ag_ui.encoder import EventEncoder
from pydantic import TypeAdapter

from app.events import InputRequest, InputRequired, MessageAdded, Placed, Run, RunEnded, RunEvent, RunRestarted
from app.events import RunStatus as Status
from app.messages import Handoff, Image, Memory, Message, Other, Speaker, Structured, Thought, ToolCall, ToolResult
from app.wire.speech import CallIds, Piece, Speech, words_of

_ENCODER = EventEncoder()
_MESSAGES = TypeAdapter(list[ag.Message])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the client has, and is told again."""

    thread_id: str
    run_id: str
    state: Any
    shown: Sequence[ag.Message]
    """What it shows of the thread."""


def messages_of(sent: list[dict[str, Any]]) -> list[ag.Message]:
    """The messages that a client has sent; raises pydantic's ValidationError."""
    return _MESSAGES.validate_python(sent)


async def frames(asked: Asked, run: Run, events: AsyncIterator[list[Placed]]) -> AsyncGenerator[bytes, None]:
    """The events, as many in one piece of bytes as there were at once."""
    told = _Told(asked, run)
    yield _written(told.start())
    async for batch in events:
        if frame := _written(each for _, event in batch for each in told.events(event)):
            yield frame
    yield _written(told.left())


def snapshot(asked: Asked, messages: Sequence[Message]) -> bytes:
    """A run of the client's that asks nothing: what the thread holds."""
    ids = {"thread_id": asked.thread_id, "run_id": asked.run_id}
    shown = [each for message in messages for each in _shown(message)]
    return _written(
        [
            ag.RunStartedEvent(**ids, protocol_version=ag.PROTOCOL_VERSION),
            ag.MessagesSnapshotEvent(messages=shown),
            ag.RunFinishedEvent(**ids, outcome=ag.RunFinishedSuccessOutcome()),
        ]
    )


def ended(asked: Asked, run: Run) -> bytes:
    """A run of the client's that stopped what its last one has begun."""
    told = _Told(asked, run)
    return _written([*told.start(), *told.events(RunEnded(run))])


class _Told:
    """A stream as far as it was told."""

    def __init__(self, asked: Asked, run: Run) -> None:
        self._asked = asked
        self._run = run
        self._ids = {"thread_id": asked.thread_id, "run_id": asked.run_id}
        self._speech = Speech()
        self._calls = CallIds()
        self._open: dict[str, str] = {}
        """The messages that are being told, and whether each is `text` or `thought`."""
        self._speaker: str | None = None
        self._over = False

    def start(self) -> Iterator[ag.BaseEvent]:
        self._over = False
        run, state = self._run, self._asked.state
        about = {"run_id": run.run_id, "session_id": run.session_id, "trace_id": run.trace_id, "agent": run.agent}
        yield ag.RunStartedEvent(**self._ids, protocol_version=ag.PROTOCOL_VERSION, metadata={"waggle": about})
        if state is None or isinstance(state, dict):
            yield ag.StateSnapshotEvent(snapshot={**(state or {}), "waggle": about})

    def events(self, event: RunEvent) -> Iterator[ag.BaseEvent]:
        if self._over:
            yield from self.start()
        match event:
            case RunRestarted():
                yield from self._close()
                self._speech, self._calls = Speech(), CallIds()
                yield ag.MessagesSnapshotEvent(messages=list(self._asked.shown))
            case MessageAdded(message) if message.source == "user":
                pass
            case InputRequired(request):
                yield from self._question(request)
            case RunEnded(run):
                yield from self._end(run)
            case _:
                for piece in self._speech.pieces(event):
                    yield from self._piece(piece)
                if isinstance(event, MessageAdded):
                    yield from self._end_of(event.message.id)
                    yield from self._message(event.message)

    def left(self) -> Iterator[ag.BaseEvent]:
        if not self._over:
            yield ag.RunErrorEvent(
                message=f"The stream had to end before the run did: GET /runs/{self._run.run_id} has its outcome.",
                code="stream-ended",
            )

    def _piece(self, piece: Piece) -> Iterator[ag.BaseEvent]:
        id_ = piece.message_id
        if id_ not in self._open:
            yield from self._step(piece.source)
            if piece.kind == "text":  # whoever speaks has thought
                yield from self._end_of(*[other for other, kind in self._open.items() if kind == "thought"])
            self._open[id_] = piece.kind
            if piece.kind == "text":
                yield ag.TextMessageStartEvent(message_id=id_, role="assistant", name=piece.source)
            else:
                yield ag.ReasoningStartEvent(message_id=id_)
                yield ag.ReasoningMessageStartEvent(message_id=id_)
        content = ag.TextMessageContentEvent if self._open[id_] == "text" else ag.ReasoningMessageContentEvent
        yield content(message_id=id_, delta=piece.words)

    def _end_of(self, *message_ids: str) -> Iterator[ag.BaseEvent]:
        for id_ in message_ids:
            match self._open.pop(id_, None):
                case "text":
                    yield ag.TextMessageEndEvent(message_id=id_)
                case "thought":
                    yield ag.ReasoningMessageEndEvent(message_id=id_)
                    yield ag.ReasoningEndEvent(message_id=id_)
                case _:
                    pass

    def _step(self, source: str | None) -> Iterator[ag.BaseEvent]:
        if source != self._speaker:
            if self._speaker is not None:
                yield ag.StepFinishedEvent(step_name=self._speaker)
            if source is not None:
                yield ag.StepStartedEvent(step_name=source)
            self._speaker = source

    def _message(self, message: Message) -> Iterator[ag.BaseEvent]:
        """What of it is not said in words."""
        match message:
            case ToolCall():
                yield from self._step(message.source)
                id_ = self._calls.begun(message)
                yield ag.ToolCallStartEvent(tool_call_id=id_, tool_call_name=message.name)
                yield ag.ToolCallArgsEvent(tool_call_id=id_, delta=orjson.dumps(message.arguments).decode())
                yield ag.ToolCallEndEvent(tool_call_id=id_)
            case ToolResult():
                id_ = self._calls.of(message) or message.call_id  # of the client's run before, which a question ended
                failed = {"waggle": {"is_error": True}} if message.is_error else None
                yield ag.ToolCallResultEvent(
                    message_id=message.id, tool_call_id=id_, content=message.content, role="tool", metadata=failed
                )
            case Structured() | Memory():
                yield _custom(message, content=message.content)
            case Handoff():
                yield _custom(message, target=message.target, content=message.content)
            case Speaker():
                yield _custom(message, candidates=message.candidates, selected=message.selected)
            case Other():
                yield _custom(message, name=message.name, content=message.content)
            case _:
                pass

    def _question(self, request: InputRequest) -> Iterator[ag.BaseEvent]:
        interrupt = ag.Interrupt(
            id=request.input_id,
            reason="input_required",
            message=request.prompt,
            response_schema=request.schema,
            expires_at=request.expires_at.isoformat(),
            metadata={"waggle": {"source": request.source}},
        )
        yield from self._close()
        self._over = True
        yield ag.RunFinishedEvent(**self._ids, outcome=ag.RunFinishedInterruptOutcome(interrupts=[interrupt]))

    def _end(self, run: Run) -> Iterator[ag.BaseEvent]:
        usage = [ag.TokenUsage(input_tokens=run.usage.input_tokens, output_tokens=run.usage.output_tokens)]
        about = {"waggle": {"stop_reason": run.stop_reason, "cost_usd": run.usage.cost_usd}}
        yield from self._close()
        self._over = True
        if run.status is Status.FAILED:
            error = run.error or {"detail": "The run failed.", "type": "urn:waggle:problem:run-failed"}
            code = error["type"].rpartition(":")[2]
            yield ag.RunErrorEvent(message=error["detail"], code=code, usage=usage, metadata={"waggle": error})
            return
        success = run.status is Status.COMPLETED
        outcome = ag.RunFinishedSuccessOutcome() if success else ag.RunFinishedCancelledOutcome()
        yield ag.RunFinishedEvent(**self._ids, result=run.output, outcome=outcome, usage=usage, metadata=about)

    def _close(self) -> Iterator[ag.BaseEvent]:
        yield from self._end_of(*self._open)
        yield from self._step(None)


def _custom(message: Message, **about: Any) -> ag.BaseEvent:
    return ag.CustomEvent(name=message.type, value={"source": message.source, **about})


def _shown(message: Message) -> Iterator[ag.Message]:
    """A message that is stored, as the client would have it."""
    match message:
        case Image(source="user"):
            yield ag.UserMessage(id=message.id, content=[_part(part) for part in message.content])
        case _ if message.source == "user":
            yield ag.UserMessage(id=message.id, content=getattr(message, "content", ""))
        case ToolCall():
            function = ag.FunctionCall(name=message.name, arguments=orjson.dumps(message.arguments).decode())
            yield ag.AssistantMessage(id=message.id, tool_calls=[ag.ToolCall(id=message.call_id, function=function)])
        case ToolResult():
            yield ag.ToolMessage(id=message.id, tool_call_id=message.call_id, content=message.content)
        case Thought():
            yield ag.ReasoningMessage(id=message.id, content=message.content)
        case _ if (words := words_of(message)) is not None:
            yield ag.AssistantMessage(id=message.id, content=words, name=message.source)
        case _:
            pass


def _part(part: dict[str, Any]) -> ag.TextPart | ag.ImagePart:
    if part["type"] == "text":
        return ag.TextPart(text=part["text"])
    media_type, _, value = part["image_url"]["url"].removeprefix("data:").partition(";base64,")
    return ag.ImagePart(source=ag.DataSource(value=value, mime_type=media_type))


def _written(events: Iterable[ag.BaseEvent]) -> bytes:
    return "".join(map(_ENCODER.encode, events)).encode()
