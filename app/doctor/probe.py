"""One run of a tiny agent through the service itself, and what became of its spans.

The service is whole (`create_app` and its lifespan, called in-process) but for what belongs to the user: its
database is temporary, and the probe's agent is the only file in its AGENTS_DIR.
"""

import asyncio
import json
import logging
import re
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.agents.probe import AGENT, FOLDER, SCRIPT, TASK
from app.doctor.result import Result
from app.doctor.spans import examined
from app.doctor.threads import apart
from app.main import create_app
from app.settings import Settings
from app.telemetry.witness import Delivery, Seen, Witness

RUN_S = 30
"""For the answer, an embedded model's first one included."""
PATIENCE_S = 2 * RUN_S
"""For the service to answer; the run ends by its own deadline."""
FLUSH_S = 8
"""For a backend to take the spans."""
IDENTITY = {"user_id": "waggle-doctor", "session_id": "waggle-doctor"}


@dataclass(frozen=True)
class Probe:
    """The run, and the spans of its trace."""

    results: tuple[Result, ...]
    trace_id: str = ""
    run_id: str = ""
    spans: tuple[Seen, ...] = field(default=())


async def probe(
    settings: Settings, *, script: str = "", without: Collection[str] = (), disabled: bool = False
) -> Probe:
    """Run it. `script` says why a script answers for the model; no spans are sent to the backends `without`."""
    with tempfile.TemporaryDirectory(prefix="waggle-doctor-") as folder, _Complaints() as complaints:
        app = create_app(_settings(settings, Path(folder), replayed=bool(script), without=without))
        witness = Witness(app.state.parts.telemetry)
        began = time.monotonic()
        async with app.router.lifespan_context(app):
            witness.begin()
            answer = await _run(app)
            took = time.monotonic() - began
            late = await _flushed(witness.flushes())
    said = answer.json()
    if answer.status_code != 200:
        advice = "Look at the checks above; `waggle doctor --offline` leaves the model out."
        return Probe(
            (Result("run", "fail", f"the probe run failed: {said.get('detail', answer.status_code)}", advice),)
        )
    by = f"a script ({script})" if script else "the model"
    trace = [span for span in witness.spans() if span.trace_id == said["trace_id"]]
    results = [Result("run", "ok", f"a probe agent with a tool ran in {took:.1f} s, answered by {by}")]
    results.append(examined(witness.spans(), said, settings, disabled=disabled))
    for name, delivery in witness.deliveries.items():
        results.append(_delivered(name, delivery, trace, late=name in late, status=complaints.status))
    return Probe(tuple(results), said["trace_id"], said["run_id"], tuple(trace))


FOR_CALLERS = (
    "api_keys",
    "api_keys_file",
    "jwt_issuer",
    "redis_url",
    "rate_limit",
    "budget_tokens",
    "budget_usd",
    "max_runs_per_caller",
)
"""What concerns those who call, or other processes: the probe is neither."""


def _settings(settings: Settings, folder: Path, *, replayed: bool, without: Collection[str]) -> Settings:
    update: dict[str, Any] = {
        "data_dir": folder,
        "database_url": None,
        "agents_dir": FOLDER,
        "otel_metrics_exporter": "none",
        **dict.fromkeys(FOR_CALLERS),
        "allowed_hosts": (),
    }
    if replayed:
        script = folder / "script.json"
        script.write_text(json.dumps(SCRIPT), encoding="utf-8")
        update |= {"model": f"replay:{script}", "model_base_url": None, "model_api_key": None}
    if "honeyhive" in without:
        update |= {"hh_api_key": None}
    if "otlp" in without:
        update |= {"otel_exporter_otlp_endpoint": None, "otel_exporter_otlp_traces_endpoint": None}
    return settings.model_copy(update=update)


async def _run(app: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://doctor", timeout=PATIENCE_S, trust_env=False
    ) as client:
        return await client.post(f"/agents/{AGENT}/run", json={"task": TASK, "timeout_s": RUN_S, **IDENTITY})


async def _flushed(flushes: dict[str, Callable[[], object]]) -> set[str]:
    """Send everything; the backends that did not take it in time."""
    waits = {name: asyncio.ensure_future(apart(flush)) for name, flush in flushes.items()}
    if waits:
        await asyncio.wait(waits.values(), timeout=FLUSH_S)
    late = {name for name, wait in waits.items() if not wait.done()}
    for wait in waits.values():
        wait.cancel()
    await asyncio.gather(*waits.values(), return_exceptions=True)
    return late


def _delivered(name: str, delivery: Delivery, trace: list[Seen], *, late: bool, status: str) -> Result:
    sent = {span.span_id for span in trace if name == "otlp" or "honeyhive.session_id" in span.attributes}
    check = f"{name}-delivery"
    if not sent:
        return Result(check, "skip", "there were no spans to deliver")
    accepted = len(sent & delivery.accepted)
    if accepted == len(sent):
        return Result(check, "ok", f"{accepted} spans sent and accepted")
    found = f"{accepted} of {len(sent)} spans were accepted"
    if late:
        found, advice = f"{found}: no answer within {FLUSH_S} s", "The backend hangs or is too slow: look at its load."
    else:
        found = f"{found}{f': the answer was {status}' if status else ''}"
        advice = (
            "The backend takes an empty batch but not these spans: look at its limits, its log, and what it supports."
        )
    return Result(check, "fail", found, advice)


class _Complaints(logging.Handler):
    """Hears which status the exporters were refused with; their words may hold what a backend says."""

    _STATUS = re.compile(r"(?:code|status)\D{0,3}(\d{3})", re.IGNORECASE)
    _LOGGERS = ("opentelemetry", "honeyhive")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.status = ""

    def emit(self, record: logging.LogRecord) -> None:
        if found := self._STATUS.search(record.getMessage()):
            self.status = found[1]

    def __enter__(self) -> "_Complaints":
        for name in self._LOGGERS:
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._LOGGERS:
            logging.getLogger(name).removeHandler(self)
