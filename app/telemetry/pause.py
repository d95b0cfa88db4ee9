"""What a run that waits for a person does to spans, which only the moment of their end can tell.

Spans that the pause cuts are neither errors nor cancelled. When the run goes on, its agent does again what it did, and
AutoGen makes the spans of that again: whoever counts should leave them out.
"""

from asyncio import CancelledError
from collections.abc import Callable
from contextvars import ContextVar

PAUSED, REPLAYED = "waggle.paused", "waggle.replayed"


class Pause:
    """One run's, known in all that it starts."""

    def __init__(self, replaying: Callable[[], bool]) -> None:
        self.happened = False
        self.replaying = replaying

    def current(self) -> None:
        """From here on, in this context."""
        _PAUSE.set(self)


_PAUSE: ContextVar[Pause | None] = ContextVar("waggle_pause", default=None)


def cut(error: BaseException | None) -> bool:
    """Whether that is what ends a span of a run that pauses."""
    if not isinstance(error, CancelledError | GeneratorExit):
        return False
    pause = _PAUSE.get()
    return pause is not None and pause.happened


def replayed() -> bool:
    """Whether what ends now was done before the run waited."""
    pause = _PAUSE.get()
    return pause is not None and pause.replaying()
