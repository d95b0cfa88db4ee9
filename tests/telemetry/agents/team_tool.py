"""An agent that asks a team, as a tool."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import TeamTool

from app.agents.spec import AgentContext


def build(context: AgentContext) -> AssistantAgent:
    model = context.model()
    ann = AssistantAgent("ann", model, model_client_stream=True)
    bob = AssistantAgent("bob", model, model_client_stream=True)
    desk = RoundRobinGroupChat([ann, bob], name="desk", max_turns=2)
    return AssistantAgent(
        "boss",
        model,
        model_client_stream=True,
        tools=[TeamTool(desk, "ask_desk", "Ask them.", return_value_as_last_message=True)],
        reflect_on_tool_use=True,
    )
