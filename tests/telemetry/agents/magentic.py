"""An orchestrator that plans, and keeps a ledger."""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import MagenticOneGroupChat

from app.agents.spec import AgentContext


def build(context: AgentContext) -> MagenticOneGroupChat:
    ann, bob = (AssistantAgent(name, context.model(), model_client_stream=True) for name in ("ann", "bob"))
    return MagenticOneGroupChat([ann, bob], context.model(), max_stalls=1)
