"""Measure Waggle beside its peers: `make bench`, or `python bench/bench.py --scenarios run token --peers plain floor`.

Writes bench/results.json, and from it docs/performance.md with its pictures (pages.py). Every server of a scenario
runs at the same time and the rounds take turns among them. Linux only: costs are what the kernel says of processes.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import costs
import pages
import results
import singles
import streams
import ways
from compiled import NoCompiler, build
from loading import World, world
from processes import ended_in_order
from results import Observation

COSTS = {"run": costs.run, "token": costs.token, "burst": costs.burst, "tool": costs.tool, "turns": costs.turns}
TRACED = ("waggle-none", "waggle-off", "waggle-otlp", "waggle-honeyhive", "waggle")
STREAMS = {"streams-100": 100, "streams-500": 500, "streams-1000": 1000, "streams-2000": 2000}
SCENARIOS = (*COSTS, "tracing", *STREAMS, "start", "background", "replicas", "memory")


def chosen(arguments: argparse.Namespace, *more: str) -> list[str]:
    """Waggle and the peers that are wanted."""
    return ["waggle", *more, *(name for name in ways.PEERS if name in arguments.peers)]


def measured(scenario: str, around: World, arguments: argparse.Namespace) -> Iterator[Observation]:
    """All observations of a scenario."""
    match scenario:
        case "turns":
            yield from side_by_side(around, ["waggle", *({"plain"} & set(arguments.peers))], costs.turns, 1)
        case _ if scenario in COSTS:
            yield from side_by_side(around, chosen(arguments), COSTS[scenario], arguments.rounds)
        case "tracing":
            for one in (costs.run, costs.token, costs.burst):
                for seen in side_by_side(around, TRACED, one, arguments.rounds):
                    yield Observation(f"tracing-{seen.scenario}", seen.way, seen.metrics, seen.doubts)
        case "start":
            yield from singles.cold_start(around)
        case "background":
            yield from singles.background(around, arguments.rounds)
        case "replicas":
            yield from singles.replicas(around, arguments.rounds)
        case "memory":
            yield from singles.memory(around)
        case _:
            count = STREAMS[scenario]
            names = chosen(arguments) if count <= 500 else ["waggle", *({"floor"} & set(arguments.peers))]
            for name in names:  # one after the other: each gets what there is of the machine
                yield from side_by_side(around, [name], streams.slow_streams(count), 1, warm=False)


def side_by_side(
    around: World, names: Sequence[str], scenario: costs.Costed, rounds: int, *, warm: bool = True
) -> Iterator[Observation]:
    """With the servers started for it."""
    with ExitStack() as stack:
        servers = [stack.enter_context(ways.serving(name, around.upstream, around.folder)) for name in names]
        if warm:
            yield from costs.interleaved(around, servers, scenario, rounds)
            return
        for server in servers:
            list(costs.burst(around, server))
            yield from scenario(around, server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="*", default=[], choices=SCENARIOS)
    parser.add_argument("--peers", nargs="*", default=[], choices=ways.PEERS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ended_in_order()
    arguments.peers = arguments.peers or ways.PEERS
    try:
        tools = build()
    except NoCompiler as missing:
        sys.exit(str(missing))
    ways.install_peers()
    found: list[Observation] = []
    with tempfile.TemporaryDirectory() as folder, world(tools, Path(folder)) as around:
        for scenario in arguments.scenarios or SCENARIOS:
            for seen in measured(scenario, around, arguments):
                found.append(seen)
                print(
                    seen.scenario,
                    seen.way,
                    {name: round(value, 3) for name, value in seen.metrics.items()},
                    *seen.doubts,
                )
    results.write(results.summary(found), arguments.rounds)
    pages.main()


if __name__ == "__main__":
    main()
