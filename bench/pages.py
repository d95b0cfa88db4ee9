"""From bench/results.json, the tables of docs/performance.md and its pictures; the words there are written by hand.

`make bench` ends with it; `python bench/pages.py` draws anew from what was measured before. A table goes between
`<!-- measured: NAME -->` and `<!-- end -->`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from plots import Bar, Line, bars, lines, number_text
from processes import ROOT
from results import RESULTS
from ways import WAYS

PAGE, PICTURES = ROOT / "docs" / "performance.md", ROOT / "docs" / "pictures"
Scenarios = dict[str, Any]
COLUMNS: dict[str, dict[str, str]] = {
    "run": {"CPU per run, ms": "cpu_ms", "failed": "failed"},
    "token": {"CPU per token, µs": "cpu_us", "KiB a stream": "kib", "lost": "lost", "doubled": "doubled"},
    "burst": {"CPU per token, µs": "cpu_us", "KiB a stream": "kib", "lost": "lost", "doubled": "doubled"},
    "tool": {"CPU per run, ms": "cpu_ms", "failed": "failed"},
    "turns": {"turn 1, ms": "turn_1_ms", "turn 10, ms": "turn_10_ms", "turn 40, ms": "turn_40_ms", "failed": "failed"},
    "tracing-run": {"CPU per run, ms": "cpu_ms", "spans a run that arrived": "spans"},
    "tracing-token": {"CPU per token, µs": "cpu_us"},
    "tracing-burst": {"CPU per token, µs": "cpu_us"},
    "start": {"start to ready, ms": "ready_ms", "imports alone, ms": "imports_ms", "ratio": "ratio"},
    "background": {
        "CPU per run, ms": "cpu_ms",
        "runs a second": "runs_per_s",
        "until accepted, ms": "accepted_ms",
        "failed": "failed",
    },
    "replicas": {"one, runs a second": "one_runs_per_s", "two, runs a second": "two_runs_per_s", "ratio": "ratio"},
    "resume": {"at the same process, ms": "same_ms", "at another, ms": "other_ms"},
    "memory": {"MiB before": "begin_mib", "MiB after": "end_mib", "ratio": "ratio", "failed": "failed"},
}
STREAMED = {
    "late, p50, ms": "p50_ms",
    "p99, ms": "p99_ms",
    "most, ms": "max_ms",
    "cores": "cores",
    "KiB a stream": "kib_per_stream",
    "KiB a token": "kib_per_token",
    "lost": "lost",
    "doubled": "doubled",
    "failed": "failed",
}
COLUMNS |= {f"streams-{count}": STREAMED for count in (100, 500, 1000, 2000)}
PLOTTED = {
    "run": ("CPU per run of 50 tokens", "cpu_ms", "ms"),
    "token": ("CPU per streamed token, one by one", "cpu_us", "µs"),
    "burst": ("CPU per streamed token, all at once", "cpu_us", "µs"),
    "tool": ("CPU per run with a tool call", "cpu_ms", "ms"),
}


def table(scenario: str, measured: Scenarios) -> str:
    """Medians, with the spread where there was more than one round."""
    columns, ways = COLUMNS[scenario], measured[scenario]["ways"]
    rows = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    doubts: list[str] = []
    for name, cells in sorted(ways.items(), key=lambda item: list(WAYS).index(item[0])):
        mark = f" [{len(doubts) + 1}]" if cells["doubts"] else ""
        doubts += [f"[{len(doubts) + 1}] {'; '.join(cells['doubts'])}"] * bool(mark)
        title = f"**{WAYS[name].title}**" if name == "waggle" else WAYS[name].title
        rows.append(f"| {title}{mark} | {' | '.join(cell(cells.get(metric)) for metric in columns.values())} |")
    about = (
        f"{measured[scenario]['date']}, commit {measured[scenario]['commit']}, rounds: {measured[scenario]['rounds']}."
    )
    return "\n".join([*rows, "", " ".join([about, *(f"{doubt}." for doubt in doubts)])])


def cell(spread: dict[str, float] | None) -> str:
    if spread is None:
        return "–"
    if spread["min"] == spread["max"]:
        return number_text(spread["median"]) if spread["median"] % 1 else f"{spread['median']:,.0f}"
    return f"{number_text(spread['median'])} ({number_text(spread['min'])}–{number_text(spread['max'])})"


def machine(about: dict[str, Any]) -> str:
    """What it holds for."""
    own = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    wanted = ("autogen-agentchat", "openai", "agno", "openai-agents", "pydantic-ai-slim", "aiohttp", "uvicorn")
    peers = ", ".join(f"{name} {about['peers'][name]}" for name in wanted)
    return (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, Linux {about['kernel']}, Python "
        f"{about['python']}. Waggle at {about['commit']} with {own}. Peers: {peers}."
    )


def pictures(measured: Scenarios) -> Iterator[tuple[str, str]]:
    """Their names, and what is in them."""
    for scenario, (title, metric, unit) in PLOTTED.items():
        if scenario not in measured:
            continue
        cells = {name: ways[metric] for name, ways in measured[scenario]["ways"].items()}
        rows = [
            Bar(WAYS[name].title, max(one["median"], 0), max(one["min"], 0), one["max"], ours=name == "waggle")
            for name, one in sorted(cells.items(), key=lambda item: item[1]["median"])
        ]
        yield f"performance-{scenario}.svg", bars(title, unit, rows)
    points: dict[str, list[tuple[float, float]]] = {}
    for count in (100, 500, 1000, 2000):
        for name, ways in measured.get(f"streams-{count}", {"ways": {}})["ways"].items():
            points.setdefault(name, []).append((count, max(ways["p99_ms"]["median"], 0.1)))
    if points:
        drawn = [Line(WAYS[name].title, tuple(at)) for name, at in sorted(points.items(), key=_ours_first)]
        title = "How late a token is, 99th percentile, streams of 20 tokens a second"
        yield "performance-streams.svg", lines(title, "streams at once", "ms", drawn)


def _ours_first(item: tuple[str, object]) -> int:
    return list(WAYS).index(item[0])


def filled(page: str, blocks: dict[str, str]) -> str:
    """The page with its tables; what was not measured stays as it was."""

    def block(found: re.Match[str]) -> str:
        name = found[1]
        return f"<!-- measured: {name} -->\n\n{blocks[name]}\n\n<!-- end -->" if name in blocks else found[0]

    return re.sub(r"<!-- measured: (\S+) -->.*?<!-- end -->", block, page, flags=re.DOTALL)


def main() -> None:
    found = json.loads(RESULTS.read_text())
    measured = found["scenarios"]
    blocks = {name: table(name, measured) for name in measured} | {"machine": machine(found["machine"])}
    PAGE.write_text(filled(PAGE.read_text(), blocks))
    PICTURES.mkdir(exist_ok=True)
    for name, picture in pictures(measured):
        (PICTURES / name).write_text(picture)


if __name__ == "__main__":
    main()
