"""Agents that hand the conversation over."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMessageTermination
from autogen_agentchat.teams import Swarm

from app.agents.spec import AgentContext


def build(context: AgentContext) -> Swarm:
    ann = AssistantAgent("ann", context.model(), model_client_stream=True, handoffs=["bob"])
    bob = AssistantAgent("bob", context.model(), model_client_stream=True)
    return Swarm([ann, bob], termination_condition=TextMessageTermination("bob") | MaxMessageTermination(20))
