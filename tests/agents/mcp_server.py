"""An MCP server over stdio, for tests: it says who it is, counts, fails, and hangs."""

import os
import sys
import time
from pathlib import Path

from mcp.server.fastmcp import FastMCP

server = FastMCP("tests", log_level="WARNING")


@server.tool()
def whoami() -> str:
    """The number of the server's process."""
    return str(os.getpid())


@server.tool()
def fail(secret: str) -> str:
    """Always fails."""
    raise ValueError(f"cannot do that with {secret}")


@server.tool()
def hang(marker: str) -> str:
    """Says that it was called, by a file of that name, and never answers."""
    Path(marker).touch()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    note, *rest = sys.argv[1:]
    with Path(note).open("a", encoding="utf-8") as pids:
        pids.write(f"{os.getpid()}\n")
    if rest == ["silent"]:
        while True:
            time.sleep(3600)
    server.run()
