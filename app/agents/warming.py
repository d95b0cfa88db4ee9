"""What the embedded model reads before anybody waits for it: the instructions and tools of agents that call tools.

They are the beginning of every prompt, and take 5 to 10 seconds on two cores the first time; 1 once they are cached.
"""

from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, Team
from autogen_core.models import UserMessage
from autogen_core.tools import Tool, ToolSchema

from app.agents.adoption import parts_of
from app.agents.observed import ObservedClient


async def read_ahead(agent: ChatAgent | Team) -> None:
    """One token of an answer from each member that has tools; raises what its model client raises."""
    for part in parts_of(agent):
        if isinstance(part, AssistantAgent):
            member: Any = part  # its fields are private; AutoGen is pinned
            tools: list[Tool | ToolSchema] = [tool for bench in member._workbench for tool in await bench.list_tools()]  # noqa: SLF001
            tools += member._handoff_tools  # noqa: SLF001
            client = member._model_client  # noqa: SLF001
            if tools and isinstance(client, ObservedClient):
                await client.inner.create(
                    [*member._system_messages, UserMessage(content="Hello", source="user")],  # noqa: SLF001
                    tools=tools,
                    extra_create_args={"max_tokens": 1},
                )
