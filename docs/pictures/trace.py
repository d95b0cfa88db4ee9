"""Draws a run's trace as SVG: `python docs/pictures/trace.py RUN_ID > trace.svg`, from a service on :8000.

The picture in the README is this, of a run with the embedded model.
"""

import json
import sys
from datetime import datetime
from html import escape
from typing import Any
from urllib.request import urlopen

WIDTH, ROW, LEFT, RIGHT = 960, 30, 380, 70
COLOURS = {"CHAIN": "#8a8f98", "AGENT": "#3b6fd4", "LLM": "#d98e04", "TOOL": "#2f9e62"}


def main() -> None:
    """Print the SVG."""
    with urlopen(f"http://127.0.0.1:8000/runs/{sys.argv[1]}/trace") as response:
        sys.stdout.write(svg(json.load(response)["spans"]))


def svg(spans: list[dict[str, Any]]) -> str:
    """One row a span, indented by depth; a bar from its start to its end."""
    rows = list(walk(spans))
    begin = min(moment(span["start"]) for _, span in rows)
    whole = max(moment(span["end"]) for _, span in rows) - begin
    scale = (WIDTH - LEFT - RIGHT) / whole
    height = ROW * len(rows) + 16
    font = 'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {font}>',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fbfbfa" stroke="#dddddb"/>',
    ]
    for number, (depth, span) in enumerate(rows):
        top = 8 + ROW * number
        start = LEFT + (moment(span["start"]) - begin) * scale
        seconds = moment(span["end"]) - moment(span["start"])
        width = max(2.0, seconds * scale)
        colour = COLOURS.get(span["attributes"].get("openinference.span.kind"), "#8a8f98")
        lines += [
            f'<text x="{14 + 18 * depth}" y="{top + 20}" fill="#24262b">{escape(span["name"])}</text>',
            f'<rect x="{start:.1f}" y="{top + 7}" width="{width:.1f}" height="16" rx="3" fill="{colour}"/>',
            f'<text x="{start + width + 6:.1f}" y="{top + 20}" fill="#5c6068">{shown(seconds)}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])


def walk(spans: list[dict[str, Any]], depth: int = 0) -> Any:
    """Depth and span, in order."""
    for span in spans:
        yield depth, span
        yield from walk(span["children"], depth + 1)


def moment(time: str) -> float:
    """Seconds."""
    return datetime.fromisoformat(time).timestamp()


def shown(seconds: float) -> str:
    """A duration, short."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    main()
