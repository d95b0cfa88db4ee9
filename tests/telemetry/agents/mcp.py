"""An agent with the tools of an MCP server."""

import os
import sys
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

from app.agents.spec import AgentContext

SERVER = Path(__file__).parents[2] / "agents" / "mcp_server.py"


def build(context: AgentContext) -> AssistantAgent:
    server = StdioServerParams(command=sys.executable, args=[str(SERVER), os.devnull], read_timeout_seconds=60)
    return AssistantAgent(
        "mcp", context.model(), model_client_stream=True, workbench=McpWorkbench(server), reflect_on_tool_use=True
    )
