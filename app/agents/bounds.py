"""How long what a tool or a model says may be, and that it is text: the conversation is sent with every call, and kept.

A tool's result is cut, and says so: the model can ask for less. A model's answer that goes on and on is stopped: half
of it would be taken for the whole. Half a character, as Python has them for file names, fits into no request and into
no database.
"""

from contextvars import ContextVar

from autogen_core.models import CreateResult

from app.agents.halves import whole

MAX_CHARS: ContextVar[int | None] = ContextVar("waggle_max_chars", default=None)
"""Of the current run; None outside of one."""


MARKER = 50
"""Characters for what says how much was cut."""


class AnswerTooLongError(RuntimeError):
    """A model's answer is longer than MAX_MESSAGE_CHARS."""


def cut(text: str) -> str:
    """A tool's words, as far as they may go."""
    limit = MAX_CHARS.get()
    if limit is None or len(text) <= limit:
        return whole(text)
    kept = limit - MARKER  # so that it is not cut again where it passes a second time
    return f"{whole(text[:kept])}… [cut: {len(text) - kept} characters more]"


def check(characters: int) -> None:
    """Raises AnswerTooLongError where a model has said more."""
    limit = MAX_CHARS.get()
    if limit is not None and characters > limit:
        raise AnswerTooLongError


def checked(result: CreateResult) -> CreateResult:
    """The answer, in whole characters. Raises AnswerTooLongError."""
    check(length(result))
    if not isinstance(result.content, str) or (text := whole(result.content)) == result.content:
        return result
    return result.model_copy(update={"content": text})


def length(result: CreateResult) -> int:
    """How much a model has said: words, or calls of tools."""
    if isinstance(result.content, str):
        return len(result.content) + len(result.thought or "")
    return sum(len(call.arguments) for call in result.content)
