"""/agents: which there are; run one; stream one; run one in the background."""

import asyncio
from hashlib import sha256
from typing import Annotated, Any

import anyio
import orjson
from fastapi import APIRouter, Query, Request, Response
from sse_starlette import EventSourceResponse
from uuid_utils import uuid7

from app.agents.card import AgentCard
from app.api.beginning import Asked, AskedDep, Beginning
from app.api.dependencies import CallerDep, JsonOnly, PartsDep, PrincipalDep, either
from app.api.problems import problems
from app.api.schemas import OnDisconnect, RunIn, SessionId
from app.api.streams import STREAMED, LastEventId, finished_response, resumed, run_headers, started_stream
from app.errors import AppError, InvalidInput, RateLimited
from app.events import Run
from app.runs.run import RunRequest, Started
from app.store.runs import IfBusy, Key
from app.wire import native

router = APIRouter(prefix="/agents", tags=["agents"], route_class=Beginning)

RUN_PROBLEMS = problems(400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 500, 502, 503, 504)


@router.get("")
async def list_agents(parts: PartsDep, principal: PrincipalDep) -> dict[str, Any]:
    """The agents that are served, and those whose files are broken (`status: invalid`, with the `reason`)."""
    return {
        "items": [parts.registry.cards[name] for name in sorted(parts.registry.cards) if principal.may("read", name)],
        "next_cursor": None,
    }


@router.get("/{name}", responses=problems(404))
async def get_agent(name: str, parts: PartsDep) -> AgentCard:
    """One agent: its description, model, tools with their JSON schemas, members of a team, output schema."""
    return parts.registry.card(name)


@router.post("/{name}/run", response_model=Run, responses=RUN_PROBLEMS, dependencies=[JsonOnly])
async def run_agent(name: str, body: RunIn, asked: AskedDep) -> Response:
    """Run the agent to the end, and answer with the `Run`; a failed one is a problem with its status.

    A run that comes to wait for a person is answered as it then stands: `input_required`.
    """
    parts = asked.parts
    started = await _begun(asked, _wanted(name, body, asked))
    with parts.runner.audience.watch(started.run.run_id):
        outcome = await _until_outcome_or_gone(asked, started)
    if outcome is None:
        parts.telemetry.metrics.disconnected("left")
        if started.live is not None:  # also when nobody is there to read it: this request's span is the run's root
            await asyncio.wait([started.live.finished])
        outcome = await parts.runs.get(started.run.run_id, started.caller)
    return finished_response(outcome)


@router.post(
    "/{name}/stream", response_class=EventSourceResponse, responses=RUN_PROBLEMS | STREAMED, dependencies=[JsonOnly]
)
async def stream_agent(name: str, body: RunIn, asked: AskedDep, last_event_id: LastEventId = None) -> Response:
    """Run the agent, and stream what happens as server-sent events.

    The last one is `run.completed`, `run.failed` or `run.cancelled`. With `Last-Event-ID`, the run of that event
    is gone on with instead.
    """
    wanted = _wanted(name, body, asked)
    if last_event_id:
        return await resumed(asked.parts, wanted.caller, last_event_id)
    return started_stream(asked.parts, await _begun(asked, wanted))


@router.get("/{name}/stream", response_class=EventSourceResponse, responses=RUN_PROBLEMS | STREAMED)
async def stream_agent_by_url(
    name: str,
    asked: AskedDep,
    caller: CallerDep,
    task: Annotated[str, Query(min_length=1)],
    session_id: Annotated[SessionId | None, Query()] = None,
    timeout_s: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    if_busy: Annotated[IfBusy, Query()] = "reject",
    on_disconnect: Annotated[OnDisconnect | None, Query()] = None,
    last_event_id: LastEventId = None,
) -> Response:
    """The same for `curl -N` and the browser's `EventSource`."""
    if last_event_id:
        return await resumed(asked.parts, caller, last_event_id)
    body = RunIn(
        task=task,
        session_id=session_id,
        user_id=caller.user,
        timeout_s=timeout_s,
        if_busy=if_busy,
        on_disconnect=on_disconnect,
    )
    return started_stream(asked.parts, await _begun(asked, _wanted(name, body, asked)))


@router.post("/{name}/runs", response_model=Run, status_code=202, responses=RUN_PROBLEMS, dependencies=[JsonOnly])
async def start_agent(name: str, body: RunIn, asked: AskedDep) -> Response:
    """Run the agent in the background, and answer at once with the `Run`, and its address as `Location`.

    It goes on whoever watches, and begins anew on another process where its own dies. `GET /runs/{run_id}` shows how
    it stands, `GET /runs/{run_id}/stream` what happens in it.
    """
    run = (await _begun(asked, _wanted(name, body, asked, background=True))).run
    return Response(
        native.response(run),
        status_code=202,
        media_type="application/json",
        headers={"Location": f"/runs/{run.run_id}", **run_headers(run)},
    )


async def _begun(asked: Asked, wanted: RunRequest) -> Started:
    """Begin or join the run, if the caller may begin one now; what is left of its rate is told with the answer."""
    parts = asked.parts
    if parts.rates is not None:
        allowance = await parts.rates.count(wanted.caller)
        asked.request.state.headers = allowance.headers
        if not allowance.allowed:
            raise RateLimited("The caller has begun as many runs as it may for now.", retry_after_s=allowance.reset_s)
    return await parts.runner.start(wanted)


def _wanted(name: str, body: RunIn, asked: Asked, *, background: bool = False) -> RunRequest:
    parts, key = asked.parts, asked.key
    limit = parts.settings.run_timeout_s
    asked.principal.must("run", name)
    caller = asked.principal.caller(either(asked.user, body.user_id, "X-User-ID", ["body", "user_id"]))
    if (length := body.length) > parts.settings.max_task_chars:
        raise InvalidInput(
            f"The task is longer than the {parts.settings.max_task_chars} characters that MAX_TASK_CHARS allows.",
            errors=[{"loc": ["body", "task"], "msg": f"Has {length} characters."}],
        )
    session_id = either(asked.session, body.session_id, "X-Session-ID", ["body", "session_id"])
    if body.webhook_url is not None:
        parts.webhooks.check(body.webhook_url)
    the_same = [name, session_id, body.model_dump(mode="json", exclude={"user_id", "session_id"})]
    return RunRequest(
        agent=name,
        task=body.to_task(),
        caller=caller,
        session_id=session_id or str(uuid7()),
        metadata=body.metadata,
        timeout_s=min(body.timeout_s or limit, limit),
        if_busy=body.if_busy,
        on_disconnect=body.on_disconnect or ("continue" if background else "cancel"),
        background=background,
        key=Key(key, sha256(orjson.dumps(the_same, option=orjson.OPT_SORT_KEYS)).digest()) if key else None,
        webhook_url=body.webhook_url,
    )


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
    """Whether the client goes before that is done; no task waits for it, as two would cost a run more than its body."""
    with anyio.CancelScope() as scope:
        finished.add_done_callback(lambda _: scope.cancel())
        while (await request.receive())["type"] != "http.disconnect":
            pass
    return not finished.done()
