"""Vercel's AI SDK: its UI message stream, https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol, as npm's `ai` 7 reads it.

A run is one message of the assistant, and one step of it; a run that has asked a person goes on in another message.
Vercel publishes the chunks as a schema of JavaScript's alone, which is what the tests hold these to.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import orjson

from app.events import InputRequest, InputRequired, MessageAdded, Placed, Run, RunEnded, RunEvent, RunRestarted
from app.events import RunStatus as Status
from app.messages import Handoff, Image, Memory, Message, Other, Speaker, Structured, ToolCall, ToolResult
from app.wire.speech import CallIds, Piece, Speech

HEADERS = {"X-Vercel-AI-UI-Message-Stream": "v1"}
DONE = b"data: [DONE]\n\n"
Chunk = dict[str, Any]
_TOOL: Chunk = {"dynamic": True, "providerExecuted": True}
"""The page knows nothing of it, and is not to execute it, nor to send the conversation again once it is done."""


async def frames(
    run: Run, events: AsyncIterator[list[Placed]], message_id: str | None = None
) -> AsyncGenerator[bytes, None]:
    """The chunks of the message, as many in one piece of bytes as there were events at once."""
    told = _Told(run)
    yield _written(told.start(message_id or run.run_id))
    async for batch in events:
        if frame := _written(chunk for _, event in batch for chunk in told.chunks(event)):
            yield frame
    yield _written(told.left()) + DONE


def next_message_id(run: Run, question: InputRequest) -> str:
    """Of what the run says once that is answered."""
    return f"{run.run_id}:{question.input_id}"


class _Told:
    """A stream as far as it was told."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._speech = Speech()
        self._open: dict[str, str] = {}
        """The parts that are being told, by message, and whether each is `text` or `reasoning`."""
        self._calls = CallIds()
        self._next: str | None = None
        """The message that goes on, where the one before it is complete."""

    def start(self, message_id: str) -> Iterator[Chunk]:
        run = self._run
        about = {"run_id": run.run_id, "session_id": run.session_id, "trace_id": run.trace_id, "agent": run.agent}
        yield {"type": "start", "messageId": message_id, "messageMetadata": about}
        yield {"type": "start-step"}

    def chunks(self, event: RunEvent) -> Iterator[Chunk]:
        if self._next is not None:
            yield from self.start(self._next)
            self._next = None
        match event:
            case RunRestarted():
                self._speech, self._open, self._calls = Speech(), {}, CallIds()
                yield {"type": "reset-step"}
            case MessageAdded(message) if message.source == "user":
                pass
            case MessageAdded(Image() as message):
                yield from self._image(message)
            case InputRequired(request):
                yield from self._question(request)
            case RunEnded(run):
                yield from self._end(run)
            case _:
                for piece in self._speech.pieces(event):
                    yield from self._piece(piece)
                if isinstance(event, MessageAdded):
                    yield from self._close(event.message.id)
                    yield from self._message(event.message)

    def left(self) -> Iterator[Chunk]:
        """What there is to say of a run that goes on: `resumeStream()` of the page shows the rest."""
        if self._next is None:
            yield from self._finish("interrupted")

    def _piece(self, piece: Piece) -> Iterator[Chunk]:
        if piece.message_id not in self._open:
            if piece.kind == "text":  # whoever speaks has thought
                yield from self._close(*[id_ for id_, kind in self._open.items() if kind == "reasoning"])
            kind = self._open[piece.message_id] = "text" if piece.kind == "text" else "reasoning"
            yield {"type": f"{kind}-start", "id": piece.message_id, **_by(piece.source)}
        yield {"type": f"{self._open[piece.message_id]}-delta", "id": piece.message_id, "delta": piece.words}

    def _close(self, *message_ids: str) -> Iterator[Chunk]:
        for id_ in message_ids:
            if (kind := self._open.pop(id_, None)) is not None:
                yield {"type": f"{kind}-end", "id": id_}

    def _message(self, message: Message) -> Iterator[Chunk]:
        """What of it is not said in words."""
        match message:
            case ToolCall():
                yield self._called(self._calls.begun(message), message, message.arguments)
            case ToolResult():
                id_ = self._calls.of(message)
                if id_ is None:  # it was called in the message before, which the question has ended
                    yield self._called(message.call_id, message, None)
                part = {"toolCallId": id_ or message.call_id, **_TOOL}
                if message.is_error:
                    yield {"type": "tool-output-error", "errorText": message.content, **part}
                else:
                    yield {"type": "tool-output-available", "output": message.content, **part}
            case Structured():
                yield _data(message, content=message.content)
            case Handoff():
                yield _data(message, target=message.target, content=message.content)
            case Speaker():
                yield _data(message, candidates=message.candidates, selected=message.selected)
            case Memory():
                yield _data(message, content=message.content)
            case Other():
                yield _data(message, name=message.name, content=message.content)
            case _:
                pass

    def _called(self, id_: str, message: ToolCall | ToolResult, arguments: Any) -> Chunk:
        about = {"toolCallId": id_, "toolName": message.name, "input": arguments}
        return {"type": "tool-input-available", **about, **_TOOL, **_by(message.source)}

    def _image(self, message: Image) -> Iterator[Chunk]:
        for number, part in enumerate(message.content):
            match part:
                case {"type": "text", "text": str(text)}:
                    piece = Piece("text", f"{message.id}.{number}", message.source, text, first=True)
                    yield from self._piece(piece)
                    yield from self._close(piece.message_id)
                case {"image_url": {"url": str(url)}}:
                    media_type = url.partition(";")[0].removeprefix("data:")
                    yield {"type": "file", "mediaType": media_type, "url": url, **_by(message.source)}
                case _:
                    pass

    def _question(self, request: InputRequest) -> Iterator[Chunk]:
        asked = {"run_id": self._run.run_id, **asdict(request)}
        yield {"type": "data-input-required", "id": request.input_id, "data": asked}
        yield from self._finish("other", {"status": Status.INPUT_REQUIRED})
        self._next = next_message_id(self._run, request)

    def _end(self, run: Run) -> Iterator[Chunk]:
        about = {"status": run.status, "stop_reason": run.stop_reason, "usage": asdict(run.usage)}
        yield from self._close(*self._open)
        match run.status:
            case Status.COMPLETED:
                yield from self._finish("stop", about)
            case Status.CANCELLED:
                yield {"type": "message-metadata", "messageMetadata": about}
                yield {"type": "abort", "reason": run.stop_reason or "The run was cancelled."}
            case _:
                error = run.error or {}
                yield {"type": "message-metadata", "messageMetadata": about | {"error": error}}
                yield {"type": "error", "errorText": error.get("detail", "The run failed.")}
        self._next = run.run_id

    def _finish(self, reason: str, about: Chunk | None = None) -> Iterator[Chunk]:
        yield from self._close(*self._open)
        yield {"type": "finish-step"}
        yield {"type": "finish", "finishReason": reason, **({"messageMetadata": about} if about else {})}


def _by(source: str) -> Chunk:
    """Who says or does it."""
    return {"providerMetadata": {"waggle": {"source": source}}}


def _data(message: Message, **about: Any) -> Chunk:
    return {"type": f"data-{message.type}", "id": message.id, "data": {"source": message.source, **about}}


def _written(chunks: Iterable[Chunk]) -> bytes:
    return b"".join([b"data: %b\n\n" % orjson.dumps(chunk, option=orjson.OPT_UTC_Z) for chunk in chunks])
