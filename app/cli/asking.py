"""A run's question, put to whoever sits at the terminal."""

import json
import os
import sys
from typing import Any

from app.cli.screen import Screen
from app.doctor.threads import apart

YES, NO = {"y", "yes", "approve"}, {"n", "no", "deny"}


def somebody_is_there() -> bool:
    return sys.stdin.isatty()


async def asked(question: dict[str, Any], screen: Screen) -> Any:
    """The answer in the form that the question's schema has; None for Ctrl-D. Asks until the words fit."""
    schema = question["schema"]
    while True:
        screen.aside(_hint(schema), "magenta")
        words = await apart(_line)
        if not words:
            return None
        try:
            return _read(words.strip(), schema)
        except ValueError:
            screen.aside("That is no answer to it.", "red")


def _hint(schema: dict[str, Any] | None) -> str:
    if schema is None:
        return "Your answer, and Enter (Ctrl-D leaves it for later):"
    if _is_decision(schema):
        return "y, or n and perhaps why (Ctrl-D leaves it for later):"
    return f"JSON that fits {json.dumps(schema, ensure_ascii=False)} (Ctrl-D leaves it for later):"


def _read(words: str, schema: dict[str, Any] | None) -> Any:
    """Raises ValueError where it does not fit; the service holds it against the whole schema."""
    if schema is None:
        return words
    if not _is_decision(schema):
        return json.loads(words)
    verdict, _, reason = words.partition(" ")
    if verdict.lower() in YES:
        return {"decision": "approve"}
    if verdict.lower() in NO:
        return {"decision": "deny"} | ({"reason": reason.strip()} if reason.strip() else {})
    answer: Any = json.loads(words)  # with other arguments
    return answer


def _is_decision(schema: dict[str, Any]) -> bool:
    return bool(schema.get("properties", {}).get("decision", {}).get("enum") == ["approve", "deny"])


def _line() -> str:
    """By the descriptor: a thread that waits in `sys.stdin` would hold its lock when the process ends."""
    return os.read(sys.stdin.fileno(), 65_536).decode(errors="replace")
