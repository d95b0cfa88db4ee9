"""Two agents in turn, until one of them is content."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, Team
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat

from app.agents.spec import AgentContext


def build(context: AgentContext) -> RoundRobinGroupChat:
    members: list[ChatAgent | Team] = [
        AssistantAgent(name, context.model(), model_client_stream=True) for name in ("ann", "bob")
    ]
    ended = TextMentionTermination("CONTENT") | MaxMessageTermination(20)
    return RoundRobinGroupChat(members, termination_condition=ended)
