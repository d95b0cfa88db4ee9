"""How a run is begun: who asks, and how its outcome is waited for."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Depends, Header, Request

from app.api.dependencies import Parts, SessionHeader, UserHeader, parts_of, principal_of
from app.api.identity.principal import Principal
from app.api.problems import problems
from app.errors import AppError, RateLimited
from app.events import Run
from app.runs.run import RunRequest, Started

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
