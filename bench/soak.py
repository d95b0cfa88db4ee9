"""Many users for some minutes, some of whom leave, with a provider that fails and a trace backend that hangs.

`make soak`, or `python bench/soak.py --users 200 --seconds 300 [--postgres]`. Four processes: the service, what is
around it, the users, and Postgres if wanted. It prints a report, and its exit status is 1 where anything was lost,
doubled, failed or leaked. What the service holds is asked of its process by a signal (`soaked.py`), so Linux only:
RSS after a collection and `malloc_trim`; and before and after, when nobody asks anything of it.
"""

import argparse
import asyncio
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
from processes import process
from soak_users import Tally, User

from tests.servers.postgres import running

ROOT = Path(__file__).parent.parent
WARM_S = 15.0
"""What everything that is made once, or kept up to a bound, is made in; it counts for nothing."""
SAMPLES = 25
"""Of memory, evenly over the time: five in each fifth."""
QUIET_S = 60.0
"""By when everything has to be as it was before."""
FLAT = 0.05
SPARE = {"files": 16, "threads": 5, "tasks": 2, "runs": 0, "spans": 0}
"""By how much more may be held afterwards: what a pool had not needed before. One of SQLite's five connections is three
files and a thread."""
SETTINGS = {
    "MODEL": "openai:gpt-4o-mini",
    "OPENAI_API_KEY": "sk-soak",
    "MODEL_TIMEOUT_S": "3",
    "MODEL_MAX_RETRIES": "1",
    "RUN_TIMEOUT_S": "30",
    "DISCONNECT_GRACE_S": "1",
    "MAX_CONCURRENT_RUNS": "1000",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    "LOG_LEVEL": "error",
    "PORT": "0",
}


def python(command: list[str], log: Path, variables: dict[str, str]) -> AbstractContextManager[subprocess.Popen[str]]:
    """A Python process, whose errors are in the log; ended at the end."""
    set_ = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return process([sys.executable, *command], set_ | variables, log, piped=True)


class Service:
    """The process under load."""

    def __init__(self, folder: Path, running: subprocess.Popen[str], url: str) -> None:
        self.url = url
        self._running = running
        self._told = folder / "told"
        self._told.touch()

    async def held(self) -> dict[str, int]:
        """What it holds now."""
        before = self._told.stat().st_size
        self._running.send_signal(signal.SIGUSR1)
        while True:
            text = self._told.read_text()
            if len(text) > before and text.endswith("\n"):
                found: dict[str, int] = json.loads(text.splitlines()[-1])
                return found
            if self._running.poll() is not None:
                raise SystemExit("The service has ended: see its log.")
            await asyncio.sleep(0.05)

    async def until_quiet(self, like: dict[str, int] | None) -> dict[str, int]:
        """What it holds when nothing goes on, and no more than before if it comes to that."""
        deadline = time.monotonic() + QUIET_S
        while True:
            now = await self.held()
            calm = not now["runs"] and not now["spans"]
            if (calm and (like is None or not leaks(like, now))) or time.monotonic() > deadline:
                return now
            await asyncio.sleep(1)


def leaks(before: dict[str, int], after: dict[str, int]) -> dict[str, str]:
    """What is held afterwards that was not before."""
    return {
        name: f"{before[name]} → {after[name]}" for name, spare in SPARE.items() if after[name] > before[name] + spare
    }


async def load(service: Service, tally: Tally, users: int, seconds: float) -> None:
    until = asyncio.get_running_loop().time() + seconds
    # An idle connection is let go before the service does so, after 5 s: else one is written to just then.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=users, keepalive_expiry=2)
    async with httpx.AsyncClient(base_url=service.url, timeout=60, limits=limits, trust_env=False) as client:
        await asyncio.gather(*(User(number, client, tally, 0.1).live(until) for number in range(users)))


async def sampled(service: Service, seconds: float, samples: list[dict[str, int]]) -> None:
    for _ in range(SAMPLES):
        await asyncio.sleep(seconds / SAMPLES)
        samples.append(await service.held())


async def soak(service: Service, users: int, seconds: float) -> bool:
    """Whether nothing was wrong; the report is printed."""
    await load(service, Tally(), users, min(WARM_S, seconds / 2))
    before = await service.until_quiet(None)
    tally, samples = Tally(), list[dict[str, int]]()
    await asyncio.gather(load(service, tally, users, seconds), sampled(service, seconds, samples))
    after = await service.until_quiet(before)
    async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
        tally.wrong.update(_still(await client.get("/metrics")))
    return report(tally, samples, before, after, seconds)


def _still(answer: httpx.Response) -> dict[str, int]:
    """What the service's own metrics say goes on, though nobody is there."""
    gauges = ("waggle_runs_active", "waggle_viewers", "waggle_runs_queued")
    lines = [line for line in answer.text.splitlines() if line.startswith(gauges)]
    return {line: 1 for line in lines if float(line.rpartition(" ")[2])}


def report(
    tally: Tally, samples: list[dict[str, int]], before: dict[str, int], after: dict[str, int], seconds: float
) -> bool:
    fifth = len(samples) // 5
    second, last = (
        statistics.median(sample["rss_kib"] for sample in part)
        for part in (samples[fifth : 2 * fifth], samples[-fifth:])
    )
    growth = last / second - 1
    leaked = leaks(before, after)
    ended = sum(tally.runs[status] for status in ("completed", "failed", "cancelled"))
    print(f"{ended} runs in {seconds:.0f} s, {ended / seconds:.1f} a second; {tally.events} events")
    print("what became of them:", dict(tally.runs.most_common()))
    print(f"RSS, MiB: {second / 1024:.1f} in the second fifth, {last / 1024:.1f} in the last: {growth:+.1%}")
    print(
        "RSS of each fifth, MiB:",
        [
            round(statistics.median(s["rss_kib"] for s in samples[i : i + fifth]) / 1024, 1)
            for i in range(0, len(samples), fifth)
        ],
    )
    print("held before:", before)
    print("held after: ", after)
    print("leaked:", leaked or "nothing")
    print("wrong:", dict(tally.wrong.most_common(20)) or "nothing")
    return not leaked and not tally.wrong and growth <= FLAT


def around(stack: ExitStack, folder: Path, wanted: argparse.Namespace) -> Service:
    """Start it all; each is stopped when the stack is closed."""
    world = stack.enter_context(python([str(ROOT / "bench/soak_world.py"), str(wanted.faults)], folder / "world", {}))
    assert world.stdout is not None
    where: dict[str, Any] = json.loads(world.stdout.readline())
    variables = SETTINGS | {
        "MODEL_BASE_URL": f"{where['provider']}/v1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": where["backend"],
        "DATA_DIR": str(folder / "data"),
        "SOAK_TOLD": str(folder / "told"),
    }
    if wanted.postgres:
        server = stack.enter_context(running())
        variables["DATABASE_URL"] = server.url(server.create())
    served = stack.enter_context(
        python([str(ROOT / "bench/soaked.py")], folder / "log", variables | {"LOG_LEVEL": "info"})
    )
    return Service(folder, served, _listening(folder / "log", served))


def _listening(log: Path, served: subprocess.Popen[str]) -> str:
    while "running on " not in (text := log.read_text()):
        if served.poll() is not None:
            raise SystemExit(f"The service did not start:\n{text}")
        time.sleep(0.1)
    return text.partition("running on ")[2].split()[0]


def main() -> None:
    """Exit with 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--faults", type=float, default=5, help="percent of the provider's answers")
    parser.add_argument("--postgres", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        service = around(stack, Path(name), wanted)
        well = asyncio.run(soak(service, wanted.users, wanted.seconds))
        log = (Path(name) / "log").read_text()
        if not well:
            print("\n".join(log.splitlines()[-60:]))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
