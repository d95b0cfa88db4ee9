"""Call agents as tools, with MCP's own client: `pip install mcp`, then `python mcp_client.py [URL]`."""

import asyncio
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def show(progress: float, total: float | None, message: str | None) -> None:
    print("…", message)


async def main(url: str) -> None:
    async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        for tool in (await session.list_tools()).tools:
            print(f"{tool.name}: {tool.description}")
        for task in ("My name is Ann.", "What is my name?"):
            arguments = {"task": task, "session_id": "mcp-example"}
            result = await session.call_tool("assistant", arguments, progress_callback=show)
            print(result.content[0].text)


asyncio.run(main(*sys.argv[1:] or ["http://127.0.0.1:8000/mcp"]))
