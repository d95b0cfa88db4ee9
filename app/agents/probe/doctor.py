"""Adds two numbers with a tool."""

from autogen_agentchat.agents import AssistantAgent

from app.agents.spec import AgentContext


async def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


def build(context: AgentContext) -> AssistantAgent:
    """Adds two numbers with a tool."""
    return AssistantAgent(
        "doctor",
        model_client=context.model(),
        model_client_stream=True,
        tools=[add],
        reflect_on_tool_use=True,
        system_message="You add numbers with the add tool, always, and answer with the sum in a short sentence.",
    )
