"""GET /: the playground, a page of static files that knows of the service what any client may ask it.

Its script, style and pictures are this service's own, and its policy lets nothing else in: what a model writes is
shown, and never executed. The files are for everybody, since a page cannot ask for a key before it is there; they say
nothing of the deployment, so where traces are to be found is a question of its own, behind the gate.
"""

import mimetypes
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.api.dependencies import PartsDep, Permitted
from app.api.identity.gate import STATIC

FOLDER = Path(__file__).parents[1] / "playground"
HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked for again with its ETag: a new release is seen at once
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}

router = APIRouter(include_in_schema=False)


class Files(StaticFiles):
    """The page's files, each with its ETag."""

    def file_response(self, full_path: object, stat_result: object, scope: Scope, status_code: int = 200) -> Response:
        response: Response = super().file_response(full_path, stat_result, scope, status_code)  # type: ignore[arg-type]
        response.headers.update(HEADERS)
        return response


FILES = Files(directory=FOLDER)


def install(app: FastAPI) -> None:
    """Serve the page, and its files below STATIC, which the gate has open."""
    mimetypes.init()  # reads the system's tables, which the event loop must not
    app.include_router(router, dependencies=[Permitted])
    app.mount(STATIC, FILES)


@router.get("/")
async def page(request: Request) -> Response:
    """The playground."""
    return await FILES.get_response("index.html", request.scope)


@router.get("/playground.json")
async def playground(parts: PartsDep) -> dict[str, str | None]:
    """Where a trace is to be found elsewhere: addresses, with its id or HoneyHive's of the session left out."""
    return {"trace": parts.settings.trace_url_template, "honeyhive": parts.settings.hh_url_template}
