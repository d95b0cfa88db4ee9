"""What may be raised, as a tree.

WaggleError
├── Unreachable       no answer came, however often it was tried
└── Problem           the service refused, in its own words: docs/errors.md explains each `kind`
    ├── NotFound      no such agent, run or session, or another caller's
    ├── SessionBusy   the session has a run going on
    ├── RateLimited   too many runs, or the day's budget is spent
    ├── EventsGone    a stream cannot go on: `runs.get(error.run_id)` has the outcome
    └── RunFailed     the run began, and failed: `runs.get(error.run_id)` has its record
"""

from typing import Any

import httpx


class WaggleError(Exception):
    """Whatever goes wrong between the caller and the service."""


class Unreachable(WaggleError):
    """There is no service at that address, or the connection to it was lost for good; the cause is httpx's."""


class Problem(WaggleError):
    """An answer that is none of the wanted ones."""

    def __init__(self, response: httpx.Response, body: dict[str, Any], run_id: str | None = None) -> None:
        self.status = response.status_code
        self.type: str = body.get("type", "about:blank")
        self.kind = self.type.rpartition(":")[2]
        """The last part of `type`."""
        self.title: str = body.get("title", response.reason_phrase)
        self.detail: str = body.get("detail", f"{response.request.url} answered, but with no answer of Waggle's.")
        self.errors: list[dict[str, Any]] = body.get("errors", [])
        """Which fields are wrong, with `invalid-input`."""
        self.run_id: str | None = response.headers.get("X-Run-ID") or body.get("run_id") or run_id
        self.trace_id: str | None = body.get("trace_id")
        self.request_id: str | None = response.headers.get("X-Request-ID")
        """To look for in the service's log."""
        self.retry_after = _seconds(response.headers.get("Retry-After"))
        fields = (f"\n  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in self.errors)
        super().__init__(f"{self.title}: {self.detail}{''.join(fields)}")


class NotFound(Problem):
    """There is none, or it is another caller's."""


class SessionBusy(Problem):
    """Wait, cancel the run that goes on, or ask with `if_busy`."""


class RateLimited(Problem):
    """The caller has reached a limit."""


class EventsGone(Problem):
    """The events that would follow are no longer kept."""


class RunFailed(Problem):
    """A run that began, and failed. The same Idempotency-Key would only tell of it again."""


KINDS: dict[str, type[Problem]] = {
    "not-found": NotFound,
    "session-busy": SessionBusy,
    "rate-limited": RateLimited,
    "budget-spent": RateLimited,
    "events-gone": EventsGone,
}


def problem_of(response: httpx.Response, run_id: str | None = None) -> Problem:
    """What an answer, which is read, says went wrong; `run_id` is the run that was asked for."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return Problem(response, {}, run_id)
    kind = str(body.get("type")).rpartition(":")[2]
    return (RunFailed if "X-Run-ID" in response.headers else KINDS.get(kind, Problem))(response, body, run_id)


def _seconds(header: str | None) -> float | None:
    """A `Retry-After`; one that names a date, as proxies may, is passed over."""
    return float(header) if header and header.isdecimal() else None
