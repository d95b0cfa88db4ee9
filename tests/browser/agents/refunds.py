"""Settles complaints; pays back once a person has allowed it."""

from autogen_agentchat.agents import AssistantAgent

from app.agents.person import needs_approval
from app.agents.spec import AgentContext


@needs_approval
async def refund(order: str, euros: float) -> str:
    """Pay a customer back."""
    return f"{euros:.2f} euros were paid back for order {order}."


def build(context: AgentContext) -> AssistantAgent:
    """Settles complaints, and pays back once a person has allowed it."""
    return AssistantAgent(
        "refunds",
        model_client=context.model(),
        model_client_stream=True,
        tools=[refund],
        reflect_on_tool_use=True,
        system_message="You settle complaints.",
    )
