"""How long what a tool or a model says may be: the conversation is sent with every call, and is kept.

A tool's result is cut, and says so: the model can ask for less. A model's answer that goes on and on is stopped: half
of it would be taken for the whole.
"""

from contextvars import ContextVar

from autogen_core.models import CreateResult

MAX_CHARS: ContextVar[int | None] = ContextVar("waggle_max_chars", default=None)
"""Of the current run; None outside of one."""


class AnswerTooLongError(RuntimeError):
    """A model's answer is longer than MAX_MESSAGE_CHARS."""


def cut(text: str) -> str:
    """A tool's words, as far as they may go."""
    limit = MAX_CHARS.get()
    if limit is None or len(text) <= limit:
        return text
    return f"{text[:limit]}… [cut: {len(text) - limit} characters more]"


def check(characters: int) -> None:
    """Raises AnswerTooLongError where a model has said more."""
    limit = MAX_CHARS.get()
    if limit is not None and characters > limit:
        raise AnswerTooLongError


def length(result: CreateResult) -> int:
    """How much a model has said: words, or calls of tools."""
    if isinstance(result.content, str):
        return len(result.content) + len(result.thought or "")
    return sum(len(call.arguments) for call in result.content)
