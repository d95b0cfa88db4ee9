"""What the routes of OpenAI's protocols have in common."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict

from app.api.streams import NO_HEADERS
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


def run_id_of(response_id: str) -> str:
    """The run that a response is."""
    return response_id.removeprefix("resp_")


async def wire_of(protocol: Literal["openai_chat", "openai_responses"]) -> Any:
    """The module of that name, whose types of OpenAI's take 0.2 s to import, the first time."""
    return await asyncio.to_thread(import_module, f"app.wire.{protocol}")


def as_json(content: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    return Response(content, media_type="application/json", headers=headers)


def worded(problem: Mapping[str, Any]) -> tuple[int, bytes, Mapping[str, str]]:
    """A problem as OpenAI's clients read them. The SDKs try no failed run again: its tools have been called."""
    status = REWORDED.get(problem["status"], problem["status"])
    return status, error(problem), {"x-should-retry": "false"} if problem.get("run_id") else {}
