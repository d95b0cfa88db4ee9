"""Runs as answers: an event stream, which is one viewer of the run, and the `Run` or the problem it failed with."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Annotated, Any, Literal

from fastapi import Header, Response
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Message, Send

from app.api.dependencies import Parts
from app.api.patience import OverdueError, Patience
from app.api.problems import problem_response
from app.caller import Caller
from app.errors import EventsGone, NotFound, RunLost, Unavailable
from app.events import InputRequired, Placed, Position, Run, RunStatus
from app.runs.run import LiveRun, Started
from app.wire import native

logger = logging.getLogger(__name__)

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The last event seen: the stream goes on after it.")
]
RETRY_S = 5
"""When to try again, where the run went with its process."""
_GONE_WITH_PROCESS = {f"urn:waggle:problem:{error.kind}" for error in (Unavailable, RunLost)}
OF_A_RUN: dict[str, Any] = {
    "X-Run-ID": {"description": "The run's id.", "required": True, "schema": {"type": "string"}},
    "X-Session-ID": {"description": "The session's id.", "required": True, "schema": {"type": "string"}},
}
"""The headers of `run_headers`."""
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: the `data` of each is a `RunEvent`, its `event` that one's `type`.",
        "headers": OF_A_RUN,
        "content": {
            "text/event-stream": {
                "schema": {"$ref": "#/components/schemas/RunEvent"},
                "example": (
                    "retry: 1000\nid: 01a20781-9932-75c8-970a-91e8e87a51e7:1-3\nevent: text.delta\n"
                    'data: {"type":"text.delta","run_id":"01a20781-9932-75c8-970a-91e8e87a51e7","seq":3,'
                    '"source":"assistant","message_id":"e7204d4a-2f0c-4b8e-9d35-0a9f6d1c7b52","delta":"Bees"}\n\n'
                ),
            }
        },
    },
    204: {
        "description": "Nothing follows that event: the run has ended, and an EventSource stops.",
        "headers": OF_A_RUN,
    },
}
"""The `responses` of a route that streams."""


LOCATED = {"Location": {"description": "The new one's address.", "required": True, "schema": {"type": "string"}}}


NO_HEADERS: Mapping[str, str] = MappingProxyType({})
Write = Callable[[AsyncIterator[list[Placed]]], AsyncGenerator[bytes, None]]


class RunStream(EventSourceResponse):
    """One viewer of a run: it watches from its creation until the connection is done, however that ends.

    `write` makes the protocol's frames of the events; where there is an `asker`, up to a question that is not answered
    yet. The request that executes the run lasts until that is over, watched or not: its span is the run's root.
    """

    def __init__(
        self,
        parts: Parts,
        run: Run,
        events: AsyncIterator[list[Placed]],
        live: LiveRun | None,
        write: Write,
        headers: Mapping[str, str] = NO_HEADERS,
        asker: Caller | None = None,
    ) -> None:
        self._run = run
        self._runs = parts.runs
        self._asker = asker
        self._live = live
        self._metrics = parts.telemetry.metrics
        self._watch = parts.runner.audience.watch(run.run_id)
        self._settings = parts.settings
        self._ended: Literal["left", "max", "idle"] | None = "left"
        self._patience = Patience()
        self._clock = asyncio.get_running_loop().time
        self._frames = write(self._seen(events))
        super().__init__(
            self._frames,
            headers={"Cache-Control": "no-cache", **run_headers(run), **headers},
            sep="\n",
            send_timeout=parts.settings.stream_send_timeout_s,
        )

    async def __call__(self, *asgi: Any) -> None:
        try:
            await super().__call__(*asgi)
        except SendTimeoutError:
            timeout_s = self._settings.stream_send_timeout_s
            logger.info("A viewer of run %s took nothing for %g s: dropped", self._run.run_id, timeout_s)
            self._metrics.disconnected("slow")
        else:
            if self._ended is not None:
                self._metrics.disconnected(self._ended)
        finally:
            self._watch.close()
            self._patience.close()
        if self._live is not None:
            await asyncio.wait([self._live.finished])

    async def _stream_response(self, send: Send) -> None:
        """As the base class has it, but for its cancel scope around each frame, which costs more than the frame."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._frames) as frames:
            async for frame in frames:
                await self._take(send, {"type": "http.response.body", "body": frame, "more_body": True})
        async with self._send_lock:
            self.active = False
            await self._take(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _take(self, send: Send, message: Message) -> None:
        try:
            with self._patience.until(self._clock() + self._settings.stream_send_timeout_s):
                await send(message)
        except OverdueError:
            raise SendTimeoutError from None

    async def _seen(self, events: AsyncIterator[list[Placed]]) -> AsyncIterator[list[Placed]]:
        """All of them, unless it takes too long; then `native.frames` says to come back."""
        over = self._clock() + (self._settings.stream_max_s or inf)
        idle_s = self._settings.stream_idle_s or inf
        while (now := self._clock()) < over:
            try:
                with self._patience.until(min(over, now + idle_s)):
                    batch = await anext(events, None)
            except OverdueError:
                self._ended = "max" if over <= now + idle_s else "idle"
                return
            if batch is None:
                self._ended = None
                return
            yield batch
            if isinstance(batch[-1][1], InputRequired) and await self._waits():
                self._ended = None
                return
        self._ended = "max"

    async def _waits(self) -> bool:
        if self._asker is None:
            return False
        try:
            return (await self._runs.standing(self._run.run_id, self._asker)).run.input_request is not None
        except (NotFound, Unavailable):
            return True  # whoever asks again is told what became of it


def started_stream(
    parts: Parts,
    started: Started,
    write: Write | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    *,
    until_asked: bool = False,
) -> Response:
    """The events of a run that this request started, or joined; in Waggle's own protocol, unless another is written."""
    write = write or partial(native.frames, started.run.run_id)
    asker = started.caller if until_asked else None
    return RunStream(parts, started.run, parts.viewing.follow(started), started.live, write, headers, asker)


async def resumed(parts: Parts, caller: Caller, event_id: str) -> Response:
    """Go on after the event, never with another run: 204 after the end, which stops an EventSource."""
    seen = native.last_seen(event_id)
    if seen is None:
        raise EventsGone("There are no events after that id: GET /runs/{run_id} has the run's outcome.")
    parts.telemetry.metrics.resumed()
    return await joined(parts, caller, *seen)


async def joined(
    parts: Parts,
    caller: Caller,
    run_id: str,
    after: Position | None,
    write: Write | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    *,
    until_asked: bool = False,
) -> Response:
    """Watch a run from the start, or from after that event."""
    view = await parts.viewing.open(run_id, caller, after)
    if view.events is None:
        return Response(status_code=204, headers=run_headers(view.run))
    write = write or partial(native.frames, run_id)
    return RunStream(parts, view.run, view.events, None, write, headers, caller if until_asked else None)


def run_headers(run: Run) -> dict[str, str]:
    return {"X-Run-ID": run.run_id, "X-Session-ID": run.session_id}


def finished_response(run: Run) -> Response:
    """The `Run`, or the problem that it failed with."""
    if run.status is RunStatus.FAILED and run.error is not None:
        again = run.error.get("retry_after_s") or (RETRY_S if run.error["type"] in _GONE_WITH_PROCESS else None)
        return problem_response(run.error, headers=run_headers(run), retry_after_s=again)
    return Response(native.response(run), media_type="application/json", headers=run_headers(run))
