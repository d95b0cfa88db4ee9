"""What tracing costs: CPU of the server per run and per streamed token, backends off and on, side by side.

`make bench`, or `python bench/tracing.py [rounds]`. Every server runs at the same time, and the rounds take turns
among them; the load is a few clients on loopback, and the upstream (bench/upstream.py) is never the bottleneck. CPU is
user + system time from /proc, so Linux only; medians over the rounds, with the spread. A background exporter gets
the time after each batch, so that its work is counted where it belongs.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
RUNS, STREAMS, TOKENS, CLIENTS = 60, 20, 400, 8
SETTLE_S = 0.7
"""After each batch of requests: the exporters send every half a second."""
AGENT = """
from autogen_agentchat.agents import AssistantAgent

def build(context):
    return AssistantAgent("bench", context.model("openai:{model}"), model_client_stream={stream})
"""
HONEYHIVE = {"HH_API_KEY": "hh_bench"}
WAYS: dict[str, dict[str, str] | None] = {
    "plain AutoGen, untraced": None,
    "no spans at all": {"OTEL_SDK_DISABLED": "true"},
    "backends off": {},
    "OTLP": {"OTEL_EXPORTER_OTLP_ENDPOINT": "{upstream}"},
    "HoneyHive": HONEYHIVE | {"HH_API_URL": "{upstream}"},
    "OTLP and HoneyHive": HONEYHIVE | {"HH_API_URL": "{upstream}", "OTEL_EXPORTER_OTLP_ENDPOINT": "{upstream}"},
}


@contextmanager
def process(*command: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process, ended at the end."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    running = subprocess.Popen(
        [sys.executable, *command],
        env=environment | {"PYTHONPATH": str(ROOT), "OTEL_BSP_SCHEDULE_DELAY": "500"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(20)


class Server:
    """One server under test."""

    def __init__(self, running: subprocess.Popen[str], port: int) -> None:
        self._stat = Path(f"/proc/{running.pid}/stat")
        limits = httpx.Limits(max_connections=CLIENTS)
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, limits=limits, trust_env=False
        )

    def cpu(self) -> float:
        """Seconds of CPU so far, all threads."""
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def up(self) -> None:
        for _ in range(300):
            try:
                await self._client.get("/livez")
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return
        raise TimeoutError("a server did not come up")

    async def cost(self, path: str, count: int) -> float:
        """CPU seconds for each of `count` requests."""
        before = self.cpu()
        left = iter(range(count))

        async def client() -> None:
            for _ in left:
                response = await self._client.post(path, json={"task": "hi"})
                response.raise_for_status()
                assert b"word" in response.content

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        await asyncio.sleep(SETTLE_S)
        return (self.cpu() - before) / count

    async def round(self) -> tuple[float, float]:
        """Milliseconds a run of 50 tokens that the model says at once, microseconds a streamed token."""
        run = await self.cost("/agents/tokens-50/run", RUNS)
        short = await self.cost("/agents/tokens-1/stream", STREAMS)
        long = await self.cost(f"/agents/tokens-{TOKENS}/stream", STREAMS)
        return run * 1e3, (long - short) / (TOKENS - 1) * 1e6


def free_port() -> int:
    """A port that nobody has."""
    import socket  # noqa: PLC0415

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def main(rounds: int) -> None:
    """Print the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "agents").mkdir()
        for tokens in (1, 50, TOKENS):
            model = f"tokens-{tokens}"
            (folder / "agents" / f"{model}.py").write_text(AGENT.format(model=model, stream=tokens != 50))
        upstream = stack.enter_context(process(str(ROOT / "bench" / "upstream.py")))
        assert upstream.stdout is not None
        address = f"http://127.0.0.1:{upstream.stdout.readline().strip()}"
        servers = {}
        for number, (way, variables) in enumerate(WAYS.items()):
            port = free_port()
            command = (str(ROOT / "bench" / "plain.py"), str(port)) if variables is None else ("-m", "app")
            settings = {
                "PORT": str(port),
                "MODEL": "openai:tokens-50",
                "MODEL_BASE_URL": f"{address}/v1",
                "OPENAI_API_KEY": "sk-bench",
                "DATA_DIR": str(folder / str(number)),
                "AGENTS_DIR": str(folder / "agents"),
                "LOG_LEVEL": "warning",
            }
            settings |= {name: value.format(upstream=address) for name, value in (variables or {}).items()}
            servers[way] = Server(stack.enter_context(process(*command, **settings)), port)
        for server in servers.values():
            await server.up()
            await server.round()  # warm
        results: dict[str, list[tuple[float, float]]] = {way: [] for way in servers}
        for number in range(rounds):
            for way, server in servers.items():
                results[way].append(await server.round())
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    show(results)


def show(results: dict[str, list[tuple[float, float]]]) -> None:
    """Medians, spreads, and the ratio to backends off."""
    off = [statistics.median(column) for column in zip(*results["backends off"], strict=True)]
    print(f"\n{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
    print("| | CPU per run, ms | of off | CPU per streamed token, µs | of off |\n|---|---|---|---|---|")
    for way, rounds in results.items():
        cells: list[Any] = []
        for column, base in zip(zip(*rounds, strict=True), off, strict=True):
            median = statistics.median(column)
            cells += [f"{median:.2f} ({min(column):.2f}–{max(column):.2f})", f"{median / base:.2f}"]
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
