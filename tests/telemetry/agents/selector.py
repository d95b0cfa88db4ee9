"""A model chooses who speaks."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, Team
from autogen_agentchat.teams import SelectorGroupChat

from app.agents.spec import AgentContext


def build(context: AgentContext) -> SelectorGroupChat:
    members: list[ChatAgent | Team] = [
        AssistantAgent(name, context.model(), model_client_stream=True) for name in ("ann", "bob", "cyd")
    ]
    return SelectorGroupChat(members, context.model(), max_turns=2)
