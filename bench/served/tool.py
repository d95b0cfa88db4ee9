"""Calls a tool, then answers."""

from autogen_agentchat.agents import AssistantAgent

from app.agents.spec import AgentContext


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def build(context: AgentContext) -> AssistantAgent:
    return AssistantAgent("bench", context.model(), tools=[add], reflect_on_tool_use=True)
