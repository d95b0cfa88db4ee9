"""A graph: after the first, two at the same time, whose answers the last one has."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow

from app.agents.spec import AgentContext


def build(context: AgentContext) -> GraphFlow:
    names = ("first", "left", "right", "last")
    first, left, right, last = (AssistantAgent(name, context.model(), model_client_stream=True) for name in names)
    builder = DiGraphBuilder()
    builder.add_node(first).add_node(left).add_node(right).add_node(last)
    builder.add_edge(first, left).add_edge(first, right).add_edge(left, last).add_edge(right, last)
    return GraphFlow(builder.get_participants(), graph=builder.build())
