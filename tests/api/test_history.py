"""Sessions are forked, taken back and deleted, with a real agent whose model is told what is left."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import func, select
from uuid_utils import uuid7

from app.caller import Caller
from app.events import InputRequest, Run, RunStatus
from app.store.queue import Queue
from app.store.runs import NewRun
from app.store.tables import EventsRow
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Hang, Reply, Request, Text
from tests.service import Service, events_of, serving
from tests.store.held import writing


@pytest.fixture(params=["sqlite", "postgres"])
async def service(with_openai: dict[str, Any], request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """One that keeps three states of a session."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    async with serving(**with_openai, database_url=url, state_versions=3) as service:
        yield service


async def post(service: Service, path: str, status: int, user: str | None = None, **body: Any) -> Any:
    response = await service.client.post(path, json=body, headers={"X-User-ID": user} if user else {})
    assert response.status_code == status, response.text
    if status == 201:
        assert response.headers["location"] == f"/sessions/{response.json()['session_id']}"
    return response.json()


async def said(service: Service, session: str) -> list[str]:
    """What the user said in the conversation."""
    messages = (await service.get(f"/sessions/{session}/messages?limit=100"))["items"]
    return [message["content"] for message in messages if message["source"] == "user"]


def asked(openai: OpenAIWire) -> list[str]:
    """What the model was last told that the user had said."""
    return [message["content"] for message in openai.requests[-1].json["messages"] if message["role"] == "user"]


@pytest.mark.parametrize("agent", ["assistant", "research"])
async def test_a_fork_goes_on_by_itself(agent: str, service: Service, openai: OpenAIWire) -> None:
    """At each of three runs: the model is told what was said up to there, and the other session goes on as before."""
    runs = [await service.run(agent, task, session_id="s") for task in ("one", "two", "three")]
    for number, run in enumerate(runs, 1):
        fork = await post(service, "/sessions/s/fork", 201, run_id=run["run_id"])
        assert (fork["agent"], fork["turns"], fork["active_run_id"]) == (agent, number, None)
        before = ["one", "two", "three"][:number]
        assert await said(service, fork["session_id"]) == before
        await service.run(agent, "in the fork", session_id=fork["session_id"])
        told = str(openai.requests[-1].json["messages"])
        assert [task in told for task in ("one", "two", "three", "in the fork")] == [
            number > 0,
            number > 1,
            number > 2,
            True,
        ]
        assert await said(service, fork["session_id"]) == [*before, "in the fork"]
        assert len((await service.get(f"/sessions/{fork['session_id']}/runs"))["items"]) == 1
    await service.run(agent, "four", session_id="s")
    assert "in the fork" not in str(openai.requests[-1].json["messages"])
    assert await said(service, "s") == ["one", "two", "three", "four"]


async def test_forks_outlive_each_other(service: Service, openai: OpenAIWire) -> None:
    """Deleting the first session leaves the fork, and deleting the fork leaves the first."""
    await service.run("assistant", "one", session_id="s")
    for fork in ("f", "g"):
        assert (await post(service, "/sessions/s/fork", 201, session_id=fork))["session_id"] == fork
    assert (await service.client.delete("/sessions/f")).status_code == 204
    await service.run("assistant", "two", session_id="s")
    assert asked(openai) == ["one", "two"]
    assert (await service.client.delete("/sessions/s")).status_code == 204
    await service.run("assistant", "three", session_id="g")
    assert asked(openai) == ["one", "three"]
    assert await said(service, "g") == ["one", "three"]


async def test_the_model_is_not_told_what_was_taken_back(service: Service, openai: OpenAIWire) -> None:
    """Nor does the history have it; the run itself stays readable, and can be seen again."""
    runs = [await service.run("assistant", task, session_id="s") for task in ("one", "two", "three")]
    session = await post(service, "/sessions/s/rewind", 200, run_id=runs[1]["run_id"])
    assert (session["turns"], session["version"]) == (1, 4)
    assert await said(service, "s") == ["one"]
    again = await service.run("assistant", "instead", session_id="s")
    assert asked(openai) == ["one", "instead"]
    assert await said(service, "s") == ["one", "instead"]
    assert await service.get(f"/runs/{runs[1]['run_id']}") == runs[1]
    listed = [run["run_id"] for run in (await service.get("/sessions/s/runs"))["items"]]
    assert listed == [run["run_id"] for run in (again, *reversed(runs))]
    problem = await post(service, "/sessions/s/rewind", 409, run_id=runs[1]["run_id"])
    assert problem["type"] == "urn:waggle:problem:not-in-conversation"
    await post(service, "/sessions/s/rewind", 200, run_id=runs[0]["run_id"])
    await service.run("assistant", "anew", session_id="s")
    assert asked(openai) == ["anew"]


async def test_versions_can_be_gone_back_to_as_long_as_they_are_kept(service: Service, openai: OpenAIWire) -> None:
    """They come in pages, newest first; one that is no longer kept is 410, one that never was 404."""
    runs = [await service.run("assistant", str(number), session_id="s") for number in range(1, 6)]
    page = await service.get("/sessions/s/versions?limit=2")
    rest = await service.get(f"/sessions/s/versions?limit=2&cursor={page['next_cursor']}")
    versions = page["items"] + rest["items"]
    assert (len(page["items"]), rest["next_cursor"]) == (2, None)
    assert [(each["version"], each["run_id"], each["turn"]) for each in versions] == [
        (number, runs[number - 1]["run_id"], number) for number in (5, 4, 3)
    ]
    assert all(each["bytes"] > 100 and each["created_at"].endswith("Z") for each in versions)
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("fork", {"version": 2}),
        ("fork", {"run_id": runs[1]["run_id"]}),
        ("rewind", {"version": 2}),
        ("rewind", {"run_id": runs[2]["run_id"]}),
    ]
    for path, body in bodies:
        problem = await post(service, f"/sessions/s/{path}", 410, **body)
        assert problem["type"] == "urn:waggle:problem:state-gone"
    await post(service, "/sessions/s/fork", 404, version=9)
    for _ in range(2):
        assert (await post(service, "/sessions/s/rewind", 200, version=3))["version"] == 6
    await service.run("assistant", "on", session_id="s")
    assert asked(openai) == ["1", "2", "3", "on"]
    for cursor in ("rubbish", "WzFlMTBd", "Wzk5OTk5OTk5OTk5OTld"):
        assert (await service.client.get(f"/sessions/s/versions?cursor={cursor}")).status_code == 422


async def test_to_others_there_is_nothing_to_fork(service: Service) -> None:
    """404 to another user and to nobody in particular, also for an id of theirs that a fork was to have."""
    run = await service.run("assistant", "secret", session_id="s", user_id="ann")
    await service.run("assistant", "hi", session_id="bobs", user_id="bob")
    for other in ("bob", None):
        for body in ({}, {"run_id": run["run_id"]}, {"version": 1}):
            await post(service, "/sessions/s/fork", 404, other, **body)
        await post(service, "/sessions/s/rewind", 404, other, run_id=run["run_id"])
        await service.get("/sessions/s/versions", other, status=404)
    await post(service, "/sessions/bobs/fork", 404, "bob", run_id=run["run_id"])
    await post(service, "/sessions/bobs/fork", 404, "bob", session_id="s")
    problem = await post(service, "/sessions/s/fork", 409, "ann", session_id="s")
    assert problem["type"] == "urn:waggle:problem:session-exists"
    fork = await post(service, "/sessions/s/fork", 201, "ann", session_id="mine")
    assert fork["user_id"] == "ann"
    await service.get("/sessions/mine", "bob", status=404)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("fork", {"run_id": "r", "version": 1}, id="fork-both"),
        pytest.param("rewind", {"run_id": "r", "version": 1}, id="rewind-both"),
        pytest.param("rewind", {}, id="rewind-neither"),
        pytest.param("fork", {"runid": "r"}, id="unknown"),
        pytest.param("rewind", {"version": 1, "session_id": "t"}, id="unknown-to-rewind"),
        pytest.param("fork", {"session_id": "a b"}, id="session_id"),
        pytest.param("fork", {"run_id": "\0"}, id="run_id"),
        pytest.param("fork", {"version": -1}, id="negative"),
        pytest.param("fork", {"version": 2**31}, id="large"),
    ],
)
@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
async def test_wrong_fields_are_listed(path: str, body: dict[str, Any], service: Service) -> None:
    """422, before the session is looked for."""
    assert (await post(service, f"/sessions/s/{path}", 422, **body))["errors"]


async def test_of_many_forks_with_one_id_one_is_made(service: Service) -> None:
    """10 at once: one is 201, the others 409."""
    await service.run("assistant", "one", session_id="s")
    statuses: list[int] = []

    async def fork() -> None:
        response = await service.client.post("/sessions/s/fork", json={"session_id": "f"})
        statuses.append(response.status_code)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(fork)
    assert sorted(statuses) == [201] + [409] * 9
    assert await said(service, "f") == ["one"]


async def test_a_session_is_forked_but_not_taken_back_while_a_run_goes_on(service: Service, openai: OpenAIWire) -> None:
    """The fork has what was completed; going back is 409 with Retry-After."""
    first = await service.run("assistant", "one", session_id="s")
    openai.replies = [Hang(("two ",))]
    async with service.streaming("assistant", "two", session_id="s") as events:
        run_id = (await anext(events)).data["run_id"]
        assert (await service.get("/sessions/s"))["active_run_id"] == run_id
        assert (await service.get("/sessions"))["items"][0]["active_run_id"] == run_id
        response = await service.client.post("/sessions/s/rewind", json={"run_id": first["run_id"]})
        assert (response.status_code, response.json()["type"]) == (409, "urn:waggle:problem:session-busy")
        assert int(response.headers["Retry-After"]) > 0
        fork = await post(service, "/sessions/s/fork", 201)
        assert (fork["turns"], fork["active_run_id"]) == (1, None)
        await post(service, "/sessions/s/fork", 409, run_id=run_id)
        await service.client.post(f"/runs/{run_id}/cancel")
    await service.run("assistant", "instead", session_id=fork["session_id"])
    assert asked(openai) == ["one", "instead"]


async def test_posts_while_a_session_goes_back_are_before_or_after(service: Service, openai: OpenAIWire) -> None:
    """Whatever comes first: what the model was told is what the history has, at the end too."""
    for number in range(8):
        session = f"s{number}"
        await service.run("assistant", "one", session_id=session)
        second = await service.run("assistant", "two", session_id=session)
        statuses: list[int] = []

        async def back(session: str = session, run_id: str = second["run_id"], statuses: list[int] = statuses) -> None:
            response = await service.client.post(f"/sessions/{session}/rewind", json={"run_id": run_id})
            statuses.append(response.status_code)

        async def run(session: str = session) -> None:
            await service.run("assistant", "three", session_id=session)

        async with anyio.create_task_group() as group:
            for task in (back, run) if number % 2 else (run, back):
                group.start_soon(task)
        told = asked(openai)
        assert told in (["one", "two", "three"], ["one", "three"])
        (status,) = statuses
        assert status in {200, 409}
        left = await said(service, session)
        assert left == (told if status == 409 or told == ["one", "three"] else ["one"])
        await service.run("assistant", "four", session_id=session)
        assert asked(openai) == [*left, "four"]


async def watch(service: Service, run_id: str, seen: list[str]) -> None:
    """The types of its events, as they come; the end, once the stream has ended as it should."""
    async with service.client.stream("GET", f"/runs/{run_id}/stream") as response:
        async for event in events_of(response):
            seen.append(event.type)  # noqa: PERF401 looked at meanwhile
    seen.append("end of stream")


async def waiting_for_a_person(service: Service, session: str) -> str:
    """A run that has asked a question."""
    parts = service.parts
    now = datetime.now(UTC)
    question = InputRequest(input_id=str(uuid7()), prompt="?", source="a", expires_at=now + timedelta(hours=1))
    run = Run(
        run_id=str(uuid7()),
        agent="assistant",
        session_id=session,
        user_id=None,
        status=RunStatus.RUNNING,
        trace_id="0" * 31 + "1",
        created_at=now,
    )
    await parts.runs.admit(NewRun(run=run, caller=Caller(), request={}, owner="elsewhere"))
    asking = replace(run, status=RunStatus.INPUT_REQUIRED, input_request=question)
    await Queue(parts.database, lease_s=30).pause(asking, 1, b"{}", 1)
    return run.run_id


async def test_what_waits_goes_with_its_session(
    service: Service, openai: OpenAIWire, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that waits for a person, and one behind it: their viewers end, whoever waits for an answer gets 404."""
    asking = await waiting_for_a_person(service, "s")
    body = {"task": "hi", "session_id": "s", "if_busy": "enqueue"}
    queued = (await service.client.post("/agents/assistant/runs", json=body)).json()["run_id"]
    of_asking: list[str] = []
    of_queued: list[str] = []
    answers: list[httpx.Response] = []

    async def wait() -> None:
        answers.append(await service.client.post("/agents/assistant/run", json=body))

    async def all_wait() -> bool:
        runs = (await service.get("/sessions/s/runs"))["items"]
        return len(runs) == 3 and all(service.parts.runner.audience.of(run["run_id"]) for run in runs)

    with caplog.at_level(logging.WARNING):
        async with anyio.create_task_group() as group:
            group.start_soon(watch, service, asking, of_asking)
            group.start_soon(watch, service, queued, of_queued)
            group.start_soon(wait)
            with anyio.fail_after(10):
                while not (of_asking[-1:] == ["input.required"] and await all_wait()):
                    await anyio.sleep(0.005)
            runs = (await service.get("/sessions/s/runs"))["items"]
            assert (await service.client.delete("/sessions/s")).status_code == 204
    assert of_asking[-2:] == ["input.required", "end of stream"]
    assert of_queued == ["end of stream"]
    assert (answers[0].status_code, answers[0].json()["type"]) == (404, "urn:waggle:problem:not-found")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    for run in runs:
        await service.get(f"/runs/{run['run_id']}", status=404)
    assert openai.requests == []
    assert (await service.run("assistant", "hi", session_id="s"))["status"] == "completed"


async def test_the_events_of_a_deleted_session_go_too(service: Service, openai: OpenAIWire) -> None:
    """From memory, and from where other processes read them."""

    def reply(request: Request) -> Reply:
        return Drip() if request.asked.text == "going on" else Text("Done.")

    openai.replies = reply
    kept = (await service.stream("assistant", "hi", session_id="kept"))[0].data["run_id"]
    gone = (await service.stream("assistant", "hi", session_id="s"))[0].data["run_id"]
    async with service.streaming("assistant", "going on", session_id="s") as events:
        going_on = (await anext(events)).data["run_id"]
        assert (await service.client.delete("/sessions/s")).status_code == 409
        await service.client.post(f"/runs/{going_on}/cancel")
    assert (await service.client.delete("/sessions/s")).status_code == 204
    for run_id in (gone, going_on):
        assert (await service.client.get(f"/runs/{run_id}/stream")).status_code == 404
        assert (await service.client.post(f"/runs/{run_id}/cancel")).status_code == 404
    if service.parts.pages is not None:
        async with writing(service.parts.database) as connection:
            query = select(EventsRow.run_id, func.count()).group_by(EventsRow.run_id)
            assert [run_id for run_id, _ in await connection.execute(query)] == [kept]


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
async def test_openapi_describes_it(service: Service) -> None:
    """Fields with their descriptions, and what each list is of."""
    document = await service.get("/openapi.json")
    schemas = document["components"]["schemas"]
    for name in ("ForkIn", "RewindIn"):
        assert schemas[name]["examples"]
        assert all(field["description"] for field in schemas[name]["properties"].values())
    assert set(schemas["Version"]["properties"]) == {"version", "run_id", "turn", "created_at", "bytes"}
    fork = document["paths"]["/sessions/{session_id}/fork"]["post"]
    everywhere = {"400", "403", "408", "413", "415", "421", "422", "500", "503"}
    assert set(fork["responses"]) == {"201", "404", "409", "410"} | everywhere
