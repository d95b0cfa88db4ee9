"""/runs: what became of them."""

from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict
from sse_starlette import EventSourceResponse

from app.api.dependencies import CallerDep, Cursor, JsonOnly, Limit, PartsDep, cursor_of, place_of
from app.api.problems import problems
from app.api.schemas import AnswerIn, FeedbackIn, Items
from app.api.streams import OF_A_RUN, STREAMED, LastEventId, joined, resumed, run_headers
from app.errors import EventsGone
from app.events import Run
from app.store.said import Feedback
from app.wire import native

router = APIRouter(prefix="/runs", tags=["runs"])


class FeedbackPage(Items[Feedback]):
    """A page of what was said of a run."""


class SpanEvent(BaseModel):
    """What happened in a span at one moment."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """What it was."""
    time: datetime
    """When."""
    attributes: dict[str, Any]
    """What is known of it."""


class Span(BaseModel):
    """A step of a run."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """What is done."""
    span_id: str
    """16 hex digits."""
    parent_id: str | None
    """The span that it is a part of; of the run's own it may be the client's."""
    kind: str
    """OpenTelemetry's: `internal`, `client`, `server`, `producer` or `consumer`."""
    start: datetime | None
    """When it began."""
    end: datetime | None
    """When it ended; null until then."""
    duration_ms: float | None
    """How long it took."""
    status: str
    """OpenTelemetry's: `unset`, `ok` or `error`."""
    attributes: dict[str, Any]
    """What is known of it, as docs/tracing.md has it."""
    events: list[SpanEvent]
    """In their order."""
    children: list["Span"]
    """Its parts, in order of their start."""


class Trace(BaseModel):
    """What was done in a run."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    run_id: str
    """The run."""
    trace_id: str
    """32 hex digits: the same in other trace backends."""
    spans: list[Span]
    """Those that are part of no other, with their parts in them."""


@router.get("/{run_id}", response_model=Run, responses=problems(404) | {200: {"headers": OF_A_RUN}})
async def get_run(run_id: str, parts: PartsDep, caller: CallerDep) -> Response:
    """The `Run` as it stands; its messages once it has ended."""
    return _answer(await parts.runs.get(run_id, caller))


@router.get("/{run_id}/stream", response_class=EventSourceResponse, responses=problems(404, 410) | STREAMED)
async def stream_run(run_id: str, parts: PartsDep, caller: CallerDep, last_event_id: LastEventId = None) -> Response:
    """Watch the run: its events from the start, or after `Last-Event-ID`; 204 where there are none after it."""
    if not last_event_id:
        return await joined(parts, caller, run_id, None)
    seen = native.last_seen(last_event_id)
    if seen is None or seen[0] != run_id:
        raise EventsGone("That is no event of this run: without Last-Event-ID the stream begins at its start.")
    return await resumed(parts, caller, last_event_id)


@router.post(
    "/{run_id}/input",
    response_model=Run,
    status_code=202,
    responses=problems(400, 404, 409, 413, 415, 422) | {202: {"headers": OF_A_RUN}},
    dependencies=[JsonOnly],
)
async def answer_run(run_id: str, body: AnswerIn, parts: PartsDep, caller: CallerDep) -> Response:
    """Answer the question that the run waits with, and let it go on; the same answer twice is one."""
    run = await parts.control.answer(run_id, caller, body.input_id, body.input)
    return _answer(run, status_code=202)


@router.post("/{run_id}/cancel", response_model=Run, responses=problems(404) | {200: {"headers": OF_A_RUN}})
async def cancel_run(run_id: str, parts: PartsDep, caller: CallerDep) -> Response:
    """Stop the run. Answers with the `Run` once it has really stopped; one that has ended stays as it is."""
    return _answer(await parts.control.cancel(run_id, caller))


@router.post(
    "/{run_id}/feedback", status_code=204, responses=problems(400, 404, 413, 415, 422), dependencies=[JsonOnly]
)
async def give_feedback(run_id: str, body: FeedbackIn, parts: PartsDep, caller: CallerDep) -> None:
    """Say how good the run was: kept with it, and told to the trace backends."""
    await parts.control.feedback(run_id, caller, score=body.score, label=body.label, comment=body.comment)


@router.get("/{run_id}/feedback", response_model=FeedbackPage, responses=problems(404, 422))
async def list_feedback(
    run_id: str, parts: PartsDep, caller: CallerDep, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """What was said of the run, the latest first."""
    place = place_of(cursor, str)
    items = await parts.control.told(run_id, caller, limit + 1, place[0] if place else None)
    last = items[limit - 1] if len(items) > limit else None
    page = {"items": items[:limit], "next_cursor": cursor_of([last.feedback_id]) if last else None}
    return Response(orjson.dumps(page, option=orjson.OPT_UTC_Z), media_type="application/json")


@router.get("/{run_id}/trace", response_model=Trace, responses=problems(404, 410))
async def get_trace(run_id: str, parts: PartsDep, caller: CallerDep) -> dict[str, Any]:
    """The run's spans as a tree, from the built-in store; a span that has not ended has no `end`."""
    run = await parts.runs.get(run_id, caller)
    spans = parts.telemetry.store.tree(run.trace_id, run.run_id)
    if not spans and parts.siblings is not None:
        found = await parts.siblings.ask(f"trace {run.trace_id} {run.run_id}")
        spans = next((orjson.loads(each) for each in found.values()), [])
    if not spans:
        raise EventsGone("The trace of this run is no longer kept here, or was made by another process.")
    return {"run_id": run.run_id, "trace_id": run.trace_id, "spans": spans}


def _answer(run: Run, status_code: int = 200) -> Response:
    return Response(
        native.response(run), status_code=status_code, media_type="application/json", headers=run_headers(run)
    )
