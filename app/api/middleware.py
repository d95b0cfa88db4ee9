"""Pure ASGI: what holds for every request. Streams pass through untouched."""

import logging
import re
import time
from contextlib import suppress
from uuid import uuid4

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.errors import BodyTooLarge
from app.telemetry.logs import fields
from app.telemetry.metrics import Metrics
from app.telemetry.provider import traceresponse

logger = logging.getLogger(__name__)
_PROBES = {"/livez", "/readyz", "/metrics"}
"""Asked every few seconds."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Named:
    """Each answer says which request and which trace it belongs to, and one line of the log tells the same.

    `X-Request-ID` is the client's own, where it sent a plain one; `traceresponse` is
    https://w3c.github.io/trace-context/#traceresponse-header. `state.headers` are what a route adds to any answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        trace = traceresponse()
        state = scope.setdefault("state", {})
        began = time.perf_counter()
        status = 499  # nobody waited for an answer

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                if trace is not None:
                    headers["traceresponse"] = trace
                headers.update(state.get("headers", {}))
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception:
            status = 500  # it is answered outside
            raise
        finally:
            _log(scope, status, time.perf_counter() - began, request_id)


def _log(scope: Scope, status: int, seconds: float, request_id: str) -> None:
    route = getattr(scope.get("route"), "path", None)
    level = logging.DEBUG if route in _PROBES else logging.INFO
    if logger.isEnabledFor(level):
        told = fields(
            method=scope["method"],
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            request_id=request_id,
        )
        logger.log(level, "Request", extra=told)


class BodyLimit:
    """A body larger than the limit is answered 413, whatever Content-Length said.

    What the client is still sending is read on and dropped, up to `DRAIN` times the limit and `DRAIN_S` seconds,
    so that it comes to read the answer instead of a reset connection.
    """

    DRAIN, DRAIN_S = 16, 10

    def __init__(self, app: ASGIApp, limit: int, metrics: Metrics) -> None:
        self._app = app
        self._limit = limit
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise _TooLargeError
            return message

        async def unless_too_large(message: Message) -> None:
            if size <= self._limit:
                await send(message)

        with suppress(_TooLargeError):  # answered below
            await self._app(scope, counted, unless_too_large)
        if size > self._limit:
            self._metrics.rejected(BodyTooLarge.kind)
            more = True
            with anyio.move_on_after(self.DRAIN_S):
                while more and size <= self._limit * self.DRAIN:
                    message = await receive()
                    size += len(message.get("body", b""))
                    more = message.get("more_body", False)
            error = BodyTooLarge(f"The body is larger than the {self._limit} bytes that MAX_BODY_BYTES allows.")
            await problem_response(error.problem(instance=scope["path"]))(scope, receive, send)


class _TooLargeError(Exception):
    pass
