"""/metrics, for Prometheus."""

from fastapi import APIRouter, Response

from app.api.dependencies import PartsDep
from app.telemetry.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(parts: PartsDep) -> Response:
    """The service's metrics in Prometheus' text format; docs/metrics.md has each of them."""
    return Response(parts.telemetry.metrics.prometheus(), media_type=CONTENT_TYPE)
