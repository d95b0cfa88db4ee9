"""One agent whose answer is an object."""

from autogen_agentchat.agents import AssistantAgent
from pydantic import BaseModel

from app.agents.spec import AgentContext


class Verdict(BaseModel):
    """What it is."""

    good: bool
    why: str


def build(context: AgentContext) -> AssistantAgent:
    return AssistantAgent("structured", context.model(), model_client_stream=True, output_content_type=Verdict)
