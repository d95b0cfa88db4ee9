"""A model that follows a script, for tests: `MODEL=replay:/path/to/script.json`.

The script is a JSON list of answers, given one after the other: a string; `{"text": …}`; or
`{"tool_calls": [{"id": …, "name": …, "arguments": {…}}]}`; the latter two with a `usage`
(`prompt_tokens`, `completion_tokens`), if tokens are to be told.

Each client plays it from the start. A run has one client of it, which the agents of a team share: they play it
together, and runs at the same time play each their own.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.agents.providers import Endpoint
from app.agents.providers.shared import Pieces
from app.errors import ModelUnavailable

INFO = ModelInfo(
    vision=True,
    function_calling=True,
    json_output=True,
    structured_output=True,
    family=ModelFamily.UNKNOWN,
    multiple_system_messages=True,
)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    usage: RequestUsage = RequestUsage(prompt_tokens=0, completion_tokens=0)


class _Text(_Answer):
    text: str

    def result(self) -> CreateResult:
        return CreateResult(finish_reason="stop", content=self.text, usage=self.usage, cached=False)


class _ToolCall(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    arguments: dict[str, Any] | str = "{}"
    id: str = Field(default_factory=lambda: f"call_{uuid4().hex}")

    def call(self) -> FunctionCall:
        arguments = self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)
        return FunctionCall(id=self.id, name=self.name, arguments=arguments)


class _ToolCalls(_Answer):
    tool_calls: list[_ToolCall] = Field(min_length=1)

    def result(self) -> CreateResult:
        calls = [call.call() for call in self.tool_calls]
        return CreateResult(finish_reason="function_calls", content=calls, usage=self.usage, cached=False)


SCRIPT: TypeAdapter[list[str | _Text | _ToolCalls]] = TypeAdapter(list[str | _Text | _ToolCalls])


class ReplayClient(ReplayChatCompletionClient):
    """Upstream's, but a stream has the very text, in pieces, whichever form the script gives it in."""

    def __init__(self, answers: Sequence[str | CreateResult]) -> None:
        super().__init__(answers, model_info=INFO)
        self.set_cached_bool_value(value=False)

    async def create_stream(self, *args: Any, **options: Any) -> Pieces:
        result = await self.create(*args, **options)
        if isinstance(result.content, str):
            for piece in re.findall(r"\S+\s*|\s+", result.content):
                yield piece
        yield result


def replay(name: str, where: Endpoint) -> ReplayClient:  # noqa: ARG001  # every provider is built alike
    """Raises ModelUnavailable if `name` is no file with a script."""
    try:
        script = SCRIPT.validate_json(Path(name).read_bytes())
    except OSError:
        raise ModelUnavailable("The script to replay cannot be read: name its file in MODEL=replay:file.") from None
    except ValidationError:
        raise ModelUnavailable(
            "The script to replay is not understood: it is a JSON list of strings, "
            '{"text": …} and {"tool_calls": [{"name": …, "arguments": {…}}]}.'
        ) from None
    return ReplayClient([answer if isinstance(answer, str) else answer.result() for answer in script])
