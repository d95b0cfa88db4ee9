"""Agents, as the tools that an MCP client lists."""

from collections.abc import Iterable
from typing import Any

from mcp import types

from app.agents.card import AgentCard

ARGUMENTS = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "minLength": 1, "description": "What the agent is asked."},
        "session_id": {
            "type": "string",
            "pattern": "^[A-Za-z0-9._:-]{1,128}$",
            "description": "The conversation to go on with, by any name: the agent remembers what was said in it. "
            "Without one, it remembers nothing.",
        },
        "answers": {
            "type": "string",
            "description": "Only where an earlier call came back with a question: the run id that it named. "
            "`task` is the answer.",
        },
    },
    "required": ["task"],
    "additionalProperties": False,
}


def tools(cards: Iterable[AgentCard]) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[
            types.Tool(name=card.name, description=card.description, inputSchema=ARGUMENTS, outputSchema=_schema(card))
            for card in cards
        ]
    )


def is_structured(card: AgentCard) -> bool:
    return _schema(card) is not None


def _schema(card: AgentCard) -> dict[str, Any] | None:
    """MCP's results are objects."""
    schema = card.output_schema
    return schema if schema is not None and schema.get("type") == "object" else None
