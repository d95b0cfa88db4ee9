"""A team, one of whose members is a team, in which the conversation is handed over."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm

from app.agents.spec import AgentContext


def build(context: AgentContext) -> RoundRobinGroupChat:
    ann = AssistantAgent("ann", context.model(), model_client_stream=True, handoffs=["bob"])
    bob = AssistantAgent("bob", context.model(), model_client_stream=True)
    cyd = AssistantAgent("cyd", context.model(), model_client_stream=True)
    answered = TextMessageTermination("bob") | MaxMessageTermination(20)
    desk = Swarm([ann, bob], name="desk", termination_condition=answered)
    return RoundRobinGroupChat([desk, cyd], name="office", max_turns=2)
