"""What the routes of OpenAI's protocols have in common."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict

from app.api.streams import NO_HEADERS
from app.wire import openai_chat

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


def as_json(content: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    return Response(content, media_type="application/json", headers=headers)


def worded(problem: Mapping[str, Any]) -> tuple[int, bytes, Mapping[str, str]]:
    """A problem as OpenAI's clients read them. The SDKs try no failed run again: its tools have been called."""
    status = REWORDED.get(problem["status"], problem["status"])
    return status, openai_chat.error(problem), {"x-should-retry": "false"} if problem.get("run_id") else {}
