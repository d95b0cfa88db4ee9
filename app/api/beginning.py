"""How every protocol begins a run: who asks, what is wanted, and how its outcome is waited for."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import anyio
import orjson
from fastapi import Depends, Header, Request
from uuid_utils import uuid7

from app.api.dependencies import Parts, SessionHeader, UserHeader, either, parts_of, principal_of
from app.api.identity.principal import Principal
from app.api.problems import problems
from app.api.schemas import OnDisconnect
from app.errors import AppError, InvalidInput, RateLimited
from app.events import Run
from app.runs.run import RunRequest, Started
from app.store.runs import IfBusy, Key
from app.task import Task, TextPart, Turn

RUN_PROBLEMS = problems(400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 500, 502, 503, 504)
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key and body within 24 hours are the same run: joined while it goes on, then replayed.",
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What each way to begin a run takes beside its task."""

    request: Request
    parts: Parts
    principal: Principal
    user: str | None
    session: str | None
    key: str | None


async def _asked(
    request: Request,
    user: UserHeader = None,
    session: SessionHeader = None,
    key: IdempotencyKey = None,
) -> Asked:
    return Asked(request, parts_of(request), principal_of(request), user, session, key)


AskedDep = Annotated[Asked, Depends(_asked)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run, as a body of any protocol asks for it."""

    agent: str
    task: Task
    body: Any
    """What makes it the same run again, with an Idempotency-Key: JSON."""
    history: tuple[Turn, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    user_field: str = "user_id"
    """What the body calls it."""
    session_field: str = "session_id"
    metadata: Mapping[str, str]
    timeout_s: float | None = None
    if_busy: IfBusy = "reject"
    on_disconnect: OnDisconnect | None = None
    background: bool = False
    webhook_url: str | None = None


def request_of(asked: Asked, wanted: Wanted) -> RunRequest:
    """Raises Forbidden, and InvalidInput for what no run is begun with."""
    parts, key = asked.parts, asked.key
    limit = parts.settings.run_timeout_s
    asked.principal.must("run", wanted.agent)
    caller = asked.principal.caller(either(asked.user, wanted.user_id, "X-User-ID", ["body", wanted.user_field]))
    length = sum(map(_length, (wanted.task, *(turn.content for turn in wanted.history))))
    if length > parts.settings.max_task_chars:
        raise InvalidInput(
            f"The task is longer than the {parts.settings.max_task_chars} characters that MAX_TASK_CHARS allows.",
            errors=[{"loc": ["body", "task"], "msg": f"Has {length} characters."}],
        )
    session_id = either(asked.session, wanted.session_id, "X-Session-ID", ["body", wanted.session_field])
    if wanted.webhook_url is not None:
        parts.webhooks.check(wanted.webhook_url)
    the_same = [wanted.agent, session_id, wanted.body]
    return RunRequest(
        agent=wanted.agent,
        task=wanted.task,
        history=wanted.history,
        caller=caller,
        session_id=session_id or str(uuid7()),
        metadata=dict(wanted.metadata),
        timeout_s=min(wanted.timeout_s or limit, limit),
        if_busy=wanted.if_busy,
        on_disconnect=wanted.on_disconnect or ("continue" if wanted.background else "cancel"),
        background=wanted.background,
        key=Key(key, sha256(orjson.dumps(the_same, option=orjson.OPT_SORT_KEYS)).digest()) if key else None,
        webhook_url=wanted.webhook_url,
    )


def unasked(field: str) -> InvalidInput:
    """Why a conversation begins no run: that field of the body has it."""
    return InvalidInput(
        "The last message must be the user's: it is what the agent is asked.",
        errors=[{"loc": ["body", field], "msg": "Does not end with a message of the user."}],
    )


async def begun(asked: Asked, wanted: RunRequest) -> Started:
    """Begin or join the run, if the caller may begin one now; what is left of its rate is told with the answer."""
    parts = asked.parts
    if parts.rates is not None:
        allowance = await parts.rates.count(wanted.caller)
        asked.request.state.headers = allowance.headers
        if not allowance.allowed:
            raise RateLimited("The caller has begun as many runs as it may for now.", retry_after_s=allowance.reset_s)
    return await parts.runner.start(wanted)


async def outcome_of(asked: Asked, started: Started) -> Run:
    """The run once it has ended, or waits for a person. A client that leaves meanwhile leaves the run unwatched."""
    parts = asked.parts
    with parts.runner.audience.watch(started.run.run_id):
        outcome = await _until_outcome_or_gone(asked, started)
    if outcome is None:
        parts.telemetry.metrics.disconnected("left")
        if started.live is not None:  # also when nobody is there to read it: this request's span is the run's root
            await asyncio.wait([started.live.finished])
        outcome = await parts.runs.get(started.run.run_id, started.caller)
    return outcome


async def _until_outcome_or_gone(asked: Asked, started: Started) -> Run | None:
    if started.live is not None:
        if await _gone_before(asked.request, started.live.finished):
            return None
        if (run := started.live.finished.result()) is not None:
            return run
    outcome: Run | None = None
    failure: AppError | None = None

    async def gone() -> None:
        while (await asked.request.receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(gone)
        try:
            outcome = await asked.parts.viewing.outcome(started)
        except AppError as error:  # the group would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return outcome


async def _gone_before(request: Request, finished: "asyncio.Future[Run | None]") -> bool:
    """Whether the client goes before that is done: by a cancel scope, as a task would cost four times that."""
    with anyio.CancelScope() as scope:
        finished.add_done_callback(lambda _: scope.cancel())
        while (await request.receive())["type"] != "http.disconnect":
            pass
    return not finished.done()


def _length(task: Task) -> int:
    """The characters of its text."""
    return len(task) if isinstance(task, str) else sum(len(part.text) for part in task if isinstance(part, TextPart))
