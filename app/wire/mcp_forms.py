"""Questions as forms that an MCP client shows its user: flat objects of strings, numbers and choices."""

from collections.abc import Mapping
from typing import Any

from mcp import types

from app.events import InputRequest

_PRIMITIVE = ("string", "number", "integer", "boolean")


def form_of(request: InputRequest) -> dict[str, Any] | None:
    """The schema of the form; None where a form cannot hold the answer. What it cannot hold, but may lack, is left out.

    https://modelcontextprotocol.io/specification/2025-06-18/client/elicitation#requested-schema
    """
    if request.schema is None:
        return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    asked: Mapping[str, Any] = request.schema.get("properties", {})
    fields = {name: field for name, schema in asked.items() if (field := _field(schema)) is not None}
    required = request.schema.get("required", [])
    if not fields or not set(required) <= set(fields):
        return None
    return {"type": "object", "properties": fields, "required": required}


def answered(request: InputRequest, result: types.ElicitResult) -> Any:
    """What the user said to that question; None where there is to be no answer."""
    if result.action != "accept" or result.content is None:
        return None
    return result.content.get("answer") if request.schema is None else result.content


def _field(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    options = schema.get("enum")
    if options and all(isinstance(option, str) for option in options):
        return {**schema, "type": "string"}
    return dict(schema) if schema.get("type") in _PRIMITIVE else None
