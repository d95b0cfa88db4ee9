"""Every error a caller may see, as a tree; `app.api.problems` writes it as RFC 9457 problem details.

    AppError
    ├── BadRequest            400  not JSON
    ├── Unauthorized          401  no credentials, or none that are accepted
    ├── Forbidden             403  not allowed to these credentials, or from this web page
    ├── NotFound              404  no such agent, run, session, or not the caller's
    ├── RequestTimeout        408  the body did not come in time
    ├── SessionBusy           409  the session has a run going on          (Retry-After)
    ├── SessionConflict       409  the session is another agent's
    ├── SessionExists         409  there is a session of that id already
    ├── SessionFull           409  the session has as many turns as it may
    ├── NotInConversation     409  the run is no completed one of this conversation
    ├── StateConflict         409  the saved state no longer fits the agent
    ├── NotWaiting            409  the run waits for no input, or for another
    ├── EventsGone            410  the events asked for are no longer kept
    ├── StateGone             410  the session's state at that place is no longer kept
    ├── BodyTooLarge          413
    ├── UnsupportedMediaType  415
    ├── WrongHost             421  the Host header names another service
    ├── InvalidInput          422  fields wrong (`errors` lists each)
    ├── RateLimited           429  too many runs begun, or going on     (Retry-After)
    ├── BudgetSpent           429  the day's tokens or money are spent  (Retry-After)
    ├── RunFailed             500  the agent's own code failed
    ├── ProviderFailed        502  the model provider failed; `detail` says which kind
    ├── Unavailable           503  at capacity or shutting down            (Retry-After)
    ├── AgentInvalid          503  the agent's file does not load
    ├── ModelUnavailable      503  no model, or its key is missing
    ├── RunLost               503  the process that had the run died
    ├── RunTimeout            504  the run's deadline passed
    └── InputExpired          504  nobody answered the run's question in time

`detail` is written for the caller: no secret, no path, no foreign exception's text.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar


class AppError(Exception):
    """An error with an HTTP status. `kind` names it for ever: `type` is `urn:waggle:problem:{kind}`."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    kind: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str,
        *,
        retry_after_s: int | None = None,
        errors: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.errors = errors

    def problem(self, **members: Any) -> dict[str, Any]:
        """The RFC 9457 object; `members` are its extension members (`run_id`, `trace_id`), None left out."""
        problem: dict[str, Any] = {
            "type": f"urn:waggle:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors is not None:
            problem["errors"] = list(self.errors)
        return problem | {key: value for key, value in members.items() if value is not None}


class BadRequest(AppError):
    """The body is not JSON."""

    status, title, kind = 400, "Bad request", "bad-request"


class Unauthorized(AppError):
    """No credentials were sent, or they are unknown, expired or not for this service."""

    status, title, kind = 401, "Unauthorized", "unauthorized"


class Forbidden(AppError):
    """The credentials do not allow it, or a web page asks that may not."""

    status, title, kind = 403, "Forbidden", "forbidden"


class NotFound(AppError):
    """It does not exist, or not for this caller: the two look alike on purpose."""

    status, title, kind = 404, "Not found", "not-found"


class RequestTimeout(AppError):
    """The request's body did not come in time."""

    status, title, kind = 408, "Request timeout", "request-timeout"


class SessionBusy(AppError):
    """The session has a run going on."""

    status, title, kind = 409, "Session busy", "session-busy"


class SessionConflict(AppError):
    """The session belongs to another agent."""

    status, title, kind = 409, "Session of another agent", "session-conflict"


class SessionExists(AppError):
    """There is a session of that id already."""

    status, title, kind = 409, "Session exists", "session-exists"


class SessionFull(AppError):
    """The session has had as many turns as a session may."""

    status, title, kind = 409, "Session full", "session-full"


class NotInConversation(AppError):
    """The run is not a completed run of this conversation, or not any more."""

    status, title, kind = 409, "Run not in the conversation", "not-in-conversation"


class StateConflict(AppError):
    """The saved state no longer fits the agent."""

    status, title, kind = 409, "Saved state does not fit", "state-conflict"


class NotWaiting(AppError):
    """The run waits for no input, or for the answer to another question."""

    status, title, kind = 409, "Not waiting for input", "not-waiting"


class StateGone(AppError):
    """The session's state at that place is no longer kept."""

    status, title, kind = 410, "State gone", "state-gone"


class EventsGone(AppError):
    """The events asked for are no longer kept."""

    status, title, kind = 410, "Events gone", "events-gone"


class BodyTooLarge(AppError):
    """The request body exceeds MAX_BODY_BYTES."""

    status, title, kind = 413, "Body too large", "body-too-large"


class UnsupportedMediaType(AppError):
    """The request body is not application/json."""

    status, title, kind = 415, "Unsupported media type", "unsupported-media-type"


class WrongHost(AppError):
    """The request was meant for another service: its Host header is none of this one's."""

    status, title, kind = 421, "Misdirected request", "wrong-host"


class InvalidInput(AppError):
    """Fields are missing, unknown or of the wrong type."""

    status, title, kind = 422, "Invalid input", "invalid-input"


class RateLimited(AppError):
    """The caller has begun as many runs as it may for now, or has as many going on."""

    status, title, kind = 429, "Rate limited", "rate-limited"


class BudgetSpent(AppError):
    """The caller has spent what it may a day."""

    status, title, kind = 429, "Budget spent", "budget-spent"


class RunFailed(AppError):
    """The agent, one of its tools or the service failed in the middle of a run."""

    status, title, kind = 500, "Run failed", "run-failed"


class ProviderFailed(AppError):
    """The model provider answered with an error, or not at all."""

    status, title, kind = 502, "Model provider failed", "provider-failed"


class Unavailable(AppError):
    """At capacity, or shutting down: the same request may succeed later."""

    status, title, kind = 503, "Unavailable", "unavailable"


class QueueFull(Unavailable):
    """As many runs of the session wait as may."""


class AgentInvalid(AppError):
    """The agent's file or factory does not load; `GET /agents` says why."""

    status, title, kind = 503, "Agent invalid", "agent-invalid"


class ModelUnavailable(AppError):
    """There is no model to call: nothing installed, or a key is missing."""

    status, title, kind = 503, "Model unavailable", "model-unavailable"


class RunLost(AppError):
    """The process that executed the run is gone."""

    status, title, kind = 503, "Run lost", "run-lost"


class RunTimeout(AppError):
    """The run did not end within its deadline."""

    status, title, kind = 504, "Run timed out", "run-timeout"


class InputExpired(AppError):
    """Nobody answered the run's question in time."""

    status, title, kind = 504, "Input expired", "input-expired"


def _kinds(error: type[AppError]) -> Iterator[str]:
    yield error.kind
    for each in error.__subclasses__():
        yield from _kinds(each)


PROBLEM_TYPES = tuple(f"urn:waggle:problem:{kind}" for kind in dict.fromkeys(_kinds(AppError)))
"""What the `type` of a problem can be."""
