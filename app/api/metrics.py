"""/metrics, for Prometheus."""

import asyncio

from fastapi import APIRouter, Response

from app.api.dependencies import PartsDep, PrincipalDep
from app.telemetry.exposition import together
from app.telemetry.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(parts: PartsDep, principal: PrincipalDep) -> Response:
    """The service's metrics in Prometheus' text format, of all its workers; docs/metrics.md has each of them."""
    principal.must_read_metrics()
    own, siblings = asyncio.to_thread(parts.telemetry.metrics.prometheus), parts.siblings
    if siblings is None:
        return Response(await own, media_type=CONTENT_TYPE)
    others, here = await asyncio.gather(siblings.ask("metrics"), own)
    return Response(together({siblings.worker.number: here, **others}), media_type=CONTENT_TYPE)
