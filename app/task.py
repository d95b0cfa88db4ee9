"""What a run is asked: text, or text and images."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image, as a `data:image/…;base64,…` URI."""

    url: str


Task = str | tuple[TextPart | ImagePart, ...]


def as_text(task: Task) -> str:
    """Its words; an image is named, not shown."""
    if isinstance(task, str):
        return task
    return "\n".join(part.text if isinstance(part, TextPart) else "[image]" for part in task)
