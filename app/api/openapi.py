"""What `/openapi.json` says of every operation alike, so that no route has to: credentials, problems, headers.

FastAPI knows none of the answers that are given before a route is reached, and describes its own 422 instead of ours.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from app.api import openai_common
from app.api.identity.gate import PUBLIC
from app.api.problems import MEDIA_TYPE, problems
from app.settings import Settings

SCHEME = "credentials"
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, or a token of the OpenID Connect provider that the service trusts.",
}
EVERYWHERE = (403, 421, 422, 500, 503)
"""Another site's page, or scopes; another service's name; a parameter; a mistake of ours; a database that is away."""
WITH_A_BODY = (400, 408, 413, 415)
NAMED: dict[str, Any] = {
    "X-Request-ID": {
        "description": "The request's own, where it had a plain one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "traceresponse": {
        "description": "The request's trace (W3C Trace Context).",
        "schema": {"type": "string"},
    },
}
AGAIN = {"Retry-After": {"description": "When to try again, in seconds.", "schema": {"type": "integer"}}}


def describe(app: FastAPI, settings: Settings) -> None:
    """Complete the description that FastAPI makes of the routes."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        return _completed(made(), settings) if app.openapi_schema is None else app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def _completed(schema: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The same object, which FastAPI keeps."""
    for path, operation in _operations(schema):
        asked = settings.asks_for_credentials and path not in PUBLIC
        statuses = EVERYWHERE + (WITH_A_BODY if "requestBody" in operation else ()) + ((401,) if asked else ())
        _answers(operation["responses"], statuses)
        if path.startswith(openai_common.PREFIX):
            _worded(operation["responses"])
        if settings.asks_for_credentials and not asked:
            operation["security"] = []
    if settings.asks_for_credentials:
        schema["components"]["securitySchemes"] = {SCHEME: BEARER}
        schema["security"] = [{SCHEME: []}]
    error = openai_common.ErrorOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schema["components"]["schemas"] |= {**error.pop("$defs"), error["title"]: error}
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    return schema


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            yield path, operation


def _answers(responses: dict[str, Any], statuses: tuple[int, ...]) -> None:
    """Problems are problems alone, and each answer has its headers."""
    ours = {str(status): answer for status, answer in problems(*statuses).items()}
    del responses["422"]
    for status, answer in ours.items():
        answer.pop("model")
        responses.setdefault(status, answer)
    for status, answer in responses.items():
        if MEDIA_TYPE in (content := answer.get("content", {})):
            content.pop("application/json", None)
        answer["headers"] = NAMED | (AGAIN if status in ("409", "429", "503") else {}) | answer.get("headers", {})


def _worded(responses: dict[str, Any]) -> None:
    """Problems as OpenAI's clients get them."""
    for ours, theirs in openai_common.REWORDED.items():
        responses[str(theirs)] = responses.pop(str(ours))
    for answer in responses.values():
        if answer.get("content", {}).pop(MEDIA_TYPE, None) is not None:
            answer["content"]["application/json"] = {"schema": {"$ref": "#/components/schemas/ErrorOut"}}
