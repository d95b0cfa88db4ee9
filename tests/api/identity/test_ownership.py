"""Every route, asked by everybody: made from the API's own description, so that a new route falls in by itself."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.api.identity.gate import PAGES, PUBLIC
from app.main import create_app
from app.settings import Settings
from tests.api.identity.test_keys import bearer
from tests.servers.openai_wire import OpenAIWire
from tests.service import Service, serving

DESCRIBED = create_app(Settings(_env_file=None))
API: dict[str, Any] = DESCRIBED.openapi()
ROUTES = [(method.upper(), path) for path, methods in API["paths"].items() for method in methods if path not in PUBLIC]
CARD = "/.well-known/agent-card.json"
LISTS = {"/agents", "/sessions", "/v1/models", CARD}
OPEN_TO_ANY_TENANT = {
    "/agents",
    "/agents/{name}",
    "/sessions",
    "/export",
    "/metrics",
    "/v1/models",
    "/v1/models/{name}",
    CARD,
    f"/a2a/{{name}}{CARD}",
}
"""What has nothing of the owner's in it, or leaves it out."""
JSON_RPC = {"/mcp", "/a2a/{name}"}
"""Whose refusals are answers."""

ACTORS = {
    "owner": ("sk-owner-000000", "ann"),
    "other user": ("sk-owner-000000", "bob"),
    "no user": ("sk-owner-000000", None),
    "other tenant": ("sk-other-000000", "ann"),
    "no credentials": (None, "ann"),
    "unknown": ("sk-unknown-0000", "ann"),
    "expired": ("sk-expired-0000", "ann"),
    "wrong scope": ("sk-scoped-00000", "ann"),
    "may only read": ("sk-reader-00000", "ann"),
    "another's own": ("sk-bobs-0000000", "ann"),
}
"""The key, and the user that is named with it."""


def keys() -> list[dict[str, Any]]:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return [
        {"tenant": "acme", "key": "sk-owner-000000"},
        {"tenant": "globex", "key": "sk-other-000000"},
        {"tenant": "acme", "key": "sk-expired-0000", "expires": yesterday.isoformat()},
        {"tenant": "acme", "key": "sk-scoped-00000", "scopes": ["agents:weather:run", "agents:no_such:read"]},
        {"tenant": "acme", "key": "sk-reader-00000", "scopes": ["agents:*:read"]},
        {"tenant": "acme", "key": "sk-bobs-0000000", "user": "bob"},
    ]


@pytest.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    (folder / "keys.json").write_text(json.dumps(keys()))
    async with OpenAIWire() as openai:
        model = {"model": "openai:gpt-4o-mini", "model_base_url": f"{openai.url}/v1", "openai_api_key": "sk-test"}
        async with serving(**model, data_dir=folder, api_keys_file=folder / "keys.json") as service:
            yield service


def protocols_body(path: str, session_id: str) -> dict[str, Any] | None:
    """Of a protocol that is not ours: a message in the owner's session."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"model": "assistant", "messages": [{"role": "user", "content": "hi"}]},
        "/v1/responses": {"model": "assistant", "input": "hi", "conversation": session_id},
        "/agents/{name}/ui": {
            "id": session_id,
            "trigger": "submit-message",
            "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]}],
        },
        "/agents/{name}/ag-ui": {
            "threadId": session_id,
            "runId": "r",
            "state": {},
            "messages": [{"id": "m", "role": "user", "content": "hi"}],
            "tools": [],
            "context": [],
            "forwardedProps": {},
        },
        "/mcp": {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "assistant", "arguments": {"task": "hi", "session_id": session_id}},
        },
        "/a2a/{name}": {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "message/send",
            "params": {
                "message": {
                    "kind": "message",
                    "messageId": "m",
                    "role": "user",
                    "contextId": session_id,
                    "parts": [{"kind": "text", "text": "hi"}],
                }
            },
        },
    }
    return bodies.get(path)


def headers(actor: str) -> dict[str, str]:
    key, user = ACTORS[actor]
    return (bearer(key) if key else {}) | ({"X-User-ID": user} if user else {})


def body_of(operation: dict[str, Any], owned: dict[str, str]) -> dict[str, Any] | None:
    """The description's own example, with the owner's run and session where it names any."""
    if "requestBody" not in operation:
        return None
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schema = API["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    example = {name: value for name, value in schema["examples"][0].items() if name != "user_id"}
    if "task" in example:
        return example | {"session_id": owned["session_id"]}
    return {name: owned["run_id"] if name == "run_id" else value for name, value in example.items()} | (
        {"session_id": f"fork-{owned['session_id']}"} if "session_id" in example else {}
    )


async def asked(service: Service, method: str, path: str, actor: str) -> tuple[int, Any]:
    """That route's answer about a session of the owner's that was made for it, with one completed run."""
    mine = headers("owner")
    made = await service.client.post("/agents/assistant/run", json={"task": "hi"}, headers=mine)
    owned = {"session_id": made.json()["session_id"], "run_id": made.json()["run_id"], "name": "assistant"}
    owned["response_id"] = f"resp_{owned['run_id']}"
    operation = API["paths"][path][method.lower()]
    query = {
        parameter["name"]: owned.get(parameter["name"], "hi")
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query" and (parameter["required"] or parameter["name"] in owned)
    }
    url = path.format(**owned)
    if (body := protocols_body(path, owned["session_id"])) is None:
        body = body_of(operation, owned)
    named = {"X-Session-ID": owned["session_id"]} if path == "/v1/chat/completions" else {}
    answer = await service.client.request(method, url, params=query, json=body, headers=headers(actor) | named)
    whole = answer.text
    if actor not in ("owner", "may only read"):
        assert made.json()["trace_id"] not in whole
        assert json.dumps(made.json()["output"]) not in whole
    return answer.status_code, whole


def expected(method: str, path: str, actor: str) -> set[int]:
    """The statuses that are right: for the owner, any that is not a refusal."""
    begins = path.endswith(("/run", "{name}/stream", "/runs")) and path.startswith("/agents")
    match actor:
        case "owner":
            return {200, 201, 202, 204, 409, 410}
        case "no credentials" | "unknown" | "expired":
            return {401}
        case _ if path in JSON_RPC:
            return {200, 403, 404}
        case "another's own":
            return {403}
        case "wrong scope" if path in LISTS:
            return {200}
        case "wrong scope":
            return {403}
        case "may only read" if path == "/metrics" or method != "GET" or begins:
            return {403}
        case "may only read":
            return {200, 204, 409, 410}
        case _ if path.endswith("/ui/{session_id}/stream"):
            return {204}  # as for a chat that is not begun yet
        case _:
            return {200} if path in OPEN_TO_ANY_TENANT else {404}


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: part)
async def test_what_everybody_gets(method: str, path: str, actor: str, guarded: Service) -> None:
    """Each endpoint by each caller: nothing of one's reaches another, and nobody learns that it exists."""
    status, whole = await asked(guarded, method, path, actor)
    assert status in expected(method, path, actor), whole
    if actor != "owner" and path == "/sessions" and status == 200 and actor != "may only read":
        assert json.loads(whole)["items"] == []
    if actor != "owner" and path in JSON_RPC and status == 200:
        assert '"error":' in whole or '"isError":true' in whole, whole
    if actor == "wrong scope" and path == "/agents":
        assert [agent["name"] for agent in json.loads(whole)["items"]] == ["weather"]


def test_every_route_is_described() -> None:
    """So that none is left out above."""
    found = set(paths(DESCRIBED.routes))
    page = {"/static", "/playground.json"}  # the same for everybody
    assert found == {path for _, path in ROUTES} | {"/livez", "/readyz", "/openapi.json", *PAGES} | page


def paths(routes: Any) -> Iterator[str]:
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from paths(router.routes)
        else:
            yield route.path
