"""What a fake provider is asked, and what it may answer: the same values for every wire."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the request offers; `parameters` is its JSON schema."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a chat request says, whatever its wire."""

    model: str
    stream: bool
    text: str
    """The last words of the user."""
    tools: tuple[ToolSpec, ...] = ()
    """Empty if the request forbids their use."""
    results: tuple[str, ...] = ()
    """What the tools answered, if the conversation ends with that."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; header names are in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Any
    asked: Asked


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counts them."""

    prompt: int = 11
    completion: int = 7


@dataclass(frozen=True, slots=True)
class Text:
    """An answer in words, streamed in `chunks` (else word by word) after its `thought`, if it has one."""

    text: str
    chunks: tuple[str, ...] = ()
    thought: str = ""
    usage: Usage = Usage()

    interval_s: float = 0
    """Between two frames of its stream."""

    @property
    def pieces(self) -> tuple[str, ...]:
        return self.chunks or words(self.text)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one tool; without an `id` the wire makes one up."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""

    @property
    def arguments_json(self) -> str:
        return json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """Calls of one or several tools at once, after `text`, if there is any."""

    calls: tuple[ToolCall, ...]
    text: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class HttpError:
    """A refusal; `body` is by default the provider's usual form around `message`."""

    status: int
    message: str = "the provider's own words"
    body: bytes | None = None
    retry_after: float | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer, ever; with `chunks`, a stream that falls silent after them."""

    chunks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drip:
    """A stream that ends only when the client leaves: `token` every `interval_s`."""

    token: str = "tick "
    interval_s: float = 0.01


@dataclass(frozen=True, slots=True)
class Cut:
    """A stream whose connection breaks after `chunks`."""

    chunks: tuple[str, ...] = ("Hel", "lo")


@dataclass(frozen=True, slots=True)
class Garbage:
    """Status 200 and a body that is no answer: by default broken JSON in the wire's own framing."""

    body: bytes | None = None
    content_type: str | None = None


Reply = Text | ToolCalls | HttpError | Hang | Drip | Cut | Garbage


def words(text: str) -> tuple[str, ...]:
    """The words, each but the first with the space before it, so that they join to the text."""
    first, *rest = text.split(" ")
    return (first, *(f" {word}" for word in rest))
