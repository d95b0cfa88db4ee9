"""An MCP server over standard input and output; a name that begins with _ is no agent."""

from mcp.server.fastmcp import FastMCP

server = FastMCP("notes", log_level="ERROR")
NOTES = {"hive 1": "The queen is two years old.", "hive 2": "Swarmed in May."}


@server.tool()
def note(hive: str) -> str:
    """What was noted about a hive, for example 'hive 1'."""
    return NOTES.get(hive.lower(), f"Nothing is noted about {hive}.")


if __name__ == "__main__":
    server.run()
