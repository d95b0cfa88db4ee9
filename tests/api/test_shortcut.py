"""A request that is plainly right takes a short way, and is answered as on the way of the others, FastAPI's."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from app.api.shortcut import Shortcut
from app.main import create_app
from app.settings import Settings
from tests.service import serving

KEYS = [
    {"tenant": "acme", "key": "sk-all"},
    {"tenant": "acme", "key": "sk-other", "scopes": ["agents:other:run"]},
    {"tenant": "acme", "key": "sk-ann", "user": "ann"},
]
THE_LONG_WAY = "?any=thing"
"""A parameter that nobody asks for: FastAPI passes over it."""
OF_ITS_OWN = {"run_id", "trace_id", "session_id", "created_at", "finished_at", "instance", "id"}


def told(answer: httpx.Response) -> tuple[int, str | None, Any]:
    """All of an answer but what is each run's own."""
    return answer.status_code, answer.headers.get("content-type"), without_own(answer.json())


def without_own(value: Any) -> Any:
    if isinstance(value, list):
        return [without_own(each) for each in value]
    if isinstance(value, dict):
        return {name: without_own(each) for name, each in value.items() if name not in OF_ITS_OWN}
    return value


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        pytest.param(200, b'{"task": "hi"}', {}, id="plain"),
        pytest.param(200, b'{"task": "hi", "timeout_s": "9", "metadata": {"a": "1"}}', {}, id="fields"),
        pytest.param(200, b'{"task": "hi", "task": "ho"}', {}, id="a field twice"),
        pytest.param(200, b'\xef\xbb\xbf{"task": "hi"}', {}, id="a byte order mark"),
        pytest.param(200, '{"task": "hi"}'.encode("utf-16"), {}, id="UTF-16"),
        pytest.param(200, b'{"task": "hi"}', {"Content-Type": "application/vnd.api+json; charset=utf-8"}, id="+json"),
        pytest.param(200, b'{"task": "hi"}', {"Content-Type": "Application/JSON ; charset=utf-8"}, id="a charset"),
        pytest.param(200, b'{"task": "hi"}', {"X-User-ID": "ann", "X-Session-ID": "s"}, id="headers"),
        pytest.param(200, b'{"task": "hi"}', {"Idempotency-Key": "k\u00e9".encode()}, id="a key that is no ASCII"),
        pytest.param(422, b'{"task": "hi"}', {"X-User-ID": "a b"}, id="a wrong user"),
        pytest.param(422, b'{"task": "hi"}', {"X-Session-ID": ""}, id="an empty session"),
        pytest.param(422, b'{"task": "hi"}', {"Idempotency-Key": "k" * 256}, id="a long key"),
        pytest.param(422, b'{"task": "hi", "user_id": "ann"}', {"X-User-ID": "bob"}, id="two users"),
        pytest.param(422, b'{"task": "hi", "timeout_s": 1e400}', {"X-User-ID": "a b"}, id="wrong here and there"),
        pytest.param(400, b'{"task": "hi"', {"X-User-ID": "a b"}, id="no JSON"),
        pytest.param(415, b'{"task": "hi"}', {"Content-Type": "text/plain"}, id="another media type"),
        pytest.param(403, b'{"task": "hi"}', {"Authorization": "Bearer sk-other"}, id="another agent's scope"),
        pytest.param(403, b'{"task": "hi"}', {"Authorization": "Bearer sk-ann", "X-User-ID": "bob"}, id="another user"),
    ],
)
async def test_both_ways_answer_the_same(
    status: int, body: bytes, headers: dict[str, Any], with_openai: dict[str, Any], tmp_path: Path
) -> None:
    """A run, and every problem to the last word."""
    (tmp_path / "keys.json").write_text(json.dumps(KEYS))
    headers = {"Authorization": "Bearer sk-all", "Content-Type": "application/json", **headers}
    async with serving(**with_openai, api_keys_file=tmp_path / "keys.json") as service:
        short, long = [
            await service.client.post(f"/agents/assistant/run{query}", content=body, headers=headers)
            for query in ("", THE_LONG_WAY)
        ]
    assert short.status_code == status, short.text
    assert told(short) == told(long)
    if "Idempotency-Key" in headers and status == 200:
        assert short.json()["run_id"] == long.json()["run_id"]


def test_nothing_is_left_out(tmp_path: Path) -> None:
    """What the short way does itself, or leaves to the long one, is all that these routes depend on."""
    app = create_app(Settings(_env_file=None, data_dir=tmp_path))
    dependencies = ["permit", "_json_only", "_asked"]
    names = {"name", "X-User-ID", "X-Session-ID", "Idempotency-Key", "Last-Event-ID", "user_id"}
    taken = {
        route.path: [each.call.__name__ for each in route.dependant.dependencies]
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, Shortcut) and route.methods == {"POST"}
    }
    assert taken == {f"/agents/{{name}}/{verb}": dependencies for verb in ("run", "stream", "runs")}
    for path in taken:
        assert {each["name"] for each in app.openapi()["paths"][path]["post"]["parameters"]} <= names
