"""/export: everything that is kept of the caller."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.api.dependencies import CallerDep, PartsDep, PrincipalDep
from app.api.problems import problems

router = APIRouter(tags=["sessions"])


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}}}, **problems(401, 403)},
)
async def export(parts: PartsDep, principal: PrincipalDep, caller: CallerDep) -> StreamingResponse:
    """Everything that is kept of the caller, one JSON object a line; its last one is of `type` `end`.

    Sessions, their saved states and messages, runs, the questions they asked with the answers, and feedback.
    """
    principal.must("read", "*")
    lines = parts.export.lines(caller)
    return StreamingResponse(lines, media_type="application/jsonl", headers={"Cache-Control": "no-store"})
