"""What a run says, in order, for protocols that know text alone: whether it came in pieces or whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import orjson

from app.events import MessageAdded, RunEvent, TextDelta, ThoughtDelta
from app.messages import Image, Message, Structured, Text, Thought, ToolCall, ToolResult

_SHOWN = re.compile(r"!\[\]\(data:image/[^)\s]*\)")


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a message; `text` of one for a person, `thought` of one that a model had."""

    kind: Literal["text", "thought"]
    message_id: str
    source: str
    words: str
    first: bool
    """Whether the message begins with it."""


class Speech:
    """Takes the events of one run."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        """Messages that were told, or are being told in pieces."""

    def pieces(self, event: RunEvent) -> Iterator[Piece]:
        """What is new in that event; a message that came in pieces is not told again when it is complete."""
        match event:
            case TextDelta():
                yield self._piece("text", event.message_id, event.source, event.delta)
            case ThoughtDelta():
                yield self._piece("thought", event.message_id, event.source, event.delta)
            case MessageAdded(message) if message.id not in self._told and (words := words_of(message)) is not None:
                kind: Literal["text", "thought"] = "thought" if isinstance(message, Thought) else "text"
                yield self._piece(kind, message.id, message.source, words)
            case _:
                pass

    def _piece(self, kind: Literal["text", "thought"], message_id: str, source: str, words: str) -> Piece:
        first = message_id not in self._told
        self._told.add(message_id)
        return Piece(kind, message_id, source, words, first)


def words_of(message: Message) -> str | None:
    """What an agent says or thinks, as text; None for the task, and for what it does."""
    if message.source == "user":
        return None
    match message:
        case Text() | Thought():
            return message.content
        case Structured():
            return orjson.dumps(message.content).decode()
        case Image():
            return "\n\n".join(map(_shown, message.content))
        case _:
            return None


def _shown(part: dict[str, object]) -> str:
    """As Markdown, which every chat shows."""
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"image_url": {"url": str(url)}}:
            return f"![]({url})"
        case _:
            return ""


def unshown(words: str) -> str:
    """What an agent said, as a client sends it back: no model reads a picture that is written out as text."""
    return _SHOWN.sub("[image]", words)


class CallIds:
    """The tool calls of one run, by ids that differ: models of a team may give two calls the same."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def begun(self, call: ToolCall) -> str:
        """Its id from now on."""
        id_ = self._ids[call.call_id] = call.id if call.call_id in self._ids else call.call_id
        return id_

    def of(self, result: ToolResult) -> str | None:
        """The call's; None where that was told in another stream."""
        return self._ids.get(result.call_id)
