"""One agent."""

from autogen_agentchat.agents import AssistantAgent

from app.agents.spec import AgentContext


def build(context: AgentContext) -> AssistantAgent:
    return AssistantAgent("single", context.model(), model_client_stream=True)
