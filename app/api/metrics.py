"""/metrics, for Prometheus."""

from fastapi import APIRouter, Response

from app.api.dependencies import PartsDep, PrincipalDep
from app.telemetry.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(parts: PartsDep, principal: PrincipalDep) -> Response:
    """The service's metrics in Prometheus' text format; docs/metrics.md has each of them."""
    principal.must_read_metrics()
    return Response(parts.telemetry.metrics.prometheus(), media_type=CONTENT_TYPE)
