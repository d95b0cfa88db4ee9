"""Model calls, written into the run's journal, and answered from it where a run is brought back.

This is on every call's way, so it keeps references, and no more.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from autogen_core.models import CreateResult, LLMMessage
from autogen_core.tools import Tool, ToolSchema

from app.agents.asked import ModelAsked
from app.agents.journal import JOURNAL, Value


class ModelFailed(RuntimeError):
    """What a model failed with before its run waited, where the agent went on nevertheless."""


class RecordedCall:
    """One call. While it is entered it is going on, and what it raises is written down."""

    def __init__(
        self,
        owner: str,
        ref: str,
        messages: Sequence[LLMMessage],
        tools: Sequence[Tool | ToolSchema],
        parameters: tuple[Any, ...],
    ) -> None:
        self._journal = JOURNAL.get()
        self._asked = ModelAsked(owner, ref, list(messages), tools, parameters)  # the list may be the agent's own
        self.is_replay = self._journal is not None and self._journal.replaying

    async def recall(self) -> tuple[str, CreateResult] | None:
        """What the model streamed before, and its result; None, once it may be asked. Raises ModelFailed."""
        if self._journal is None or (found := await self._journal.recall(self._asked)) is None:
            return None
        if "error" in found:
            raise ModelFailed(found["error"])
        return found["streamed"], CreateResult.model_validate(found["result"])

    def __enter__(self) -> None:
        if self._journal is not None:
            self._journal.busy += 1
            self._journal.moves += 1

    def answered(self, result: CreateResult, pieces: list[str | CreateResult]) -> None:
        if self._journal is not None:
            self._journal.note("model", self._asked, (result, pieces), _answered)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._journal is None:
            return
        self._journal.busy -= 1
        self._journal.moves += 1
        if isinstance(error, Exception):
            self._journal.note("model", self._asked, str(error), _failed)


def _answered(answer: tuple[CreateResult, list[str | CreateResult]]) -> Value:
    result, pieces = answer
    return {
        "result": result.model_dump(mode="json"),
        "streamed": "".join(piece for piece in pieces if isinstance(piece, str)),
    }


def _failed(message: str) -> Value:
    return {"error": message}
