"""What is not a cost per token: start, background runs, resuming, a second replica, memory over many runs."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
from loading import SETTLE_S, World
from processes import cpu_seconds, resident_kib
from results import Observation
from ways import Server, serving

from tests.servers.postgres import running

IMPORTS = "import autogen_agentchat, fastapi, honeyhive"
STARTS = 5
BACKGROUND, REPLICA_RUNS = 100, 200
WARM_RUNS, LONG_RUNS, LONG_STEPS = 2000, 10_000, 10
"""Enough that what is kept up to a bound, the spans of the last runs above all, is full before it is measured."""


def cold_start(world: World) -> Iterator[Observation]:
    """Milliseconds from the start to the first 200 of /readyz; and what the imports alone take."""
    for _ in range(STARTS):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, cwd=world.folder)
        imported = time.monotonic()
        with serving("waggle", world.upstream, world.folder):
            ready = time.monotonic()
        metrics = {"ready_ms": (ready - imported) * 1e3, "imports_ms": (imported - begin) * 1e3}
        yield Observation("start", "waggle", metrics | {"ratio": (ready - imported) / (imported - begin)})


def background(world: World, rounds: int) -> Iterator[Observation]:
    """CPU of a run that is begun in the background, until all have ended."""
    with serving("waggle", world.upstream, world.folder) as server:
        for number in range(rounds + 1):
            begin, before, used = time.monotonic(), world.stats()["chats"], cpu_seconds(server.pid)
            loaded = world.load(
                server, "background", "bench:50:0:0", clients=8, requests=BACKGROUND, status=202, settle_s=0
            )
            while world.stats()["chats"] < before + BACKGROUND and time.monotonic() < begin + 60:
                time.sleep(0.02)
            wall = time.monotonic() - begin
            time.sleep(SETTLE_S)
            cpu_ms = (cpu_seconds(server.pid) - used) / BACKGROUND * 1e3
            metrics = {
                "cpu_ms": cpu_ms,
                "runs_per_s": BACKGROUND / wall,
                "accepted_ms": loaded.seen["request_ms"]["p50"],
            }
            if number:
                yield Observation("background", "waggle", metrics | {"failed": BACKGROUND - loaded.seen["ok"]})


def first_after(url: str, run: str, last: str) -> float:
    """Milliseconds until the first event after `last` is there."""
    begin = time.monotonic()
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("GET", f"{url}/runs/{run}/stream", headers={"Last-Event-ID": last}) as answer,
    ):
        answer.raise_for_status()
        next(line for line in answer.iter_lines() if line.startswith("data:"))
    return (time.monotonic() - begin) * 1e3


def resumed(began_at: Server, other: Server, times: int = 20) -> dict[str, float]:
    """A run is left amid its stream, and gone on with: at the process that runs it, and at another one."""
    body = {"task": "bench:40:20:0", "on_disconnect": "continue"}
    found: dict[str, list[float]] = {"same_ms": [], "other_ms": []}
    for _ in range(times):
        with (
            httpx.Client(trust_env=False, timeout=20) as client,
            client.stream("POST", f"{began_at.url}/agents/streamed/stream", json=body) as answer,
        ):
            ids = (line.removeprefix("id: ") for line in answer.iter_lines() if line.startswith("id: "))
            seen = [next(ids) for _ in range(3)]
            run = answer.headers["x-run-id"]
        # After the second event there is the third one already: it is sought, not waited for.
        found["same_ms"].append(first_after(began_at.url, run, seen[1]))
        found["other_ms"].append(first_after(other.url, run, seen[1]))
    return {name: statistics.median(values) for name, values in found.items()}


def replicas(world: World, rounds: int) -> Iterator[Observation]:
    """Runs a second of one process and of two on one Postgres; and resuming at the other."""
    with ExitStack() as stack:
        postgres = stack.enter_context(running())
        shared = {"DATABASE_URL": postgres.url(postgres.create())}
        one, two = (stack.enter_context(serving("waggle", world.upstream, world.folder, **shared)) for _ in range(2))
        for number in range(rounds + 1):
            metrics: dict[str, float] = {}
            for name, ports in (("one", str(one.port)), ("two", f"{one.port},{two.port}")):
                options = {"clients": 16, "requests": REPLICA_RUNS, "last": 49}
                loaded = world.load(one, "run", "bench:50:0:0", ports=ports, **options)
                metrics[f"{name}_runs_per_s"] = loaded.seen["ok"] / loaded.seen["wall_s"]
            metrics["ratio"] = metrics["two_runs_per_s"] / metrics["one_runs_per_s"]
            if number:
                yield Observation("replicas", "waggle", metrics, loaded.doubts)
        yield Observation("resume", "waggle", resumed(one, two))


def memory(world: World) -> Iterator[Observation]:
    """MiB before and after ten thousand runs."""
    with serving("waggle", world.upstream, world.folder) as server:
        world.load(server, "run", "bench:50:0:0", clients=8, requests=WARM_RUNS, last=49, timeout_s=600)
        held = [resident_kib(server.pid) / 1024]
        failed = 0
        for _ in range(LONG_STEPS):
            runs = LONG_RUNS // LONG_STEPS
            loaded = world.load(server, "run", "bench:50:0:0", clients=8, requests=runs, last=49, timeout_s=600)
            held.append(resident_kib(server.pid) / 1024)
            failed += runs - loaded.seen["ok"]
    metrics = {"begin_mib": held[0], "end_mib": held[-1], "most_mib": max(held), "ratio": held[-1] / held[0]}
    yield Observation("memory", "waggle", metrics | {"failed": failed})
