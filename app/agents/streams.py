"""What one source streams of one message: a thought in `<think>` tags, perhaps, and then a text.

A tag may come in pieces, so what could be the beginning of one is held back. It counts at the very beginning only:
later on, it is what the model writes about.
"""

from collections.abc import Iterable, Iterator
from enum import Enum

from app.events import Delta, TextDelta, ThoughtDelta

OPEN, CLOSE = "<think>", "</think>"


class _At(Enum):
    BEGINNING = 1
    THOUGHT = 2
    BETWEEN = 3
    """Behind a thought; white space there belongs to neither."""
    TEXT = 4


class Stream:
    """One message in the making. Its text has the stream's id, or a derived one where a thought comes first."""

    def __init__(self, source: str, id_: str) -> None:
        self.source = source
        self.id = id_
        self.thought_told = False
        """Whether the thought's message has been given out."""
        self._at = _At.BEGINNING
        self._held = ""
        self._thought: list[str] = []
        self._text: list[str] = []

    @property
    def thought(self) -> str:
        return "".join(self._thought)

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def text_id(self) -> str:
        return f"{self.id}.text" if self._thought else self.id

    def take(self, piece: str) -> Iterable[Delta]:
        """The deltas of what may be told by now."""
        return self._say(piece) if self._at is _At.TEXT else self._look(piece)

    def _look(self, piece: str) -> Iterator[Delta]:
        """For tags: a text has none any more."""
        rest = self._held + piece
        self._held = ""
        while rest:
            match self._at:
                case _At.BEGINNING if len(rest) < len(OPEN) and OPEN.startswith(rest):
                    self._held, rest = rest, ""
                case _At.BEGINNING if rest.startswith(OPEN):
                    self._at, rest = _At.THOUGHT, rest.removeprefix(OPEN)
                case _At.THOUGHT:
                    thought, closed, rest = rest.partition(CLOSE)
                    if closed:
                        self._at = _At.BETWEEN
                    else:
                        thought, self._held = _without_beginning_of_close(thought)
                    yield from self._think(thought)
                case _At.BETWEEN if not rest.lstrip():
                    rest = ""
                case _At.BETWEEN:
                    self._at, rest = _At.TEXT, rest.lstrip()
                case _:
                    self._at = _At.TEXT
                    yield from self._say(rest)
                    rest = ""

    def flush(self) -> Iterable[Delta]:
        """The delta of what was held back, which was no tag after all."""
        held, self._held = self._held, ""
        return self._think(held) if self._at is _At.THOUGHT else self._say(held)

    def says(self, content: str) -> bool:
        """Whether that is its text, also with the thought in it, as AutoGen leaves it for unknown models."""
        text, content = self.text.strip(), content.strip()
        return bool(text) and text in (content, content.removeprefix(f"{OPEN}{self.thought}{CLOSE}").strip())

    def _think(self, thought: str) -> tuple[Delta, ...]:
        if not thought:
            return ()
        self._thought.append(thought)
        return (ThoughtDelta(self.source, self.id, thought),)

    def _say(self, text: str) -> tuple[Delta, ...]:
        if not text:
            return ()
        self._text.append(text)
        return (TextDelta(self.source, self.text_id, text),)


def _without_beginning_of_close(thought: str) -> tuple[str, str]:
    """The thought, and what of its end may be the tag's beginning."""
    longest = next((n for n in range(len(CLOSE) - 1, 0, -1) if thought.endswith(CLOSE[:n])), 0)
    return thought[: len(thought) - longest], thought[len(thought) - longest :]
