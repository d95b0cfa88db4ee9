"""OpenAI's responses: https://developers.openai.com/api/reference/resources/responses. A response is a run.

What agents say are its messages, what they think its reasoning, what they show its generated images. A tool that an
agent called is told as a call of a remote MCP server's tool: of the items that OpenAI has, the one of which a client
knows that it is not to make the call.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import count
from typing import Any

import orjson
from openai.types import responses as openai
from openai.types.responses.response_content_part_added_event import PartReasoningText as ThoughtBegun
from openai.types.responses.response_content_part_done_event import PartReasoningText as ThoughtDone
from openai.types.responses.response_output_item import ImageGenerationCall, McpCall

from app.events import InputRequired, MessageAdded, Placed, Run, RunEnded, RunEvent, RunStatus
from app.messages import Image, ToolCall, ToolResult
from app.wire.openai_items import (
    STATUS,
    Item,
    answered,
    called,
    item_id_of,
    items_of,
    parts_of,
    response_of,
    said,
    text_of,
)
from app.wire.speech import Piece, Speech

_ENDS = {"completed": openai.ResponseCompletedEvent, "failed": openai.ResponseFailedEvent}


async def frames(
    run: Run, events: AsyncIterator[list[Placed]], *, previous: str | None = None, after: int = -1
) -> AsyncGenerator[bytes, None]:
    """The events of a response; without those up to the `sequence_number` that a client has seen."""
    told, asks = _Told(run, previous), False
    async for batch in events:
        new = [event for _, each in batch for event in told.events(each) if event.sequence_number > after]
        if new:
            yield b"".join(map(_frame, new))
        asks = isinstance(batch[-1][1], InputRequired)
    if asks:
        yield _frame(told.end(run, RunStatus.INPUT_REQUIRED))


def response(run: Run, *, previous: str | None = None) -> bytes:
    """The response as it stands."""
    return orjson.dumps(response_of(run, items_of(run), previous).model_dump(mode="json", exclude_unset=True))


def _frame(event: Any) -> bytes:
    content = event.model_dump(mode="json", exclude_unset=True)
    return b"event: %b\ndata: %b\n\n" % (event.type.encode(), orjson.dumps(content))


class _Told:
    """A stream as far as it was told. What it tells of the same events is the same, for whoever comes back."""

    def __init__(self, run: Run, previous: str | None) -> None:
        self._run = run
        self._previous = previous
        self._numbers = count()
        self._speech = Speech()
        self._done: list[Item] = []
        self._open: tuple[Piece, list[str]] | None = None
        """The message that is being told, and its words so far."""
        self._calls: dict[str, tuple[int, McpCall]] = {}
        """Each tool call, and where it is among the items."""
        self._created = False

    def events(self, event: RunEvent) -> Iterator[Any]:
        for told in self._events(event):
            told.sequence_number = next(self._numbers)
            yield told

    def _events(self, event: RunEvent) -> Iterator[Any]:
        if not self._created:  # also where a client comes back to a run that waited
            self._created = True
            now = response_of(self._run, (), self._previous, RunStatus.RUNNING)
            yield _new(openai.ResponseCreatedEvent, type="response.created", response=now)
            yield _new(openai.ResponseInProgressEvent, type="response.in_progress", response=now)
        match event:
            case MessageAdded(ToolCall() as call):
                yield from self._close()
                yield from self._call(call)
            case MessageAdded(ToolResult() as result) if result.call_id in self._calls:
                yield from self._result(result)
            case MessageAdded(Image() as message) if message.source != "user":
                for part_id, part in parts_of(message):
                    if isinstance(part, str):
                        yield from self._text(part_id, message.source, part)
                    else:
                        yield from self._image(part)
            case InputRequired(request):
                yield from self._text(request.input_id, request.source, request.prompt)
            case RunEnded(run):
                yield from self._close()
                yield self._end(run, run.status)
            case _:
                for piece in self._speech.pieces(event):
                    yield from self._piece(piece)
                if isinstance(event, MessageAdded):
                    yield from self._close()

    def _text(self, message_id: str, source: str, text: str) -> Iterator[Any]:
        """A message that is told at once."""
        yield from self._close()
        yield from self._piece(Piece("text", message_id, source, text, first=True))
        yield from self._close()

    def _piece(self, piece: Piece) -> Iterator[Any]:
        if self._open is None or self._open[0].message_id != piece.message_id:
            yield from self._close()
            self._open = piece, []
            where = {"output_index": len(self._done)}
            item = said(piece.kind, piece.message_id, None)
            yield _new(openai.ResponseOutputItemAddedEvent, type="response.output_item.added", item=item, **where)
            part = text_of("") if piece.kind == "text" else ThoughtBegun(type="reasoning_text", text="")
            yield self._part(openai.ResponseContentPartAddedEvent, "response.content_part.added", part=part)
        self._open[1].append(piece.words)
        if piece.kind == "text":
            kind, name = openai.ResponseTextDeltaEvent, "response.output_text.delta"
            yield self._part(kind, name, delta=piece.words, logprobs=[])
        else:
            yield self._part(openai.ResponseReasoningTextDeltaEvent, "response.reasoning_text.delta", delta=piece.words)

    def _close(self) -> Iterator[Any]:
        if self._open is None:
            return
        piece, words = self._open
        text = "".join(words)
        if piece.kind == "text":
            yield self._part(openai.ResponseTextDoneEvent, "response.output_text.done", text=text, logprobs=[])
        else:
            yield self._part(openai.ResponseReasoningTextDoneEvent, "response.reasoning_text.done", text=text)
        part = text_of(text) if piece.kind == "text" else ThoughtDone(type="reasoning_text", text=text)
        yield self._part(openai.ResponseContentPartDoneEvent, "response.content_part.done", part=part)
        self._open = None
        self._done.append(said(piece.kind, piece.message_id, text))
        yield self._item_done(len(self._done) - 1)

    def _part(self, kind: Any, name: str, **fields: Any) -> Any:
        """An event of the message that is being told."""
        assert self._open is not None, "nothing is being told"  # noqa: S101
        item_id = item_id_of(self._open[0].kind, self._open[0].message_id)
        return _new(kind, type=name, item_id=item_id, output_index=len(self._done), content_index=0, **fields)

    def _call(self, call: ToolCall) -> Iterator[Any]:
        index, item = len(self._done), called(call, self._run.agent)
        self._calls[call.call_id] = index, item
        self._done.append(item)
        where = {"output_index": index, "item_id": item.id}
        yield _new(
            openai.ResponseOutputItemAddedEvent, type="response.output_item.added", item=item, output_index=index
        )
        yield _new(openai.ResponseMcpCallInProgressEvent, type="response.mcp_call.in_progress", **where)
        yield _new(
            openai.ResponseMcpCallArgumentsDoneEvent,
            type="response.mcp_call_arguments.done",
            arguments=item.arguments,
            **where,
        )

    def _result(self, result: ToolResult) -> Iterator[Any]:
        index, item = self._calls[result.call_id]
        self._done[index] = answered(item, result)
        where = {"output_index": index, "item_id": item.id}
        if result.is_error:
            yield _new(openai.ResponseMcpCallFailedEvent, type="response.mcp_call.failed", **where)
        else:
            yield _new(openai.ResponseMcpCallCompletedEvent, type="response.mcp_call.completed", **where)
        yield self._item_done(index)

    def _image(self, item: ImageGenerationCall) -> Iterator[Any]:
        yield from self._close()
        index = len(self._done)
        self._done.append(item)
        where = {"output_index": index, "item_id": item.id}
        begun = item.model_copy(update={"result": None, "status": "in_progress"})
        yield _new(
            openai.ResponseOutputItemAddedEvent, type="response.output_item.added", item=begun, output_index=index
        )
        for kind, stage in (
            (openai.ResponseImageGenCallInProgressEvent, "in_progress"),
            (openai.ResponseImageGenCallCompletedEvent, "completed"),
        ):
            yield _new(kind, type=f"response.image_generation_call.{stage}", **where)
        yield self._item_done(index)

    def _item_done(self, index: int) -> Any:
        kind, name = openai.ResponseOutputItemDoneEvent, "response.output_item.done"
        return _new(kind, type=name, item=self._done[index], output_index=index)

    def end(self, run: Run, status: RunStatus) -> Any:
        told = self._end(run, status)
        told.sequence_number = next(self._numbers)
        return told

    def _end(self, run: Run, status: RunStatus) -> Any:
        word = STATUS[status]
        kind = _ENDS.get(word, openai.ResponseIncompleteEvent)
        told = response_of(run, self._done, self._previous, status)
        return _new(kind, type=f"response.{word if word in _ENDS else 'incomplete'}", response=told)


def _new(kind: Any, **fields: Any) -> Any:
    """An event, whose number is set when it is told."""
    return kind.construct(sequence_number=0, **fields)
