"""AutoGen's messages, as events of ours: total, so that no message is dropped and none breaks a run.

AutoGen streams a model's whole output under one id, and gives the final message that id only when there was no
thought. Here the deltas of a thought and of a text have an id each, which no other message has, and the message
that they add up to takes it. What was streamed before a tool call is a thought, also where AutoGen forgets it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from typing import Any

import orjson
from autogen_agentchat import messages as autogen
from autogen_core import Image as AutoGenImage
from autogen_core.memory import MemoryContent

from app.agents.halves import whole, whole_message
from app.agents.streams import Stream
from app.events import Delta, MessageAdded
from app.messages import (
    Handoff,
    Image,
    Memory,
    Message,
    Other,
    Speaker,
    Structured,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)

Told = Delta | MessageAdded
AutoGenMessage = autogen.BaseAgentEvent | autogen.BaseChatMessage


class Translator:
    """Translates one run's messages. `participants` are whom a team may choose as speakers."""

    def __init__(self, participants: Sequence[str] = ()) -> None:
        self._participants = list(participants)
        self._streams: dict[tuple[str, str | None], Stream] = {}
        """What is being streamed, by its source and AutoGen's id of it, the latest last."""
        self._ids: set[str] = set()

    def translate(self, message: AutoGenMessage) -> Iterable[Told]:
        if isinstance(message, autogen.ModelClientStreamingChunkEvent):
            return self._stream_of(message).take(whole(message.content))
        return self._translate(message)

    def _translate(self, message: AutoGenMessage) -> Iterator[Told]:
        if isinstance(message, autogen.UserInputRequestedEvent):
            return  # the run's own event tells what is asked
        stream = self._stream_before(message)
        if stream is not None:
            yield from stream.flush()
        for said in self._said(message, stream):
            yield MessageAdded(whole_message(said))

    def _stream_of(self, chunk: autogen.ModelClientStreamingChunkEvent) -> Stream:
        key = (chunk.source, chunk.full_message_id)
        if (stream := self._streams.get(key)) is None:
            stream = self._streams[key] = Stream(chunk.source, self._unused(chunk.full_message_id or chunk.id))
        return stream

    def _stream_before(self, message: AutoGenMessage) -> Stream | None:
        """What the message may complete: the stream that AutoGen says, else the latest of its source."""
        named = self._streams.get((message.source, message.id))
        return named or next((s for s in reversed(self._streams.values()) if s.source == message.source), None)

    def _said(self, message: AutoGenMessage, stream: Stream | None) -> Iterator[Message]:
        about: dict[str, Any] = {"source": message.source, "created_at": message.created_at.astimezone(UTC)}
        if isinstance(message, autogen.ThoughtEvent):
            yield from self._thoughts(message, stream, about)
            return
        content = whole(_text_of(message))
        completed = stream is not None and stream.says(content)
        if stream is not None and (completed or _ends_streams(message)):
            self._forget(stream)
            if stream.thought and not stream.thought_told:
                yield Thought(**about, id=stream.id, content=stream.thought)
        if stream is not None and isinstance(message, autogen.ToolCallRequestEvent) and stream.text:
            yield Thought(**about, id=stream.text_id, content=stream.text)
        if stream is not None and (completed or (isinstance(message, autogen.StructuredMessage) and stream.text)):
            about["id"], content = stream.text_id, stream.text
        else:
            about["id"] = self._unused(message.id)
        yield from self._translated(message, content, about)

    def _translated(self, message: AutoGenMessage, content: str, about: dict[str, Any]) -> Iterator[Message]:
        match message:
            case autogen.ToolCallRequestEvent():
                for call, said in zip(message.content, _numbered(about), strict=False):
                    yield ToolCall(**said, call_id=call.id, name=call.name, arguments=_parsed(call.arguments))
            case autogen.ToolCallExecutionEvent():
                for result, said in zip(message.content, _numbered(about), strict=False):
                    yield ToolResult(
                        **said,
                        call_id=result.call_id,
                        name=result.name,
                        content=result.content,
                        is_error=bool(result.is_error),
                    )
            case autogen.HandoffMessage():
                yield Handoff(**about, target=message.target, content=content)
            case autogen.MultiModalMessage():
                yield Image(**about, content=[_part(part) for part in message.content])
            case autogen.MemoryQueryEvent():
                yield Memory(**about, content=[_recalled(memory) for memory in message.content])
            case autogen.SelectSpeakerEvent():
                yield Speaker(**about, candidates=self._participants, selected=list(message.content))
            case autogen.StructuredMessage():
                yield Structured(**about, content=message.content.model_dump(mode="json"))
            case autogen.BaseTextChatMessage():
                yield Text(**about, content=content)
            case _:
                yield Other(**about, name=type(message).__name__, content=content)

    def _thoughts(
        self, message: autogen.ThoughtEvent, stream: Stream | None, about: dict[str, Any]
    ) -> Iterator[Message]:
        """Of a model that thought, spoke and called a tool, AutoGen tells one of the two: here both are told."""
        content = whole(message.content)
        if stream is None or stream.thought_told:
            yield Thought(**about, id=self._unused(message.id), content=content)
            return
        spoken = stream.says(content)
        if stream.thought:
            # AutoGen takes letters off a thought that begins or ends like the tags.
            same = spoken or content.strip() in stream.thought
            yield Thought(**about, id=stream.id, content=stream.thought if same else content)
            stream.thought_told = True
        if spoken:
            self._forget(stream)
            yield Thought(**about, id=stream.text_id, content=stream.text)
        elif not stream.thought:
            yield Thought(**about, id=self._unused(message.id), content=content)

    def _forget(self, stream: Stream) -> None:
        self._streams = {key: other for key, other in self._streams.items() if other is not stream}

    def _unused(self, id_: str) -> str:
        """The id, or one made from it if another message or stream of this run has it already."""
        number, unused = 1, id_
        while unused in self._ids:
            number += 1
            unused = f"{id_}~{number}"
        self._ids.add(unused)
        return unused


def _ends_streams(message: AutoGenMessage) -> bool:
    """Whether its source has said what it was streaming; an event may come in between."""
    return isinstance(message, autogen.BaseChatMessage | autogen.ToolCallRequestEvent)


def _text_of(message: AutoGenMessage) -> str:
    return message.content if isinstance(message, autogen.BaseTextChatMessage) else message.to_text()


def _numbered(about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For each message that one of AutoGen's becomes."""
    yield about
    number = 1
    while True:
        yield about | {"id": f"{about['id']}.{number}"}
        number += 1


def _parsed(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _part(part: str | AutoGenImage) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.data_uri}}


def _recalled(memory: MemoryContent) -> str:
    match memory.content:
        case str() as text:
            return text
        case bytes() as text:
            return text.decode(errors="replace")
        case dict() as record:
            return orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        case _:
            return "<image>"
