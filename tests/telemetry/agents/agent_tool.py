"""An agent that asks another one, as a tool."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.tools import AgentTool

from app.agents.spec import AgentContext


def build(context: AgentContext) -> AssistantAgent:
    model = context.model()
    writer = AssistantAgent("writer", model, model_client_stream=True, description="Writes.")
    return AssistantAgent(
        "boss",
        model,
        model_client_stream=True,
        tools=[AgentTool(writer, return_value_as_last_message=True)],
        reflect_on_tool_use=True,
    )
