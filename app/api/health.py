"""/livez and /readyz, for whoever runs the service."""

from typing import Any, Literal

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from app.api.dependencies import Parts, PartsDep
from app.errors import Unavailable
from app.store.page import Pages

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process is up."""
    return {"status": "ok"}


class Check(BaseModel):
    """How a part is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: Literal["ok", "degraded", "failed"]
    """A degraded part keeps no run from being taken."""
    reason: str | None = None
    """What is wrong with it."""
    invalid: list[dict[str, str]] | None = None
    """Of `agents`: the `name` of each whose file is broken, and the `reason`."""


class Readiness(BaseModel):
    """Whether a run can be taken."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: Literal["ready", "unready"]
    """Unready where a part has failed."""
    checks: dict[str, Check]
    """Each part by its name."""


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"description": "The same, where a part fails.", "model": Readiness}},
)
async def readyz(parts: PartsDep) -> Response:
    """Whether a run can be taken: 503 names each part that fails. Broken agents are named too, and fail nothing."""
    checks = {"database": await _database(parts), "model": _model(parts), "runs": _runs(parts)}
    ready = all(check["status"] != "failed" for check in checks.values())
    if parts.pages is not None:
        checks["events"] = await _events(parts.pages)
    if (problem := parts.identity.keys.problem) is not None:
        reason = f"{problem}; the keys that it had before stay in force"
        checks["credentials"] = {"status": "degraded", "reason": reason}
    invalid = [
        {"name": card.name, "reason": card.reason} for card in parts.registry.cards.values() if card.status == "invalid"
    ]
    body = {
        "status": "ready" if ready else "unready",
        "checks": checks | {"agents": {"status": "degraded" if invalid else "ok", "invalid": invalid}},
    }
    return Response(orjson.dumps(body), status_code=200 if ready else 503, media_type="application/json")


async def _database(parts: Parts) -> dict[str, Any]:
    try:
        await parts.database.ping()
    except Unavailable as error:
        return {"status": "failed", "reason": error.detail}
    return {"status": "ok"}


async def _events(pages: Pages) -> dict[str, Any]:
    """Without them, viewers of runs that are executed elsewhere wait; nothing else does."""
    try:
        await pages.ping()
    except Unavailable as error:
        return {"status": "degraded", "reason": error.detail}
    return {"status": "ok"}


def _model(parts: Parts) -> dict[str, Any]:
    problem = parts.registry.models.problem()
    if problem:
        return {"status": "failed", "reason": problem}
    if down := parts.registry.breakers.open():  # every process finds it so: to take one out would help nobody
        return {"status": "degraded", "reason": f"Taken to be down: {', '.join(down)}."}
    return {"status": "ok"}


def _runs(parts: Parts) -> dict[str, Any]:
    return {"status": "ok"} if parts.runner.accepting else {"status": "failed", "reason": "shutting down"}
