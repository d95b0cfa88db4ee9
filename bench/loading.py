"""A load, with what it cost the server, and whether the figure may be believed."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from compiled import Tools
from processes import cpu_seconds, machine_seconds, process, resident_kib
from ways import Kind, Server

SETTLE_S = 0.7
"""After a load: exporters send every half a second, and that is part of the cost."""
SATURATED = 0.85
"""Of a core: what the load generator or the upstream may use before it is the bottleneck itself."""
CROWDED = 0.95
"""Of all cores, by whatever runs on the machine: beyond, latency is the machine's."""
OTHERS = 0.25
"""Cores that may be used by what is not part of the measurement."""


@dataclass(frozen=True)
class Loaded:
    """What a load did."""

    seen: dict[str, Any]
    """What the load generator printed."""
    cpu_s: float
    """Of the server, with what it does in the background afterwards."""
    busy_s: float
    """Of the server, while the load lasted."""
    resident: list[tuple[float, float]]
    """Seconds since the begin, and KiB, while the load lasted."""
    doubts: tuple[str, ...]
    """Why its latencies are not to be believed; CPU time suffers less."""

    @property
    def whole(self) -> bool:
        return bool(self.seen["ok"] == self.seen["requests"])


@dataclass(frozen=True)
class World:
    """What every measurement needs."""

    tools: Tools
    upstream: str
    upstream_pid: int
    folder: Path

    def stats(self) -> dict[str, Any]:
        """What the upstream counted."""
        answer: dict[str, Any] = httpx.get(f"{self.upstream}/stats", trust_env=False).json()
        return answer

    def load(
        self, server: Server, kind: Kind, task: str, *, settle_s: float = SETTLE_S, ports: str = "", **options: int
    ) -> Loaded:
        """Ask it; `options` are load.c's numbers."""
        way = server.way
        given = {
            "port": ports or str(server.port),
            "path": way.paths[kind],
            "body": way.body(kind, task),
            "type": way.media_type,
            "frames": way.frames,
            **options,
        }
        command: list[str | Path] = [self.tools.load, *(f"{name}={value}" for name, value in given.items())]
        counted = self.stats()  # its greatest lateness starts anew
        begin, before, machine = time.monotonic(), cpu_seconds(server.pid), machine_seconds()
        upstream = cpu_seconds(self.upstream_pid)
        samples: list[tuple[float, float]] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            watcher = threading.Thread(target=_watch, args=(running, server.pid, begin, samples))
            watcher.start()
            assert running.stdout is not None
            seen: dict[str, Any] = json.loads(running.stdout.read())
        watcher.join()
        wall, busy = time.monotonic() - begin, cpu_seconds(server.pid) - before
        upstream = cpu_seconds(self.upstream_pid) - upstream
        doubts = _doubts(wall, machine_seconds() - machine, busy, upstream, seen["cpu_s"])
        seen |= {"upstream_cpu_s": round(upstream, 4), "upstream_late_ms": self.stats()["late_ms"]}
        time.sleep(settle_s)
        after = self.stats()
        seen["spans"] = sum(after[backend]["spans"] - counted[backend]["spans"] for backend in ("otlp", "honeyhive"))
        return Loaded(seen, cpu_seconds(server.pid) - before, busy, samples, doubts)


def _watch(running: "subprocess.Popen[str]", pid: int, begin: float, samples: list[tuple[float, float]]) -> None:
    while running.poll() is None:
        samples.append((time.monotonic() - begin, resident_kib(pid)))
        time.sleep(0.2)


def _doubts(wall: float, machine: float, server: float, upstream: float, load: float) -> tuple[str, ...]:
    cores = os.cpu_count() or 1
    others = (machine - server - upstream - load) / wall
    found = {
        "the load generator was saturated": load / wall > SATURATED,
        "the upstream was saturated": upstream / wall > SATURATED,
        "the machine was full": machine / wall > CROWDED * cores,
        f"something else used {others:.1f} cores": others > OTHERS,
    }
    # A short load is over before the ticks of /proc/stat tell anything.
    return tuple(why for why, holds in found.items() if holds) if wall > 0.5 else ()


@contextmanager
def world(tools: Tools, folder: Path) -> Iterator[World]:
    """The upstream, running."""
    with process([tools.upstream], {}, folder / "upstream.log", piped=True) as running:
        assert running.stdout is not None
        yield World(tools, f"http://127.0.0.1:{running.stdout.readline().strip()}", running.pid, folder)
