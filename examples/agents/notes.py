"""Answers from notes that an MCP server keeps: an agent that owns a resource."""

import sys
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

SERVER = Path(__file__).with_name("_notes_server.py")


async def build(context):
    parameters = StdioServerParams(command=sys.executable, args=[str(SERVER)], read_timeout_seconds=30)
    workbench = await context.enter(McpWorkbench(parameters))
    return AssistantAgent(
        "notes",
        model_client=context.model(),
        model_client_stream=True,
        workbench=workbench,
        reflect_on_tool_use=True,
        system_message="You answer questions about beehives with the note tool.",
    )
