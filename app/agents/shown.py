"""Messages between agents and models, as spans show them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from autogen_core import FunctionCall
from autogen_core.models import (
    AssistantMessage,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    SystemMessage,
    UserMessage,
)

from app.agents.providers.call import Answer
from app.telemetry.llm import ChatMessage, ChatResult, ToolUse


def answered(result: CreateResult, cost_usd: float | None) -> ChatResult:
    """What a model answered; one of our clients tells more of it than AutoGen's."""
    known = ChatResult(
        message=_answer(result),
        finish_reason=result.finish_reason,
        input_tokens=result.usage.prompt_tokens,
        output_tokens=result.usage.completion_tokens,
        cost_usd=cost_usd,
    )
    if not isinstance(result, Answer):
        return known
    return replace(
        known,
        model=result.model,
        cached_tokens=result.cached_tokens,
        reasoning_tokens=result.reasoning_tokens,
        first_chunk_at=result.first_chunk_at,
    )


def _answer(result: CreateResult) -> ChatMessage:
    if isinstance(result.content, str):
        return ChatMessage("assistant", result.content, thought=result.thought)
    return ChatMessage("assistant", thought=result.thought, tool_calls=_uses(result.content))


def shown(message: LLMMessage) -> list[ChatMessage]:
    """A message as spans show it; the results of parallel tools are a message each."""
    match message:
        case SystemMessage():
            return [ChatMessage("system", message.content)]
        case UserMessage():
            return [ChatMessage("user", _text(message.content), name=message.source)]
        case AssistantMessage():
            calls = () if isinstance(message.content, str) else _uses(message.content)
            text = message.content if isinstance(message.content, str) else ""
            return [ChatMessage("assistant", text, thought=message.thought, tool_calls=calls, name=message.source)]
        case FunctionExecutionResultMessage():
            return [
                ChatMessage("tool", result.content, tool_call_id=result.call_id, name=result.name)
                for result in message.content
            ]


def _uses(calls: Sequence[FunctionCall]) -> tuple[ToolUse, ...]:
    return tuple(ToolUse(call.id, call.name, call.arguments) for call in calls)


def _text(content: str | Sequence[Any]) -> str:
    """A user's words; an image is named, not shown."""
    if isinstance(content, str):
        return content
    return "\n".join(part if isinstance(part, str) else "[image]" for part in cast("Sequence[Any]", content))
