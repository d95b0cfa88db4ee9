"""Many streams of 20 tokens a second: how late tokens come, and what an open stream costs."""

import itertools
from collections.abc import Callable, Iterator

from loading import Loaded, World
from results import Observation
from ways import Server

RATE, SECONDS = 20, 10
TOKENS = RATE * SECONDS
RAMP_S = 2.0
"""In which they begin; so that their tokens do not come all at the same moment."""
PATIENCE_S = 45
"""How long a server may take for what a fast one does in SECONDS + RAMP_S."""


def slow_streams(count: int) -> Callable[[World, Server], Iterator[Observation]]:
    """The scenario with so many at once."""

    def scenario(world: World, server: Server) -> Iterator[Observation]:
        loaded = world.load(
            server,
            "stream",
            f"bench:{TOKENS}:{RATE}:0",
            clients=count,
            requests=count,
            tokens=TOKENS,
            ramp_ms=int(RAMP_S * 1000),
            timeout_s=PATIENCE_S,
        )
        yield Observation(f"streams-{count}", server.name, _metrics(loaded, count), loaded.doubts)

    return scenario


def _metrics(loaded: Loaded, count: int) -> dict[str, float]:
    seen = loaded.seen
    latency = seen["latency_ms"] or {"p50": 0, "p99": 0, "max": 0}
    first, opened, last = _memory(loaded.resident)
    return {
        "p50_ms": latency["p50"],
        "p99_ms": latency["p99"],
        "max_ms": latency["max"],
        "cores": loaded.busy_s / seen["wall_s"],
        "cpu_us": loaded.cpu_s / max(seen["tokens"], 1) * 1e6,
        "kib_per_stream": (opened - first) / count,
        "kib_per_token": (last - opened) / count / TOKENS,
        "lost": seen["lost"],
        "doubled": seen["doubled"],
        "failed": count - seen["ok"],
        "load_cores": seen["cpu_s"] / seen["wall_s"],
        "upstream_cores": seen["upstream_cpu_s"] / seen["wall_s"],
    }


def _memory(samples: list[tuple[float, float]]) -> tuple[float, float, float]:
    """KiB at the begin, when all streams are open and young, and the most before the first one ends."""
    before = [kib for at, kib in samples if at < RAMP_S + SECONDS]
    opened = next(itertools.chain((kib for at, kib in samples if at > RAMP_S * 1.1), before[-1:]))
    return before[0], opened, max(before[-1], opened)
