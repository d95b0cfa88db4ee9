"""/agents: which there are; run one; stream one; run one in the background."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sse_starlette import EventSourceResponse

from app.agents.card import AgentCard
from app.api.beginning import RUN_PROBLEMS, Asked, AskedDep, Wanted, begun, outcome_of, request_of
from app.api.dependencies import CallerDep, JsonOnly, PartsDep, PrincipalDep
from app.api.problems import problems
from app.api.schemas import Items, OnDisconnect, RunIn, SessionId
from app.api.shortcut import Shortcut
from app.api.streams import (
    LOCATED,
    OF_A_RUN,
    STREAMED,
    LastEventId,
    finished_response,
    resumed,
    run_headers,
    started_stream,
)
from app.events import Run
from app.runs.run import RunRequest
from app.store.runs import IfBusy
from app.wire import native

router = APIRouter(prefix="/agents", tags=["agents"], route_class=Shortcut)


class AgentPage(Items[AgentCard]):
    """A page of agents."""


def _query(field: str, **bounds: Any) -> Any:
    """A parameter that is described as the body's field."""
    return Query(description=" ".join((RunIn.model_fields[field].description or "").split()), **bounds)


@router.get("", response_model=AgentPage)
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


@router.post(
    "/{name}/run", response_model=Run, responses=RUN_PROBLEMS | {200: {"headers": OF_A_RUN}}, dependencies=[JsonOnly]
)
async def run_agent(name: str, body: RunIn, asked: AskedDep) -> Response:
    """Run the agent to the end, and answer with the `Run`; a failed one is a problem with its status.

    A run that comes to wait for a person is answered as it then stands: `input_required`.
    """
    return finished_response(await outcome_of(asked, await begun(asked, _wanted(name, body, asked))))


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
    return started_stream(asked.parts, await begun(asked, wanted))


@router.get("/{name}/stream", response_class=EventSourceResponse, responses=RUN_PROBLEMS | STREAMED)
async def stream_agent_by_url(
    name: str,
    asked: AskedDep,
    caller: CallerDep,
    task: Annotated[str, Query(min_length=1, description="What the agent is asked.")],
    session_id: Annotated[SessionId | None, _query("session_id")] = None,
    timeout_s: Annotated[float | None, _query("timeout_s", gt=0, allow_inf_nan=False)] = None,
    if_busy: Annotated[IfBusy, _query("if_busy")] = "reject",
    on_disconnect: Annotated[OnDisconnect | None, _query("on_disconnect")] = None,
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
    return started_stream(asked.parts, await begun(asked, _wanted(name, body, asked)))


@router.post(
    "/{name}/runs",
    response_model=Run,
    status_code=202,
    responses=RUN_PROBLEMS | {202: {"headers": OF_A_RUN | LOCATED}},
    dependencies=[JsonOnly],
)
async def start_agent(name: str, body: RunIn, asked: AskedDep) -> Response:
    """Run the agent in the background, and answer at once with the `Run`, and its address as `Location`.

    It goes on whoever watches, and begins anew on another process where its own dies. `GET /runs/{run_id}` shows how
    it stands, `GET /runs/{run_id}/stream` what happens in it.
    """
    run = (await begun(asked, _wanted(name, body, asked, background=True))).run
    return Response(
        native.response(run),
        status_code=202,
        media_type="application/json",
        headers={"Location": f"/runs/{run.run_id}", **run_headers(run)},
    )


def _wanted(name: str, body: RunIn, asked: Asked, *, background: bool = False) -> RunRequest:
    return request_of(
        asked,
        Wanted(
            agent=name,
            task=body.to_task(),
            body=body.model_dump(mode="json", exclude={"user_id", "session_id"}),
            session_id=body.session_id,
            user_id=body.user_id,
            metadata=body.metadata,
            timeout_s=body.timeout_s,
            if_busy=body.if_busy,
            on_disconnect=body.on_disconnect,
            background=background,
            webhook_url=body.webhook_url,
        ),
    )
