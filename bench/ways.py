"""What is measured: Waggle with its exporters on and off, the peers, and the floor; and how each is asked."""

import os
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
from compiled import CACHE
from processes import ROOT, process

from tests.servers.postgres import free_port

Kind = Literal["run", "stream", "tool", "session", "background"]
HERE = Path(__file__).parent
EXPORTS = {"OTEL_BSP_SCHEDULE_DELAY": "500"}
"""Batches are sent within a measurement, not after it."""
OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{upstream}"}
HONEYHIVE = {"HH_API_KEY": "hh_bench", "HH_API_URL": "{upstream}"}
WAGGLE = {
    "MODEL": "openai:gpt-4o-mini",
    "OPENAI_API_KEY": "sk-bench",
    "AGENTS_DIR": str(HERE / "served"),
    "PYTHONPATH": str(ROOT),
    "LOG_LEVEL": "warning",
    "MAX_CONCURRENT_RUNS": "5000",
    "MAX_LOOP_LAG_MS": "0",
}
"""As shipped, but for what the benchmark itself needs: more runs at once than the limits let in."""
OWN: dict[Kind, str] = {
    "run": "/agents/whole/run",
    "stream": "/agents/streamed/stream",
    "tool": "/agents/tool/run",
    "session": "/agents/whole/run",
    "background": "/agents/whole/runs",
}
PLAIN: dict[Kind, str] = {"run": "/run", "stream": "/stream", "tool": "/tool"}
AGNO: dict[Kind, str] = {"run": "/agents/bench/runs", "stream": "/agents/bench/runs", "tool": "/agents/tool/runs"}


@dataclass(frozen=True)
class Way:
    """One server, as it is started and asked."""

    title: str
    paths: Mapping[Kind, str]
    script: str = ""
    """Of bench/peers; none is Waggle."""
    variables: Mapping[str, str] = field(default_factory=dict)
    frames: str = ""
    """What a frame of a stream has to contain for its tokens to count."""

    def command(self, port: int) -> list[str | Path]:
        if not self.script:
            return [sys.executable, "-m", "app"]
        return [CACHE / "peers" / "bin" / "python", HERE / "peers" / self.script, str(port)]

    def body(self, kind: Kind, task: str) -> str:
        """With `@@` for the request's number."""
        if self.paths is AGNO:
            return urllib.parse.urlencode({"message": task, "stream": str(kind == "stream").lower()})
        session = ', "session_id": "@@"' if kind == "session" and not self.script else ""
        return f'{{"task": "{task}"{session}}}'

    @property
    def media_type(self) -> str:
        return "application/x-www-form-urlencoded" if self.paths is AGNO else "application/json"


def _waggle(title: str, **variables: str) -> Way:
    return Way(title, OWN, variables=WAGGLE | EXPORTS | variables, frames="text.delta")


WAYS: dict[str, Way] = {
    "waggle": _waggle("Waggle, traced: OTLP and HoneyHive", **OTLP, **HONEYHIVE),
    "waggle-otlp": _waggle("Waggle, traced: OTLP", **OTLP),
    "waggle-honeyhive": _waggle("Waggle, traced: HoneyHive", **HONEYHIVE),
    "waggle-off": _waggle("Waggle, no trace backend"),
    "waggle-none": _waggle("Waggle, no spans at all", OTEL_SDK_DISABLED="true"),
    "floor": Way("the floor: a proxy, no agent", {"run": "/run", "stream": "/stream"}, "floor.py"),
    "plain": Way("plain AutoGen in FastAPI", PLAIN | {"session": "/sessions/@@"}, "plain.py"),
    "plain-otlp": Way(
        "plain AutoGen, traced by the guides: OTLP", PLAIN, "plain.py", EXPORTS | OTLP | {"TRACING": "otlp"}
    ),
    "plain-honeyhive": Way(
        "plain AutoGen, traced by the guide: HoneyHive",
        PLAIN,
        "plain.py",
        EXPORTS | HONEYHIVE | {"TRACING": "honeyhive"},
    ),
    "agno": Way("agno AgentOS", AGNO, "agno_server.py", {"OPENAI_API_KEY": "sk-bench"}, "event: RunContent\n"),
    "openai-agents": Way("openai-agents in FastAPI", PLAIN, "openai_agents.py"),
    "pydantic-ai": Way("pydantic-ai in FastAPI", PLAIN, "pydantic_ai_server.py"),
}
PEERS = tuple(name for name in WAYS if not name.startswith("waggle"))


@dataclass(frozen=True)
class Server:
    """One that runs."""

    name: str
    way: Way
    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(name: str, upstream: str, folder: Path, **more: str) -> Iterator[Server]:
    """It, when it answers; its data and log are in the folder."""
    way, port = WAYS[name], free_port()
    variables = {"MODEL_BASE_URL": f"{upstream}/v1", "PORT": str(port), "DATA_DIR": str(folder / f"{name}-{port}")}
    variables |= {key: value.format(upstream=upstream) for key, value in way.variables.items()} | more
    log = folder / f"{name}-{port}.log"
    with process(way.command(port), variables, log) as running:
        until_answers(f"http://127.0.0.1:{port}/readyz", running, log)
        yield Server(name, way, running.pid, port)


def until_answers(url: str, running: "subprocess.Popen[str]", log: Path) -> None:
    """Return as soon as there is an answer, which for peers is 404."""
    deadline = time.monotonic() + 60
    with httpx.Client(trust_env=False, timeout=5) as client:
        while time.monotonic() < deadline and running.poll() is None:
            try:
                if client.get(url).status_code < 500:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
    raise TimeoutError(f"{url} did not answer: {log.read_text()[-2000:]}")


def install_peers() -> None:
    """The peers' own environment, made anew when bench/peers.txt has changed."""
    pins, stamp = (HERE / "peers.txt").read_text(), CACHE / "peers" / "installed.txt"
    if stamp.exists() and stamp.read_text() == pins:
        return
    print(f"Installing the peers into {stamp.parent}, once.", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", stamp.parent], check=True)
    pip: list[str | Path] = [
        stamp.parent / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "-qqq",
    ]
    subprocess.run([*pip, "--requirement", HERE / "peers.txt"], check=True, env=dict(os.environ))
    stamp.write_text(pins)
