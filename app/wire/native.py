"""Waggle's own protocol: server-sent events, and the `Run` as JSON (docs/api.md)."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict, fields
from typing import Any

import orjson

from app.events import (
    InputRequired,
    MessageAdded,
    Placed,
    Position,
    Run,
    RunEnded,
    RunEvent,
    RunRestarted,
    RunStarted,
    TextDelta,
    ThoughtDelta,
)

_ID = re.compile(r"(?P<run_id>[0-9a-f-]{36}):(?P<attempt>\d{1,9})-(?P<seq>\d{1,18})")
_OPTIONS = orjson.OPT_UTC_Z
_RETRY = b"retry: 1000\n"
"""How soon an EventSource comes back, in ms. By itself Firefox takes 5 s, when its run may be cancelled already."""

TYPES = (
    "run.started",
    "run.restarted",
    "text.delta",
    "thought.delta",
    "message",
    "input.required",
    "run.completed",
    "run.failed",
    "run.cancelled",
)
"""Of events."""

_TOLD_AT_THE_END = [field.name for field in fields(Run) if field.name != "messages"]
"""Of a run: its messages have been told before."""
_GOES_ON = b": reconnect with Last-Event-ID: the run goes on\n\n"


async def frames(run_id: str, events: AsyncIterator[list[Placed]]) -> AsyncGenerator[bytes, None]:
    """Server-sent events, as many in one piece of bytes as there were at once.

    The first has `retry` too: alone, it would be an empty event to some clients. A stream that has to end before its
    run does says so in a comment, which no client takes for one of the run's events.
    """
    retry, complete = _RETRY, False
    async for batch in events:
        yield retry + b"".join([_frame(run_id, place, event) for place, event in batch])
        retry, complete = b"", isinstance(batch[-1][1], RunEnded)
    if not complete:
        yield _GOES_ON


def response(finished: Run) -> bytes:
    """The `Run` as JSON."""
    return orjson.dumps(finished, option=_OPTIONS)


def last_seen(event_id: str) -> tuple[str, Position] | None:
    """The run and the place of the event that a `Last-Event-ID` names; None for what is no id of ours."""
    match = _ID.fullmatch(event_id)
    return (match["run_id"], Position(int(match["attempt"]), int(match["seq"]))) if match else None


def _frame(run_id: str, place: Position, event: RunEvent) -> bytes:
    data = orjson.dumps(_payload(run_id, place.seq, event), option=_OPTIONS)
    return b"id: %b:%d-%d\nevent: %b\ndata: %b\n\n" % (run_id.encode(), *place, event.type.encode(), data)


def _payload(run_id: str, seq: int, event: RunEvent) -> dict[str, Any]:
    payload: dict[str, Any] = {"type": event.type, "run_id": run_id, "seq": seq}
    match event:
        case TextDelta() | ThoughtDelta():
            payload |= {"source": event.source, "message_id": event.message_id, "delta": event.delta}
        case MessageAdded():
            payload["message"] = event.message
        case InputRequired():
            payload |= asdict(event.request)
        case RunStarted() | RunRestarted():
            payload |= {
                "agent": event.agent,
                "session_id": event.session_id,
                "trace_id": event.trace_id,
                "attempt": event.attempt,
            }
        case RunEnded():
            payload["run"] = {name: getattr(event.run, name) for name in _TOLD_AT_THE_END}
            if event.run.error is not None:
                payload["error"] = event.run.error
    return payload
