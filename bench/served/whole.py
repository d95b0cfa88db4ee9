"""Answers at once."""

from autogen_agentchat.agents import AssistantAgent

from app.agents.spec import AgentContext


def build(context: AgentContext) -> AssistantAgent:
    return AssistantAgent("bench", context.model())
