"""What was observed, over all rounds: medians and spread, with the machine and the versions they hold for."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from processes import ROOT

RESULTS = ROOT / "bench" / "results.json"
SHOWN = ("autogen-agentchat", "openai", "fastapi", "uvicorn", "honeyhive", "opentelemetry-sdk", "sqlalchemy")


@dataclass(frozen=True)
class Observation:
    """One measurement of one way, in one round."""

    scenario: str
    way: str
    metrics: dict[str, float]
    doubts: tuple[str, ...] = ()


Summary = dict[str, dict[str, dict[str, Any]]]
"""Scenario, way, then metrics: `{"median": …, "min": …, "max": …, "rounds": …}`; and `doubts`."""


def summary(observations: Iterable[Observation]) -> Summary:
    """By scenario and way."""
    grouped: dict[tuple[str, str], list[Observation]] = {}
    for observation in observations:
        grouped.setdefault((observation.scenario, observation.way), []).append(observation)
    found: Summary = {}
    for (scenario, way), rounds in grouped.items():
        names = {name: None for observation in rounds for name in observation.metrics}
        cells: dict[str, Any] = {
            name: _spread([one.metrics[name] for one in rounds if name in one.metrics]) for name in names
        }
        cells["doubts"] = sorted({doubt for one in rounds for doubt in one.doubts})
        found.setdefault(scenario, {})[way] = cells
    return found


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "rounds": len(values),
    }


def machine() -> dict[str, Any]:
    """What it was measured on, and with."""
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "processor": model[0] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in SHOWN},
        "peers": dict(line.split("==") for line in (ROOT / "bench/peers.txt").read_text().splitlines() if "==" in line),
    }


def write(found: Summary, rounds: int) -> None:
    """Into bench/results.json; scenarios that were not measured now keep what they had, with its own date."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"scenarios": {}}
    here = machine()
    for scenario, ways in found.items():
        kept["scenarios"][scenario] = {"date": here["date"], "commit": here["commit"], "rounds": rounds, "ways": ways}
    RESULTS.write_text(json.dumps(kept | {"machine": here}, indent=1) + "\n")
