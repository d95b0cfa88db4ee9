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
from app.errors import AppError, BodyTooLarge, RequestTimeout
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
                _protect(headers)
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception:
            status = 500  # it is answered outside
            raise
        finally:
            _log(scope, status, time.perf_counter() - began, request_id)


def _protect(headers: MutableHeaders) -> None:
    """What a browser is to make of an answer: take it for what it says it is, show it in no frame, keep it nowhere."""
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
    headers.setdefault("Cache-Control", "no-store")


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
    """A body larger than the limit is answered 413, whatever Content-Length said; one that takes too long, 408.

    What the client is still sending is read on and dropped, up to `DRAIN` times the limit and `DRAIN_S` seconds,
    so that it comes to read the answer instead of a reset connection.
    """

    TIMEOUT_S = 60.0
    """From the first piece that is waited for to the last."""
    DRAIN, DRAIN_S = 16, 10

    def __init__(self, app: ASGIApp, limit: int, metrics: Metrics) -> None:
        self._app = app
        self._limit = limit
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._limit, self.TIMEOUT_S)

        async def unless_refused(message: Message) -> None:
            if body.refusal is None:
                await send(message)

        with suppress(_RefusedError):  # answered below
            await self._app(scope, body.receive, unless_refused)
        if body.refusal is not None:
            self._metrics.rejected(body.refusal.kind)
            with anyio.move_on_after(self.DRAIN_S):
                await body.drain(self._limit * self.DRAIN)
            problem = body.refusal.problem(instance=scope["path"])
            await problem_response(problem, headers={"Connection": "close"})(scope, receive, send)


class _Body:
    """A request's body, until it is refused."""

    def __init__(self, receive: Receive, limit: int, timeout_s: float) -> None:
        self.refusal: AppError | None = None
        self._receive = receive
        self._limit = limit
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._size = 0
        self._more = True

    async def receive(self) -> Message:
        if not self._more:  # what comes now is that the client has gone
            return await self._receive()
        if self._deadline is None:
            self._deadline = anyio.current_time() + self._timeout_s
        message: Message | None = None
        with anyio.CancelScope(deadline=self._deadline):
            message = await self._receive()
        if message is None:
            raise self._refused(RequestTimeout(f"The body did not come within {self._timeout_s:.0f} seconds."))
        self._take(message)
        if self._size > self._limit:
            raise self._refused(
                BodyTooLarge(f"The body is larger than the {self._limit} bytes that MAX_BODY_BYTES allows.")
            )
        return message

    async def drain(self, limit: int) -> None:
        """Read on, up to so many bytes; not what is too slow."""
        while self._more and self._size <= limit and isinstance(self.refusal, BodyTooLarge):
            self._take(await self._receive())

    def _take(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        self._more = message.get("more_body", False)

    def _refused(self, error: AppError) -> "_RefusedError":
        self.refusal = error
        return _RefusedError()


class _RefusedError(Exception):
    pass
