"""One agent with tools: two that work, one that fails, one that never answers."""

import asyncio

from autogen_agentchat.agents import AssistantAgent

from app.agents.spec import AgentContext


async def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


async def double(a: int) -> int:
    """Twice as much."""
    return 2 * a


async def fail(reason: str) -> str:
    """Always fails."""
    raise ValueError(f"it cannot be done: {reason}")


async def hang() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return "never"


def build(context: AgentContext) -> AssistantAgent:
    return AssistantAgent(
        "tools",
        context.model(),
        model_client_stream=True,
        tools=[add, double, fail, hang],
        reflect_on_tool_use=True,
    )
