"""Anthropic."""

from collections.abc import Iterator, Sequence
from typing import Any

from autogen_core.models import (
    AssistantMessage,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    ModelFamily,
    ModelInfo,
)
from autogen_core.tools import ParametersSchema, Tool, ToolSchema
from autogen_ext.models.anthropic import AnthropicChatCompletionClient

from app.agents.providers import Endpoint
from app.agents.providers.shared import Pieces, SharedClient

MAX_TOKENS = 8192
"""Of one answer: Anthropic wants to be told, and AutoGen's 4,096 cut long ones off."""

INFO = ModelInfo(
    vision=True,
    function_calling=True,
    json_output=True,
    structured_output=False,  # AutoGen refuses it
    family=ModelFamily.UNKNOWN,
    multiple_system_messages=False,
)
"""Of every model: AutoGen takes a name that it does not know for Claude 2.0, which cannot call tools."""

Tools = Sequence[Tool | ToolSchema]


class AnthropicClient(SharedClient, AnthropicChatCompletionClient):
    """Sends no conversation another one's tools.

    Anthropic wants to see tools wherever a conversation has results of any. AutoGen takes those of the
    client's last call, which here may have been anybody's: ours are named after the results, not for use.
    """

    async def create(
        self, messages: Sequence[LLMMessage], *, tools: Tools = (), tool_choice: Any = "auto", **options: Any
    ) -> CreateResult:
        tools, tool_choice = _declared(messages, tools, tool_choice)
        return await super().create(messages, tools=tools, tool_choice=tool_choice, **options)

    def create_stream(
        self, messages: Sequence[LLMMessage], *, tools: Tools = (), tool_choice: Any = "auto", **options: Any
    ) -> Pieces:
        tools, tool_choice = _declared(messages, tools, tool_choice)
        return super().create_stream(messages, tools=tools, tool_choice=tool_choice, **options)


def anthropic(name: str, where: Endpoint) -> AnthropicClient:
    return AnthropicClient(
        model=name,
        base_url=where.url,
        api_key=where.key or "none",
        timeout=where.timeout_s,
        max_retries=where.max_retries,
        max_tokens=MAX_TOKENS,
        model_info=INFO,
    )


def _declared(messages: Sequence[LLMMessage], tools: Tools, tool_choice: Any) -> tuple[Tools, Any]:
    names = dict.fromkeys(_used(messages))
    if tools or not names:
        return tools, tool_choice
    anything = ParametersSchema(type="object", properties={})
    return [ToolSchema(name=name, description="", parameters=anything) for name in names], "none"


def _used(messages: Sequence[LLMMessage]) -> Iterator[str]:
    for message in messages:
        match message:
            case AssistantMessage(content=[*calls]) | FunctionExecutionResultMessage(content=[*calls]):
                yield from (call.name for call in calls)
            case _:
                pass
