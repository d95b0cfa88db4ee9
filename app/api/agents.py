"""/agents: which there are; run one; stream one."""

import asyncio
import logging
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from uuid_utils import uuid7

from app.agents.card import AgentCard
from app.api.dependencies import CallerDep, JsonOnly, Parts, PartsDep, SessionHeader, UserHeader, either
from app.api.problems import problem_response, problems
from app.api.schemas import OnDisconnect, RunIn, SessionId
from app.caller import Caller
from app.errors import EventsGone
from app.events import Run, RunStatus
from app.runs.run import LiveRun, RunRequest
from app.wire import native

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/agents", tags=["agents"])

SEND_TIMEOUT_S = 30
"""A client that takes no bytes for so long has gone, or is too slow: it is dropped, its run is not."""
RUN_PROBLEMS = problems(400, 404, 409, 413, 415, 422, 500, 502, 503, 504)
LastEventId = Annotated[str | None, Header(description="The last event seen: the stream goes on after it.")]


@router.get("")
async def list_agents(parts: PartsDep) -> dict[str, Any]:
    """The agents that are served, and those whose files are broken (`status: invalid`, with the `reason`)."""
    return {
        "items": [parts.registry.cards[name] for name in sorted(parts.registry.cards)],
        "next_cursor": None,
    }


@router.get("/{name}", responses=problems(404))
async def get_agent(name: str, parts: PartsDep) -> AgentCard:
    """One agent: its description, model, tools with their JSON schemas, members of a team, output schema."""
    return parts.registry.card(name)


@router.post("/{name}/run", response_model=Run, responses=RUN_PROBLEMS, dependencies=[JsonOnly])
async def run_agent(
    name: str,
    body: RunIn,
    request: Request,
    parts: PartsDep,
    user: UserHeader = None,
    session: SessionHeader = None,
) -> Response:
    """Run the agent to the end, and answer with the `Run`; a failed one is a problem with its status."""
    run = await parts.runner.start(_wanted(name, body, parts, user, session))
    with run.watch():
        await _until_finished_or_gone(run, request)
    if not run.finished.done():
        run.metrics.disconnected("left")
    await asyncio.wait([run.finished])  # also when nobody is there to read it: this request's span is the run's root
    return finished_response(run.finished.result())


@router.post("/{name}/stream", response_class=EventSourceResponse, responses=RUN_PROBLEMS, dependencies=[JsonOnly])
async def stream_agent(
    name: str,
    body: RunIn,
    parts: PartsDep,
    user: UserHeader = None,
    session: SessionHeader = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Run the agent, and stream what happens as server-sent events.

    The last one is `run.completed`, `run.failed` or `run.cancelled`. With `Last-Event-ID`, the run of that event
    is gone on with instead.
    """
    wanted = _wanted(name, body, parts, user, session)
    if last_event_id:
        return resumed(parts, wanted.caller, last_event_id)
    return RunStream(await parts.runner.start(wanted))


@router.get("/{name}/stream", response_class=EventSourceResponse, responses=RUN_PROBLEMS)
async def stream_agent_by_url(
    name: str,
    parts: PartsDep,
    caller: CallerDep,
    task: Annotated[str, Query(min_length=1)],
    session_id: Annotated[SessionId | None, Query()] = None,
    session: SessionHeader = None,
    timeout_s: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    on_disconnect: Annotated[OnDisconnect, Query()] = "cancel",
    last_event_id: LastEventId = None,
) -> Response:
    """The same for `curl -N` and the browser's `EventSource`."""
    if last_event_id:
        return resumed(parts, caller, last_event_id)
    body = RunIn(task=task, session_id=session_id, timeout_s=timeout_s, on_disconnect=on_disconnect)
    return RunStream(await parts.runner.start(_wanted(name, body, parts, caller.user, session)))


class RunStream(EventSourceResponse):
    """One viewer of a run: it watches from its creation until the connection is done, however that ends.

    The request that started the run lasts until the run is over, watched or not: its span is the run's root.
    """

    def __init__(self, run: LiveRun, after: int | None = None) -> None:
        self._run = run
        self._started_it = after is None
        self._watch = run.watch()
        super().__init__(
            native.frames(run.record.run_id, run.log.read(after or 0)),
            headers={"Cache-Control": "no-cache", **run_headers(run)},
            sep="\n",
            send_timeout=SEND_TIMEOUT_S,
        )

    async def __call__(self, *asgi: Any) -> None:
        try:
            await super().__call__(*asgi)
        except SendTimeoutError:
            run_id = self._run.record.run_id
            logger.info("A viewer of run %s took nothing for %d s: dropped", run_id, SEND_TIMEOUT_S)
            self._run.metrics.disconnected("slow")
        else:
            if not self._run.finished.done():
                self._run.metrics.disconnected("left")
        finally:
            self._watch.close()
        if self._started_it:
            await asyncio.wait([self._run.finished])


def resumed(parts: Parts, caller: Caller, event_id: str) -> Response:
    """Go on after the event, never with another run: 204 after the end, which stops an EventSource."""
    seen = native.last_seen(event_id)
    run = parts.runner.find(seen[0], caller) if seen else None
    if seen is None or run is None:
        raise EventsGone("There are no events after that id: GET /runs/{run_id} has the run's outcome.")
    if run.log.ended_with(seen[1]):
        return Response(status_code=204, headers=run_headers(run))
    run.log.check(seen[1])
    run.metrics.resumed()
    return RunStream(run, seen[1])


def run_headers(run: LiveRun) -> dict[str, str]:
    return _headers(run.record)


def finished_response(run: Run) -> Response:
    """The `Run`, or the problem that it failed with."""
    if run.status is RunStatus.FAILED and run.error is not None:
        return problem_response(run.error, headers=_headers(run))
    return Response(native.response(run), media_type="application/json", headers=_headers(run))


def _headers(run: Run) -> dict[str, str]:
    return {"X-Run-ID": run.run_id, "X-Session-ID": run.session_id}


def _wanted(name: str, body: RunIn, parts: Parts, user: str | None, session: str | None) -> RunRequest:
    limit = parts.settings.run_timeout_s
    return RunRequest(
        agent=name,
        task=body.to_task(),
        caller=Caller(user=either(user, body.user_id, "X-User-ID", ["body", "user_id"])),
        session_id=either(session, body.session_id, "X-Session-ID", ["body", "session_id"]) or str(uuid7()),
        metadata=body.metadata,
        timeout_s=min(body.timeout_s or limit, limit),
        on_disconnect=body.on_disconnect,
    )


async def _until_finished_or_gone(run: LiveRun, request: Request) -> None:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(gone)
        await asyncio.wait([run.finished])
        group.cancel_scope.cancel()
