"""An agent that remembers, and can remember more."""

from autogen_agentchat.agents import AssistantAgent
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType

from app.agents.spec import AgentContext


async def build(context: AgentContext) -> AssistantAgent:
    memory = ListMemory("notes")
    await memory.add(MemoryContent(content="Ann likes tea.", mime_type=MemoryMimeType.TEXT))

    async def remember(fact: str) -> str:
        """Remember it."""
        await memory.add(MemoryContent(content=fact, mime_type=MemoryMimeType.TEXT))
        return "remembered"

    return AssistantAgent(
        "memory",
        context.model(),
        model_client_stream=True,
        tools=[remember],
        memory=[memory],
        reflect_on_tool_use=True,
    )
