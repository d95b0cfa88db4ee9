"""What `/openapi.json` says of every operation alike, so that no route has to: credentials, problems, headers.

FastAPI knows none of the answers that are given before a route is reached, and describes its own 422 instead of ours.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.agents.card import AgentCard, ParticipantCard, ToolCard
from app.api import openai_common
from app.api.docstrings import Told, docstrings, sources
from app.api.events import Events, RunEvent
from app.api.identity.gate import PUBLIC
from app.api.problems import MEDIA_TYPE, problems
from app.events import InputRequest, Run, Usage
from app.messages import Message
from app.settings import Settings
from app.store.history import Version
from app.store.said import Feedback
from app.store.sessions import Session

SCHEME = "credentials"
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, or a token of the OpenID Connect provider that the service trusts.",
}
TAGS = {
    "agents": "Which agents there are, and running them.",
    "runs": "What became of runs: their events and traces, answers to what they ask, feedback.",
    "sessions": "Conversations, their forks and the way back in them.",
    "openai": "OpenAI's protocols: chat completions and responses.",
    "ai-sdk": "The UI message stream of Vercel's AI SDK.",
    "ag-ui": "AG-UI, the protocol of CopilotKit.",
    "mcp": "Agents as tools, over MCP.",
    "a2a": "Agents for other agents, over A2A.",
    "health": "For whoever runs the service.",
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
RATES = {
    f"RateLimit-{name}": {"description": f"{text}, where RATE_LIMIT is set.", "schema": {"type": kind}}
    for name, kind, text in (
        ("Limit", "integer", "How many runs may be begun"),
        ("Remaining", "integer", "How many more may be"),
        ("Reset", "integer", "Seconds until all may be again"),
        ("Policy", "string", "The limit and its seconds"),
    )
}
IN_PATHS = {
    "name": "The agent's name.",
    "run_id": "The run's id.",
    "session_id": "The session's id.",
    "response_id": "The response's id.",
}
UNROUTED: dict[str, Any] = {"ErrorOut": openai_common.ErrorOut, "RunEvent": RunEvent}
REFERENCE = "#/components/schemas/{model}"
PROBLEM = {"$ref": "#/components/schemas/Problem"}
VALUES = (
    *(Run, Usage, InputRequest, *get_args(Message)),
    *(Session, Version, Feedback, AgentCard, ToolCard, ParticipantCard),
    *get_args(Events),
)
"""The domain's own, and events."""
MESSAGES = {"type": "array", "items": {"$ref": "#/components/schemas/Message"}}


def named(route: APIRoute) -> str:
    """The `operationId`: the function's name alone, which is one of a method too."""
    return route.name


def describe(app: FastAPI, settings: Settings) -> None:
    """Complete the description that FastAPI makes of the routes."""
    made, texts = app.openapi, sources(VALUES)

    def openapi() -> dict[str, Any]:
        return _completed(made(), settings, texts) if app.openapi_schema is None else app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def _completed(schema: dict[str, Any], settings: Settings, texts: Mapping[str, str]) -> dict[str, Any]:
    """The same object, which FastAPI keeps."""
    for path, operation in _operations(schema):
        asked = settings.asks_for_credentials and path not in PUBLIC
        statuses = EVERYWHERE + (WITH_A_BODY if "requestBody" in operation else ()) + ((401,) if asked else ())
        _parameters(operation.get("parameters", ()))
        _answers(operation["responses"], statuses)
        if path.startswith(openai_common.PREFIX):
            _worded(operation["responses"])
        if settings.asks_for_credentials and not asked:
            operation["security"] = []
    if settings.asks_for_credentials:
        schema["components"]["securitySchemes"] = {SCHEME: BEARER}
        schema["security"] = [{SCHEME: []}]
    used = {tag for _, operation in _operations(schema) for tag in operation["tags"]}
    schema["tags"] = [{"name": name, "description": text} for name, text in TAGS.items() if name in used]
    _shapes(schema["components"]["schemas"], docstrings(texts))
    schema["components"]["headers"] = dict(_shared_headers(schema))
    return schema


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            yield path, operation


def _shared_headers(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each once, instead of with every answer."""
    for _, operation in _operations(schema):
        for answer in operation["responses"].values():
            for name, header in answer["headers"].items():
                yield name, header
                answer["headers"][name] = {"$ref": f"#/components/headers/{name}"}


def _shapes(schemas: dict[str, Any], told: Told) -> None:
    """Beside FastAPI's: what no route has as its model, and what the domain's values do not say of themselves."""
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if "Run" not in schemas:  # a worker has probes alone
        return
    for name, kind in UNROUTED.items():
        shape = TypeAdapter(kind).json_schema(ref_template=REFERENCE)
        for other, found in (shape.pop("$defs") | {name: shape}).items():
            schemas.setdefault(other, found)
    schemas["Run"]["properties"]["messages"] |= MESSAGES
    schemas["Run"]["properties"]["error"]["anyOf"][0] = PROBLEM
    for value in VALUES:
        _described(value, schemas[value.__name__], told)
    fields = {name: field for name, field in schemas["Run"]["properties"].items() if name != "messages"}
    schemas["Outcome"] |= {"properties": fields, "required": list(fields)}


def _described(value: type, shape: dict[str, Any], told: Told) -> None:
    """In an answer every field is there, and none has a default."""
    fields = shape["properties"]
    shape["required"] = list(fields)
    for field in fields.values():
        field.pop("default", None)
    for base in value.__mro__:
        for name, text in told.get((base.__module__, base.__name__), {}).items():
            fields[name]["description"] = text


def _parameters(parameters: Any) -> None:
    """Nothing can be sent as null in a header or a query: what may be null there is what may be left out."""
    for each in parameters:
        schema = each["schema"]
        for choice in schema.pop("anyOf", ()):
            schema |= choice if choice != {"type": "null"} else {}
        if each["in"] == "path":
            each["description"] = IN_PATHS[each["name"]]


def _answers(responses: dict[str, Any], statuses: tuple[int, ...]) -> None:
    """Problems are problems alone, and each answer has its headers."""
    ours = {str(status): answer for status, answer in problems(*statuses).items()}
    del responses["422"]
    begins = "429" in responses
    for status, answer in ours.items():
        answer.pop("model")
        responses.setdefault(status, answer)
    for status, answer in responses.items():
        if MEDIA_TYPE in (content := answer.get("content", {})):
            content.pop("application/json", None)
        again = AGAIN if status in ("409", "429", "503") else {}
        rates = RATES if begins and (status < "400" or status == "429") else {}
        answer["headers"] = NAMED | again | rates | answer.get("headers", {})


def _worded(responses: dict[str, Any]) -> None:
    """Problems as OpenAI's clients get them."""
    for ours, theirs in openai_common.REWORDED.items():
        responses[str(theirs)] = responses.pop(str(ours))
    for answer in responses.values():
        if answer.get("content", {}).pop(MEDIA_TYPE, None) is not None:
            answer["content"]["application/json"] = {"schema": {"$ref": "#/components/schemas/ErrorOut"}}
