"""All of a client that is not I/O: what is sent, what to do with what comes back, how long to wait."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import uniform
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import httpx
from httpx_sse import ServerSentEvent

from waggle_client.errors import Problem, RunFailed, Unreachable, problem_of
from waggle_client.types import Event, RunOptions, Task

ENDS = ("run.completed", "run.failed", "run.cancelled")
CONNECT_S = 10.0
QUIET_S = 45.0
"""A stream that is silent for so long is lost: a comment comes every 15 seconds."""
STREAM = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
FIRST_S, LONGEST_S = 0.5, 15.0
"""Pauses between attempts; a stream's first one is what the service says, a second."""
WORTH_WAITING_S = 60.0
"""A longer Retry-After is the caller's to wait for."""
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
PROXYS = (502, 503, 504)
"""What a proxy answers while the service is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. A `repeatable` one does nothing more when it is sent again."""

    method: str
    path: str
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False


def path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def get(*parts: str, **params: Any) -> Call:
    return Call(method="GET", path=path(*parts), params=given(params), repeatable=True)


def post(*parts: str, repeatable: bool = False, **body: Any) -> Call:
    return Call(method="POST", path=path(*parts), json=given(body), repeatable=repeatable)


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def begin(agent: str, how: str, task: Task, options: RunOptions) -> Call:
    """Begin a run. Its Idempotency-Key makes it the same run however often it is sent."""
    body = given({"task": task, **options})
    headers = {"Idempotency-Key": body.pop("idempotency_key", str(uuid4()))}
    return Call(method="POST", path=path("agents", agent, how), json=body, headers=headers, repeatable=True)


def streams(response: httpx.Response) -> bool:
    return response.is_success and "text/event-stream" in response.headers.get("Content-Type", "")


class Attempts:
    """How often in a row something was tried in vain. Each method has the seconds to wait, or raises what is final."""

    def __init__(self, most: int) -> None:
        self.pace_s = FIRST_S
        self._most, self._failed = most, 0

    def got_on(self) -> float:
        self._failed = 0
        return uniform(0.5, 1) * self.pace_s

    def lost(self, error: httpx.TransportError, *, repeatable: bool) -> float:
        """No answer, or not all of it."""
        final = isinstance(error, httpx.UnsupportedProtocol) or not (repeatable or isinstance(error, NEVER_SENT))
        if final or self._failed == self._most:
            raise Unreachable(f"{error.request.url} gave no answer ({type(error).__name__}).") from error
        return self._again(0)

    def refused(self, problem: Problem, *, repeatable: bool) -> float:
        """An answer that is none of the wanted ones."""
        if problem.retry_after is None:
            passes = repeatable and problem.type == "about:blank" and problem.status in PROXYS
        else:
            passes = problem.status in (429, 503) and problem.retry_after <= WORTH_WAITING_S
        if not passes or isinstance(problem, RunFailed) or self._failed == self._most:
            raise problem
        return self._again(problem.retry_after or 0)

    def _again(self, least_s: float) -> float:
        self._failed += 1
        return least_s + uniform(0.5, 1) * min(self.pace_s * 2.0 ** (self._failed - 1), LONGEST_S)


class Watch:
    """One viewer of a run: what it has seen, and what it asks for next."""

    def __init__(self, first: Call, attempts: Attempts, run_id: str | None = None, after: str | None = None) -> None:
        self._first, self.attempts = first, attempts
        self.run_id, self.last_event_id = run_id, after
        self.ended = False

    @property
    def call(self) -> Call:
        """Until an event came, the first one, which by its key joins the run it began; then for what follows."""
        if self.run_id is None or self.last_event_id is None:
            return self._first
        seen = {"Last-Event-ID": self.last_event_id}
        return Call(method="GET", path=path("runs", self.run_id, "stream"), headers=seen, repeatable=True)

    def saw(self, frame: ServerSentEvent) -> Event | None:
        """The event of a frame, if it has one."""
        if frame.retry is not None:
            self.attempts.pace_s = frame.retry / 1000
        if not frame.data:
            return None
        event = cast("Event", frame.json())
        self.run_id, self.last_event_id = event["run_id"], frame.id
        self.ended = event["type"] in ENDS
        self.attempts.got_on()
        return event

    def refused(self, response: httpx.Response) -> float:
        return self.attempts.refused(problem_of(response, self.run_id), repeatable=True)

    def lost(self, error: httpx.TransportError) -> float:
        return 0 if self.ended else self.attempts.lost(error, repeatable=True)
