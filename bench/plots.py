"""Bars and lines as SVG. On a light card of their own, so that they can be read on a dark page too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, ROW = 820, 340, 26
OURS, THEIRS, INK, PALE = "#c77700", "#5b7083", "#1f2328", "#e6e8eb"
COLOURS = (OURS, "#1f6feb", "#1a7f37", "#8250df", "#cf222e", "#57606a", "#0a7ea4", "#d4a72c")


@dataclass(frozen=True)
class Bar:
    """A median with its spread."""

    label: str
    value: float
    least: float
    most: float
    ours: bool
    note: str = ""


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """From the top, as long as they are large."""
    most = max((row.most for row in rows), default=1) or 1
    scale = (WIDTH - LEFT - 130) / most
    parts = [_text(16, 26, title, size=15, weight=600)]
    for number, row in enumerate(rows):
        top = 44 + number * ROW
        length, middle = max(row.value * scale, 1), top + ROW / 2 - 2
        parts += [
            _text(LEFT - 10, top + 16, row.label, anchor="end", weight=600 if row.ours else 400),
            _rect(LEFT, top + 2, length, ROW - 8, OURS if row.ours else THEIRS),
            _line(LEFT + row.least * scale, LEFT + row.most * scale, middle, INK),
            _text(LEFT + max(row.most, row.value) * scale + 8, top + 16, f"{number_text(row.value)} {unit}{row.note}"),
        ]
    return _card(44 + len(rows) * ROW + 12, title, parts)


@dataclass(frozen=True)
class Line:
    """Points of one server, from left to right."""

    label: str
    points: tuple[tuple[float, float], ...]


def lines(title: str, across: str, up: str, drawn: Sequence[Line]) -> str:
    """Both axes as powers of ten."""
    flat = [point for line in drawn for point in line.points]
    low, high = (math.floor(math.log10(min(y for _, y in flat))), math.ceil(math.log10(max(y for _, y in flat))))
    high = max(high, low + 1)
    left, right = math.log10(min(x for x, _ in flat)), math.log10(max(x for x, _ in flat))

    def place(x: float, y: float) -> tuple[float, float]:
        wide = (math.log10(x) - left) / ((right - left) or 1)
        return 70 + wide * 450, 290 - (math.log10(y) - low) / (high - low) * 240

    parts = [_text(16, 26, title, size=15, weight=600), _text(295, 330, across, anchor="middle")]
    for power in range(low, high + 1):
        y = place(flat[0][0], 10.0**power)[1]
        parts.append(_line(70, 520, y, PALE))
        parts.append(_text(62, y + 4, f"{10.0**power:g} {up}", anchor="end"))
    parts += [_text(place(x, 10.0**low)[0], 308, f"{x:g}", anchor="middle") for x in sorted({x for x, _ in flat})]
    for number, line in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        points = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        parts.append(_rect(536, 52 + number * 22, 12, 12, colour))
        parts.append(_text(554, 63 + number * 22, line.label, size=12))
    return _card(346, title, parts)


def number_text(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _text(x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{INK}">{escape(text)}</text>'
    )


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}"/>'


def _line(x1: float, x2: float, y: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="1.5"/>'


def _card(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title)}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8" fill="#fff" stroke="#d0d7de"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
