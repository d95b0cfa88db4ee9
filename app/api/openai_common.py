"""What the routes of OpenAI's protocols have in common."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict

from app.api.answering import as_answer, going_on
from app.api.beginning import Asked, begun, outcome_of
from app.api.streams import NO_HEADERS, RunStream, Write, started_stream
from app.events import Placed, Run
from app.runs.run import RunRequest, Started
from app.store.runs import Standing
from app.task import as_text
from app.wire.openai_error import error

PREFIX = "/v1/"
REWORDED = {422: 400}
"""Statuses that OpenAI has others for."""


class ErrorDetail(BaseModel):
    """What was wrong."""

    message: str
    type: str
    param: str | None
    code: str
    """The last word of the problem's type, `session_busy`."""
    run_id: str | None = None
    trace_id: str | None = None


class ErrorOut(BaseModel):
    """An error, as OpenAI has it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    error: ErrorDetail


@dataclass(frozen=True, slots=True)
class Spoken:
    """A run that a message began, or that it was the answer to: then only what follows the question is told."""

    asked: Asked
    started: Started
    events: AsyncIterator[list[Placed]] | None = None
    earlier: frozenset[str] = frozenset()
    """The messages that were told with the question."""

    def stream(self, write: Write) -> Response:
        parts, started = self.asked.parts, self.started
        if self.events is None:
            return started_stream(parts, started, write, until_asked=True)
        return RunStream(parts, started.run, self.events, None, write, asker=started.caller)

    async def outcome(self) -> Run:
        run = await outcome_of(self.asked, self.started)
        if not self.earlier:
            return run
        return replace(run, messages=[each for each in run.messages if each.id not in self.earlier])


async def spoken(asked: Asked, request: RunRequest, waiting: Standing | None) -> Spoken:
    """Let a run that waits for a person go on with what is said, or begin one with it."""
    if waiting is None:
        return Spoken(asked, await begun(asked, request))
    parts, caller = asked.parts, request.caller
    earlier = frozenset(message.id for message in (await parts.runs.get(waiting.run.run_id, caller)).messages)
    run, events = await going_on(parts, caller, waiting, as_answer(as_text(request.task), waiting))
    return Spoken(asked, Started(run, caller), events, earlier)


def run_id_of(response_id: str) -> str:
    """The run that a response is."""
    return response_id.removeprefix("resp_")


async def wire_of(protocol: Literal["openai_chat", "openai_responses"]) -> Any:
    """The module of that name, whose types of OpenAI's take 0.2 s to import, the first time."""
    if protocol not in _WIRES:  # `sys.modules` has it already while another request's thread is still at it
        _WIRES[protocol] = await asyncio.to_thread(import_module, f"app.wire.{protocol}")
    return _WIRES[protocol]


_WIRES: dict[str, Any] = {}


def as_json(content: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    return Response(content, media_type="application/json", headers=headers)


def worded(problem: Mapping[str, Any]) -> tuple[int, bytes, Mapping[str, str]]:
    """A problem as OpenAI's clients read them. The SDKs try no failed run again: its tools have been called."""
    status = REWORDED.get(problem["status"], problem["status"])
    return status, error(problem), {"x-should-retry": "false"} if problem.get("run_id") else {}
