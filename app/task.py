"""What a run is asked: text, or text and images; and what was said before that."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image, as a `data:image/…;base64,…` URI."""

    url: str


Task = str | tuple[TextPart | ImagePart, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said earlier in a conversation that the client keeps."""

    role: Literal["system", "user", "assistant"]
    content: Task


def as_text(task: Task) -> str:
    """Its words; an image is named, not shown."""
    if isinstance(task, str):
        return task
    return "\n".join(part.text if isinstance(part, TextPart) else "[image]" for part in task)


def kept(task: Task) -> Any:
    """As JSON."""
    if isinstance(task, str):
        return task
    return [{"text": part.text} if isinstance(part, TextPart) else {"url": part.url} for part in task]


def taken_up(kept: Any) -> Task:
    """What `kept` was given."""
    if isinstance(kept, str):
        return kept
    return tuple(TextPart(part["text"]) if "text" in part else ImagePart(part["url"]) for part in kept)
