"""AutoGen's messages, as events of ours: total, so that no message is dropped and none breaks a run.

AutoGen streams a model's whole output under one id, thoughts in `<think>` tags, and gives the final message that id
only when there was no thought. Here the deltas of a thought and of a text have an id each, and the message that
they add up to takes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import uuid4

import orjson
from autogen_agentchat import messages as autogen
from autogen_core import Image as AutoGenImage

from app.events import MessageAdded, TextDelta, ThoughtDelta
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

Told = TextDelta | ThoughtDelta | MessageAdded
AutoGenMessage = autogen.BaseAgentEvent | autogen.BaseChatMessage

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class _Stream:
    """What one source has streamed of the message it is writing."""

    id: str
    text: str = ""
    thought: str = ""
    thinking: bool = False

    @property
    def text_id(self) -> str:
        return f"{self.id}.text" if self.thought or self.thinking else self.id


class Translator:
    """Translates one run's messages. `participants` are whom a team may choose as speakers."""

    def __init__(self, participants: Sequence[str] = ()) -> None:
        self._participants = list(participants)
        self._streams: dict[str, _Stream] = {}

    def translate(self, message: AutoGenMessage) -> Iterator[Told]:
        if isinstance(message, autogen.ModelClientStreamingChunkEvent):
            yield from self._chunk(message)
            return
        for said in self._said(message):
            yield MessageAdded(said)

    def _chunk(self, chunk: autogen.ModelClientStreamingChunkEvent) -> Iterator[TextDelta | ThoughtDelta]:
        id_ = chunk.full_message_id or f"{chunk.source}-{uuid4()}"
        stream = self._streams.get(chunk.source)
        if stream is None or (chunk.full_message_id and stream.id != id_):
            stream = self._streams[chunk.source] = _Stream(id_)
        rest = chunk.content
        while rest:
            if stream.thinking:
                thought, closed, rest = rest.partition(_CLOSE)
                stream.thinking = not closed
                if thought:
                    stream.thought += thought
                    yield ThoughtDelta(chunk.source, stream.id, thought)
            elif not stream.text and rest.startswith(_OPEN):
                stream.thinking, rest = True, rest[len(_OPEN) :]
            else:
                text = rest if stream.text or not stream.thought else rest.lstrip()
                if text:
                    stream.text += text
                    yield TextDelta(chunk.source, stream.text_id, text)
                rest = ""

    def _said(self, message: AutoGenMessage) -> Iterator[Message]:
        about: dict[str, Any] = {
            "id": message.id,
            "source": message.source,
            "created_at": message.created_at.astimezone(UTC),
        }
        match message:
            case autogen.ThoughtEvent():
                yield Thought(**about | {"id": self._thought_id(message)}, content=message.content)
            case autogen.ToolCallRequestEvent():
                for index, call in enumerate(message.content):
                    yield ToolCall(
                        **about | {"id": _nth(message.id, index)},
                        call_id=call.id,
                        name=call.name,
                        arguments=_parsed(call.arguments),
                    )
            case autogen.ToolCallExecutionEvent():
                for index, result in enumerate(message.content):
                    yield ToolResult(
                        **about | {"id": _nth(message.id, index)},
                        call_id=result.call_id,
                        name=result.name,
                        content=result.content,
                        is_error=bool(result.is_error),
                    )
            case autogen.HandoffMessage():
                yield Handoff(**about, target=message.target, content=message.content)
            case autogen.MultiModalMessage():
                yield Image(**about, content=[_part(part) for part in message.content])
            case autogen.MemoryQueryEvent():
                yield Memory(**about, content=[str(memory.content) for memory in message.content])
            case autogen.SelectSpeakerEvent():
                yield Speaker(**about, candidates=self._participants, selected=list(message.content))
            case autogen.StructuredMessage():
                yield Structured(
                    **about | {"id": self._streamed_id(message)},
                    content=message.content.model_dump(mode="json"),
                )
            case autogen.BaseTextChatMessage():
                streamed = isinstance(message, autogen.TextMessage)
                yield Text(
                    **about | {"id": self._streamed_id(message) if streamed else message.id},
                    content=message.content,
                )
            case _:
                yield Other(**about, name=type(message).__name__, content=message.to_text())

    def _streamed_id(self, message: AutoGenMessage) -> str:
        """The id of the deltas that this message completes, if it was streamed."""
        stream = self._streams.pop(message.source, None)
        return stream.text_id if stream and stream.text else message.id

    def _thought_id(self, message: autogen.ThoughtEvent) -> str:
        """The id of its deltas: a thought's own, or a text's that turned out to stand beside a tool call."""
        stream = self._streams.get(message.source)
        if stream is None:
            return message.id
        if stream.thought:
            return stream.id
        if stream.text == message.content:
            return self._streams.pop(message.source).text_id
        return f"{message.id}.thought" if message.id == stream.id else message.id


def _nth(id_: str, index: int) -> str:
    return id_ if index == 0 else f"{id_}.{index}"


def _parsed(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _part(part: str | AutoGenImage) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.data_uri}}
