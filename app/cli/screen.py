"""What happens in a run, on a terminal: the agents' words to stdout, everything about them to stderr."""

import json
import os
import re
import sys
from collections.abc import Iterable
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

_MOVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What could move a terminal's cursor, set its title, or turn words around: models and tools say what they like."""

PIPE_WIDTH = 10_000
"""Columns where there is no terminal: nothing is cut."""


def plain(text: str) -> str:
    return _MOVES.sub("", text)


def one_line(value: Any) -> str:
    """A value as it is folded: text, or JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(plain(text).split())


class Screen:
    """Colour only where stdout is a terminal, and NO_COLOR is not set (https://no-color.org)."""

    def __init__(self) -> None:
        colour: Literal["auto"] | None = "auto" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else None
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        self._out = Console(color_system=colour, width=width, highlight=False, soft_wrap=True)
        self._aside = Console(stderr=True, color_system=colour, highlight=False, soft_wrap=True)
        self._speaker: str | None = None
        self._streamed: set[str] = set()
        self._in_line = False
        """Something was written after the last end of a line."""

    def event(self, event: dict[str, Any], *, agent: str) -> None:
        """Show it; of the end, see `ended`."""
        match event:
            case {"type": "text.delta" | "thought.delta", "source": source, "message_id": id_, "delta": delta}:
                self._speaks(source, agent)
                self._streamed.add(id_)
                self._write(delta, "dim italic" if event["type"] == "thought.delta" else None)
            case {"type": "message", "message": message}:
                self.message(message, agent=agent)
            case {"type": "input.required", "source": source, "prompt": prompt}:
                self.aside(f"? {one_line(source)}: {plain(prompt)}", "bold magenta")
            case {"type": "run.restarted"}:
                self._streamed.clear()
                self.aside("The process that ran it died: it begins anew.", "yellow")
            case _:
                pass

    def message(self, message: dict[str, Any], *, agent: str | None = None) -> None:
        """A whole message; not again, if it was streamed. With `agent`, its task is left out."""
        source, id_ = message["source"], message["id"]
        if id_ in self._streamed or (agent is not None and source == "user"):
            self._end_line()
            return
        match message:
            case {"type": "text" | "structured" | "image", "content": content}:
                self._speaks(source, agent)
                self._write(_words(content) + "\n", None)
            case {"type": "tool_call", "name": name, "arguments": arguments}:
                self._fold(f"→ {name}({_arguments(arguments)})", "cyan")
            case {"type": "tool_result", "content": content, "is_error": is_error}:
                self._fold(f"← {one_line(content)}", "red" if is_error else "green")
            case {"type": "handoff", "target": target}:
                self._fold(f"⇢ {one_line(target)}", "magenta")
            case {"type": "thought", "content": content}:
                self._fold(one_line(content), "dim italic")
            case {"type": "speaker", "selected": selected}:
                self._fold(f"next: {one_line(', '.join(selected))}", "dim")
            case _:
                self._fold(f"{message['type']}: {one_line(message.get('content'))}", "dim")

    def ended(self, run: dict[str, Any]) -> None:
        """How the run went, what it took, and where to look at it."""
        usage = run["usage"]
        cost = "" if usage["cost_usd"] is None else f" · ${usage['cost_usd']:.4f}"
        mark, style = {"completed": ("✓", "green"), "cancelled": ("■", "yellow")}.get(run["status"], ("✗", "red"))
        if run["error"]:
            self.aside(f"{run['error']['title']}: {plain(run['error']['detail'])}", "red")
        self.aside(
            f"{mark} {run['status']} · {usage['input_tokens']} tokens in, {usage['output_tokens']} out{cost}", style
        )
        self.aside(f"  session {run['session_id']} · run {run['run_id']} · trace {run['trace_id']}", "dim")

    def aside(self, text: str, style: str | None = None) -> None:
        """A line beside what the agents say."""
        self._end_line()
        self._aside.print(Text(text, style=style or ""))

    def json(self, value: Any) -> None:
        self._out.file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def json_line(self, value: Any) -> None:
        self._out.file.write(json.dumps(value) + "\n")
        self._out.file.flush()

    def table(self, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
        """Aligned columns, the last one broken to fit; in a pipe as wide as it needs to be."""
        *heads, last = columns
        table = Table(*(Column(head, no_wrap=True) for head in heads), last, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(one_line(cell)) for cell in row))
        self._out.print(table, soft_wrap=False)

    def verdict(self, what: str, wrong: str | None) -> None:
        """One line of an examination."""
        mark, style = ("✓", "green") if wrong is None else ("✗", "red")
        self._out.print(Text(f"{mark} {what}{'' if wrong is None else f': {one_line(wrong)}'}", style=style))

    def _speaks(self, source: str, agent: str | None) -> None:
        """Who speaks, where that is not plain."""
        if source != (self._speaker or agent):
            self.aside(f"── {one_line(source)}", "bold blue")
        self._speaker = source

    def _write(self, text: str, style: str | None) -> None:
        text = plain(text)
        self._out.print(Text(text, style=style or ""), end="")
        self._in_line = not text.endswith("\n") if text else self._in_line

    def _fold(self, text: str, style: str) -> None:
        """One line, as wide as the terminal at most."""
        self._end_line()
        line = Text(plain(text), style=style)
        if self._aside.is_terminal:
            line.truncate(self._aside.width - 1, overflow="ellipsis")
        self._aside.print(line)

    def _end_line(self) -> None:
        if self._in_line:
            self._out.print()
        self._in_line = False


def _arguments(arguments: Any) -> str:
    if not isinstance(arguments, dict):
        return one_line(arguments)
    return ", ".join(
        f"{one_line(name)}={one_line(json.dumps(value, ensure_ascii=False))}" for name, value in arguments.items()
    )


def _words(content: Any) -> str:
    """Text as it is; of images, that there are some; an object as JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and "type" in part for part in content):
        return "\n".join(part.get("text", "[an image]") for part in content)
    return json.dumps(content, indent=2, ensure_ascii=False)
