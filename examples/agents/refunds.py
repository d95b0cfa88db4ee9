"""Pays orders back, each refund once a person has allowed it: a tool that needs approval."""

from autogen_agentchat.agents import AssistantAgent

from app.agents.person import needs_approval


@needs_approval
async def refund(order: str, euros: float) -> str:
    """Pay a customer back."""
    return f"{euros:.2f} euros were paid back for order {order}."


def build(context):
    return AssistantAgent(
        "refunds",
        model_client=context.model(),
        model_client_stream=True,
        tools=[refund],
        reflect_on_tool_use=True,
        system_message="You settle complaints. Pay an order back with the refund tool where the customer is right.",
    )
