"""Has anything become slower? `make bench-quick`: five minutes, and exit status 1 where it has.

Times differ from machine to machine, ratios within one run hardly do: those are held against bench/limits.json, each
limit with the noise that is allowed on top. A doubtful one is measured again before it counts.
"""

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import costs
import streams
import ways
from compiled import NoCompiler, build
from loading import World, world
from processes import ended_in_order
from results import Observation, Summary, summary

LIMITS = Path(__file__).parent / "limits.json"
NAMES = ("waggle", "waggle-off", "plain", "floor")
ROUNDS = 3


def measure(around: World) -> Summary:
    """All that the ratios need."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(ways.serving(name, around.upstream, around.folder)) for name in NAMES}
        own = [servers["waggle"]]
        found: list[Observation] = []
        for scenario in (costs.run, costs.token, costs.burst):
            found += costs.interleaved(around, list(servers.values()), scenario, ROUNDS)
        found += costs.turns(around, servers["waggle"])
        found += costs.interleaved(around, own, streams.slow_streams(100), 1)
    return summary(found)


def ratio(found: Summary, path: str) -> float:
    """Of `SCENARIO/WAY/METRIC : SCENARIO/WAY/METRIC`, the medians; or the one number."""

    def median(cell: str) -> float:
        scenario, way, metric = cell.strip().split("/")
        return float(found[scenario][way][metric]["median"])

    over, _, under = path.partition(":")
    return median(over) / median(under) if under else median(over)


def broken(found: Summary) -> list[str]:
    """The names of the limits that do not hold, with a table on the way."""
    failed = []
    for name, limit in json.loads(LIMITS.read_text()).items():
        value, most = ratio(found, limit["of"]), limit["limit"] * (1 + limit["noise"])
        print(
            f"{'fail' if value > most else 'ok':5} {name}: {value:.3f}, at most {limit['limit']} + {limit['noise']:.0%}"
        )
        failed += [name] * (value > most)
    return failed


def main() -> None:
    try:
        tools = build()
    except NoCompiler as missing:
        print(f"bench-quick is left out. {missing}")
        return
    ended_in_order()
    ways.install_peers()
    with tempfile.TemporaryDirectory() as folder, world(tools, Path(folder)) as around:
        failed = broken(measure(around))
        if failed:
            print("Once more, in case it was the machine:")
            failed = [name for name in broken(measure(around)) if name in failed]
    sys.exit(f"Slower than it was: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
