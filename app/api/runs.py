"""/runs: what became of them."""

from typing import Any

from fastapi import APIRouter, Response

from app.api.dependencies import CallerDep, JsonOnly, PartsDep
from app.api.problems import problems
from app.api.schemas import FeedbackIn
from app.errors import EventsGone
from app.events import Run
from app.wire import native

router = APIRouter(prefix="/runs", tags=["runs"])


@router.get("/{run_id}", response_model=Run, responses=problems(404))
async def get_run(run_id: str, parts: PartsDep, caller: CallerDep) -> Response:
    """The `Run` as it stands; its messages once it has ended."""
    return _answer(await parts.runs.get(run_id, caller))


@router.post("/{run_id}/cancel", response_model=Run, responses=problems(404))
async def cancel_run(run_id: str, parts: PartsDep, caller: CallerDep) -> Response:
    """Stop the run. Answers with the `Run` once it has really stopped; one that has ended stays as it is."""
    return _answer(await parts.runner.cancel(run_id, caller))


@router.post("/{run_id}/feedback", status_code=204, responses=problems(404, 415, 422), dependencies=[JsonOnly])
async def give_feedback(run_id: str, body: FeedbackIn, parts: PartsDep, caller: CallerDep) -> None:
    """Say how good the run was: kept with it, and told to the trace backends."""
    await parts.runner.feedback(run_id, caller, score=body.score, label=body.label, comment=body.comment)


@router.get("/{run_id}/trace", responses=problems(404, 410))
async def get_trace(run_id: str, parts: PartsDep, caller: CallerDep) -> dict[str, Any]:
    """The run's spans as a tree, from the built-in store; a span that has not ended has no `end`."""
    run = await parts.runs.get(run_id, caller)
    spans = parts.telemetry.store.tree(run.trace_id, run.run_id)
    if not spans:
        raise EventsGone("The trace of this run is no longer kept here, or was made by another process.")
    return {"run_id": run.run_id, "trace_id": run.trace_id, "spans": spans}


def _answer(run: Run) -> Response:
    headers = {"X-Run-ID": run.run_id, "X-Session-ID": run.session_id}
    return Response(native.response(run), media_type="application/json", headers=headers)
