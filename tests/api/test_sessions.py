"""Sessions: what is kept, for whom, and that nobody else sees it."""

from typing import Any

import pytest

from app.api.dependencies import cursor_of
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Hang, HttpError
from tests.service import Service, serving

RUN = "/agents/assistant/run"
NOWHERE: list[list[Any]] = [
    ["yesterday", "s1"],
    ["0001-01-01T00:00:00+23:00", "s1"],
    ["2026-01-01T00:00:00Z", "\0"],
    ["s1"],
    [1, "s1"],
]
"""Cursors as this service writes them, to places that no list has."""


@pytest.mark.parametrize("agent", ["assistant", "research"])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_another_process_goes_on_with_the_conversation(
    agent: str, database: str, openai: OpenAIWire, with_openai: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """What was said before a restart is told to the model after it, and the history has both runs."""
    if database == "postgres":
        with_openai["database_url"] = request.getfixturevalue("postgres_url")
    async with serving(**with_openai) as service:
        await service.run(agent, "My name is Ann.", session_id="s", user_id="ann")
    async with serving(**with_openai) as service:
        await service.run(agent, "What is my name?", session_id="s", user_id="ann")
        sent = str(openai.requests[-1].json["messages"])
        assert "My name is Ann." in sent
        assert "What is my name?" in sent
        messages = (await service.get("/sessions/s/messages", "ann"))["items"]
        assert [message["content"] for message in messages if message["source"] == "user"] == [
            "My name is Ann.",
            "What is my name?",
        ]
        runs = (await service.get("/sessions/s/runs", "ann"))["items"]
        assert [run["status"] for run in runs] == ["completed", "completed"]


async def test_a_session_is_one_agents(service: Service) -> None:
    """Another agent's session is 409, and is left as it was."""
    await service.run("assistant", "hi", session_id="s")
    problem = await service.run("weather", "hi", session_id="s", status=409)
    assert problem["type"] == "urn:waggle:problem:session-conflict"
    assert (await service.get("/sessions/s"))["agent"] == "assistant"


async def test_a_session_runs_one_thing_at_a_time(openai: OpenAIWire, service: Service) -> None:
    """A second run is 409 with Retry-After while the first goes on; afterwards it is taken."""
    openai.replies = [Hang(("one ",))]
    async with service.streaming("assistant", "first", session_id="s") as events:
        first = await anext(events)
        response = await service.client.post(RUN, json={"task": "second", "session_id": "s"})
        assert response.status_code == 409
        assert response.json()["type"] == "urn:waggle:problem:session-busy"
        assert int(response.headers["Retry-After"]) > 0
        assert (await service.client.delete("/sessions/s")).status_code == 409
        await service.client.post(f"/runs/{first.data['run_id']}/cancel")
    assert (await service.run("assistant", "third", session_id="s"))["status"] == "completed"


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_a_run_that_does_not_complete_leaves_its_session_as_it_was(
    end: str, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """The model never hears of it again, and neither does the history; the run itself is on record."""
    async with serving(**with_openai, model_max_retries=0) as service:
        await service.run("assistant", "first", session_id="s")
        openai.replies = [HttpError(400) if end == "failed" else Hang(("one ",))]
        async with service.streaming("assistant", "second", session_id="s") as events:
            started = await anext(events)
            if end == "cancelled":
                await service.client.post(f"/runs/{started.data['run_id']}/cancel")
            last = [event async for event in events][-1]
        assert last.type == f"run.{end}"
        await service.run("assistant", "third", session_id="s")
        asked = [message["content"] for message in openai.requests[-1].json["messages"] if message["role"] == "user"]
        assert asked == ["first", "third"]
        said = (await service.get("/sessions/s/messages"))["items"]
        assert [message["content"] for message in said if message["source"] == "user"] == ["first", "third"]
        runs = (await service.get("/sessions/s/runs"))["items"]
        assert [run["status"] for run in runs] == ["completed", end, "completed"]


async def test_nobody_else_sees_what_is_a_users(service: Service) -> None:
    """To another user, and to nobody in particular, sessions and runs do not exist."""
    run = await service.run("assistant", "secret", session_id="s", user_id="ann")
    paths = ["/sessions/s", "/sessions/s/messages", "/sessions/s/runs"]
    paths += [f"/runs/{run['run_id']}", f"/runs/{run['run_id']}/trace"]
    for path in paths:
        await service.get(path, "ann")
        for user in ("bob", None):
            await service.get(path, user, status=404)
    others: list[dict[str, str]] = [{"X-User-ID": "bob"}, {}]
    for other in others:
        assert (await service.client.delete("/sessions/s", headers=other)).status_code == 404
        assert (await service.client.post(f"/runs/{run['run_id']}/cancel", headers=other)).status_code == 404
        body = {"task": "hi", "session_id": "s"}
        assert (await service.client.post(RUN, json=body, headers=other)).status_code == 404
        resumed = await service.client.get(
            "/agents/assistant/stream", params={"task": "hi"}, headers=other | {"Last-Event-ID": f"{run['run_id']}:1-1"}
        )
        assert resumed.status_code == 404
    assert (await service.get("/sessions", "bob"))["items"] == []
    assert [session["session_id"] for session in (await service.get("/sessions", "ann"))["items"]] == ["s"]


async def test_lists_come_in_pages(service: Service) -> None:
    """`next_cursor` leads through everything once, in order; a cursor of nobody's is 422."""
    for number in range(5):
        await service.run("assistant", f"task {number}", session_id=f"s{number}")
    for number in range(5, 8):
        await service.run("assistant", f"task {number}", session_id="s0")

    async def pages(path: str, limit: int) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while True:
            page = await service.get(f"{path}?limit={limit}{cursor}")
            assert len(page["items"]) <= limit
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    assert [session["session_id"] for session in await pages("/sessions", 2)] == ["s0", "s4", "s3", "s2", "s1"]
    asked = [message["content"] for message in await pages("/sessions/s0/messages", 3) if message["source"] == "user"]
    assert asked == ["task 0", "task 5", "task 6", "task 7"]
    assert len(await pages("/sessions/s0/runs", 1)) == 4
    for cursor in ("rubbish", "WzFd", "%00", *map(cursor_of, NOWHERE)):
        assert (await service.client.get(f"/sessions?cursor={cursor}")).status_code == 422
    for cursor in (cursor_of(["\0"]), cursor_of([True])):
        assert (await service.client.get(f"/sessions/s1/runs?cursor={cursor}")).status_code == 422


async def test_a_deleted_session_is_gone_with_all_of_it(service: Service) -> None:
    """Its runs too; its id may be used anew."""
    run = await service.run("assistant", "hi", session_id="s")
    kept = await service.run("assistant", "hi", session_id="another")
    assert (await service.client.delete("/sessions/s")).status_code == 204
    assert service.parts.telemetry.store.tree(run["trace_id"], run["run_id"]) == []
    assert service.parts.telemetry.store.tree(kept["trace_id"], kept["run_id"])
    await service.get("/sessions/s", status=404)
    await service.get(f"/runs/{run['run_id']}", status=404)
    assert (await service.client.delete("/sessions/s")).status_code == 404
    again = await service.run("weather", "hi", session_id="s")
    assert again["agent"] == "weather"
