"""Runs in the background, runs that wait their turn, keys against doing it twice, and whoever comes to watch."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from app.errors import Unavailable
from app.store.queue import Queue
from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, Hang, Reply, Request, Text
from tests.service import Event, Service, events_of, serving, tree


async def post(service: Service, path: str, **body: Any) -> httpx.Response:
    return await service.client.post(path, json=body)


async def watch(service: Service, run_id: str, after: str | None = None) -> list[Event]:
    headers = {"Last-Event-ID": after} if after else {}
    async with service.client.stream("GET", f"/runs/{run_id}/stream", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        return [event async for event in events_of(response)]


async def test_a_background_run_is_answered_at_once(service: Service) -> None:
    """202 with its address; it goes on by itself, and its events are there from the first to the last."""
    response = await post(service, "/agents/assistant/runs", task="hi", session_id="s")
    run = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"/runs/{run['run_id']}")
    assert (run["status"], response.headers["x-run-id"], response.headers["x-session-id"]) == (
        "queued",
        run["run_id"],
        "s",
    )
    events = await watch(service, run["run_id"])
    assert (events[0].type, events[-1].type) == ("run.started", "run.completed")
    assert [event.data["seq"] for event in events] == list(range(1, len(events) + 1))
    ended = await service.get(f"/runs/{run['run_id']}")
    assert (ended["status"], ended["output"]) == ("completed", events[-1].data["run"]["output"])


async def test_its_trace_shows_the_wait_under_the_request(service: Service) -> None:
    """One trace, from the request that started it."""
    run = (await post(service, "/agents/assistant/runs", task="hi")).json()
    await watch(service, run["run_id"])
    with anyio.fail_after(10):
        while "run assistant" not in (shown := tree(await service.trace(run))) or "chat" not in shown:
            await anyio.sleep(0.01)
    assert shown.splitlines()[:3] == ["POST /agents/{name}/runs", "  queue assistant", "  run assistant"]


async def test_watching_again_from_each_event_on_gives_the_rest(service: Service) -> None:
    """From any event, while it goes on or afterwards; after the end there is nothing more."""
    run = (await post(service, "/agents/assistant/runs", task="hi")).json()
    events = await watch(service, run["run_id"])
    for number, event in enumerate(events[:-1], 1):
        assert await watch(service, run["run_id"], event.id) == events[number:]
    last = await service.client.get(f"/runs/{run['run_id']}/stream", headers={"Last-Event-ID": events[-1].id})
    assert last.status_code == 204
    for wrong in ("nonsense", events[0].id.replace(":1-", ":9-"), f"{run['run_id']}:1-999"):
        gone = await service.client.get(f"/runs/{run['run_id']}/stream", headers={"Last-Event-ID": wrong})
        assert gone.status_code == 410


async def test_its_record_is_told_where_its_events_are_gone(with_openai: dict[str, Any], openai: OpenAIWire) -> None:
    """After a restart: from the start, as messages and the end; from one of its events on, 410; after the end, 204."""
    async with serving(**with_openai) as service:
        events = await service.stream("assistant", "hi")
    run_id = events[0].data["run_id"]
    async with serving(**with_openai) as service:
        retold = await watch(service, run_id)
        assert [event.type for event in retold] == ["run.started", "message", "message", "run.completed"]
        assert retold[-1].data["run"] == events[-1].data["run"]
        assert await watch(service, run_id, retold[1].id) == retold[2:]
        for seen, status in ((events[1].id, 410), (events[-1].id, 204), (retold[-1].id, 204)):
            answer = await service.client.get(f"/runs/{run_id}/stream", headers={"Last-Event-ID": seen})
            assert answer.status_code == status


async def test_no_more_runs_are_claimed_than_there_is_room_for(with_openai: dict[str, Any], openai: OpenAIWire) -> None:
    """Room for one is taken by one: it was counted before the run that had just been claimed had begun."""
    openai.replies = lambda _: Hang()
    async with serving(**with_openai, max_concurrent_runs=1) as service:
        async with service.streaming("assistant", "hi") as events:
            first = (await anext(events)).data["run_id"]
            runs = [(await post(service, "/agents/assistant/runs", task="hi")).json()["run_id"] for _ in range(3)]
            await service.client.post(f"/runs/{first}/cancel")
            await openai.until_asked(2)
        standing = [(await service.get(f"/runs/{run_id}"))["status"] for run_id in runs]
        assert standing == ["running", "queued", "queued"]


async def test_what_was_going_on_when_it_stopped_is_taken_up(with_openai: dict[str, Any], openai: OpenAIWire) -> None:
    """A background run begins anew, and whoever was watching is told so; the others have ended."""
    openai.replies = lambda _: Drip()
    async with serving(**with_openai) as service:
        run = (await post(service, "/agents/assistant/runs", task="hi")).json()
        seen: list[Event] = []
        async with service.client.stream("GET", f"/runs/{run['run_id']}/stream") as response:
            events = events_of(response)
            while len(seen) < 3:
                seen.append(await anext(events))
    openai.replies = lambda _: Text("Done.")
    async with serving(**with_openai) as service:
        rest = await watch(service, run["run_id"], seen[-1].id)
    assert (rest[0].type, rest[0].data["attempt"], rest[0].data["seq"]) == ("run.restarted", 2, 1)
    assert rest[-1].data["run"]["output"] == "Done."
    assert [event.data["seq"] for event in rest] == list(range(1, len(rest) + 1))


async def in_order(service: Service, openai: OpenAIWire, policy: str, number: int) -> list[httpx.Response]:
    """So many posts to one session while it is busy, each admitted before the next."""
    first = (await post(service, "/agents/assistant/runs", task="first", session_id="s")).json()
    await openai.until_asked(1)
    answers: list[httpx.Response] = []

    async def send(task: str) -> None:
        answers.append(await post(service, "/agents/assistant/run", task=task, session_id="s", if_busy=policy))

    async with anyio.create_task_group() as group:
        for index in range(number):
            group.start_soon(send, f"task {index}")
            with anyio.fail_after(10):
                while len((await service.get("/sessions/s/runs?limit=100"))["items"]) < index + 2:
                    await anyio.sleep(0.005)
        if policy == "enqueue":
            await service.client.post(f"/runs/{first['run_id']}/cancel")
    return answers


async def test_those_that_wait_are_run_in_turn(service: Service, openai: OpenAIWire) -> None:
    """First come, first served, each on what the one before left; every caller gets its own answer."""
    gate = anyio.Event()

    def reply(request: Request) -> Reply:
        task = request.json["messages"][-1]["content"]
        return Hang() if task == "first" and not gate.is_set() else Text(f"answer to {task}")

    openai.replies = reply
    answers = await in_order(service, openai, "enqueue", 5)
    assert [answer.status_code for answer in answers] == [200] * 5
    said = [
        message["content"]
        for message in (await service.get("/sessions/s/messages"))["items"]
        if message["source"] == "user"
    ]
    assert said == [f"task {index}" for index in range(5)]
    assert sorted(answer.json()["output"] for answer in answers) == [f"answer to task {index}" for index in range(5)]


async def test_an_interrupting_run_takes_the_place(service: Service, openai: OpenAIWire) -> None:
    """The one before it is cancelled, and answered so; the last one is answered."""
    openai.replies = lambda request: Text("the last") if request.json["messages"][-1]["content"] == "task 2" else Hang()
    answers = await in_order(service, openai, "interrupt", 3)
    assert sorted(answer.json()["status"] for answer in answers) == ["cancelled", "cancelled", "completed"]
    runs = (await service.get("/sessions/s/runs"))["items"]
    assert [run["status"] for run in runs] == ["completed", "cancelled", "cancelled", "cancelled"]
    assert {run["stop_reason"] for run in runs[1:]} == {"Interrupted by a newer run of the session."}


async def test_a_run_can_be_cancelled_while_it_waits(service: Service, openai: OpenAIWire) -> None:
    """It has never begun; whoever watches it is told."""
    openai.replies = lambda _: Hang()
    await post(service, "/agents/assistant/runs", task="first", session_id="s")
    await openai.until_asked(1)
    waiting = (await post(service, "/agents/assistant/runs", task="second", session_id="s", if_busy="enqueue")).json()
    seen: list[list[Event]] = []

    async def look() -> None:
        seen.append(await watch(service, waiting["run_id"]))

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        cancelled = await service.client.post(f"/runs/{waiting['run_id']}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    assert [(event.type, event.data["seq"]) for event in seen[0]] == [("run.cancelled", 1)]
    again = await service.client.get(f"/runs/{waiting['run_id']}/stream", headers={"Last-Event-ID": seen[0][0].id})
    assert again.status_code == 204


async def test_a_queued_run_that_nobody_waits_for_is_not_run(with_openai: dict[str, Any], openai: OpenAIWire) -> None:
    """Its client left before its turn came."""
    openai.replies = lambda _: Hang()
    async with serving(**with_openai, disconnect_grace_s=0.05) as service:
        first = (await post(service, "/agents/assistant/runs", task="first", session_id="s")).json()
        await openai.until_asked(1)
        async with anyio.create_task_group() as group:
            body = {"task": "second", "session_id": "s", "if_busy": "enqueue"}
            group.start_soon(lambda: service.client.post("/agents/assistant/run", json=body))
            with anyio.fail_after(10):
                while len(runs := (await service.get("/sessions/s/runs"))["items"]) < 2:
                    await anyio.sleep(0.005)
            group.cancel_scope.cancel()
        waiting = runs[0]["run_id"]
        with anyio.fail_after(10):
            while (await service.get(f"/runs/{waiting}"))["status"] != "cancelled":
                await anyio.sleep(0.01)
        await service.client.post(f"/runs/{first['run_id']}/cancel")
        assert len(openai.requests) == 1


async def test_nor_in_a_process_of_its_own(openai: OpenAIWire, tmp_path: Path) -> None:
    """Where no test's event loop lends its context: the wish to cancel it could not be carried out."""
    url = f"{openai.url}/v1"
    variables = {"MODEL": "openai:m", "MODEL_BASE_URL": url, "OPENAI_API_KEY": "sk-test", "DISCONNECT_GRACE_S": "0.05"}
    openai.replies = lambda _: Hang()
    async with started(tmp_path, variables) as process, process.client() as client:
        await client.post("/agents/assistant/runs", json={"task": "first", "session_id": "s"})
        await openai.until_asked(1)
        body = {"task": "second", "session_id": "s", "if_busy": "enqueue"}
        async with client.stream("POST", "/agents/assistant/stream", json=body) as response:
            waiting = response.headers["x-run-id"]
        with anyio.fail_after(10):
            while (run := (await client.get(f"/runs/{waiting}")).json())["status"] == "queued":
                await anyio.sleep(0.01)
        assert (run["status"], run["stop_reason"]) == ("cancelled", "Nobody was watching any more.")
        assert len(openai.requests) == 1


async def test_what_it_did_is_recorded_however_long_that_takes(
    with_openai: dict[str, Any], openai: OpenAIWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a run whose end the database did not take for 16 seconds was told to have failed, and executed again."""
    finish, refusals = Queue.finish, [Unavailable("The database is away.")] * 20

    async def refused(*what: Any) -> bool:
        if refusals:
            raise refusals.pop()
        return await finish(*what)

    monkeypatch.setattr(Queue, "finish", refused)
    monkeypatch.setattr("app.runs.execution.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("app.runs.execution.LONGEST_PAUSE_S", 0.001)
    async with serving(**with_openai) as service:
        run = (await post(service, "/agents/assistant/runs", task="hi")).json()
        stream = await service.client.get(f"/runs/{run['run_id']}/stream")
        assert stream.text.count("event: run.completed") == 1
        assert (await service.get(f"/runs/{run['run_id']}"))["status"] == "completed"
    assert (len(openai.requests), refusals) == (1, [])


@pytest.mark.parametrize("kind", ["run", "stream", "runs"])
async def test_the_same_key_is_the_same_run(service: Service, openai: OpenAIWire, kind: str) -> None:
    """However often and however it is sent, while it goes on or afterwards; another body is refused."""
    body, headers = {"task": "hi"}, {"Idempotency-Key": "k-1"}

    async def send(how: str, sent: dict[str, Any] = body) -> httpx.Response:
        return await service.client.post(f"/agents/assistant/{how}", json=sent, headers=headers)

    first = await send(kind)
    answers = [await send(how) for how in ("run", "stream", "runs", kind)]
    answers.append(await service.client.get("/agents/assistant/stream?task=hi", headers=headers))
    assert {answer.headers["x-run-id"] for answer in answers} == {first.headers["x-run-id"]}
    assert {answer.headers["x-session-id"] for answer in answers} == {first.headers["x-session-id"]}
    assert answers[0].json()["status"] == "completed"
    assert answers[1].text.count("event: run.completed") == 1
    assert len(openai.requests) == 1
    assert (await send(kind, {"task": "another"})).status_code == 422
    too_long = await service.client.post("/agents/assistant/run", json=body, headers={"Idempotency-Key": "x" * 256})
    assert too_long.status_code == 422


async def test_the_same_key_at_once_is_one_run(service: Service, openai: OpenAIWire) -> None:
    """Ten at the same moment are all answered with the one run."""
    answers: list[httpx.Response] = []

    async def send() -> None:
        headers = {"Idempotency-Key": "k"}
        answers.append(await service.client.post("/agents/assistant/run", json={"task": "hi"}, headers=headers))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(send)
    assert {answer.json()["run_id"] for answer in answers} == {answers[0].json()["run_id"]}
    assert {answer.json()["status"] for answer in answers} == {"completed"}
    assert len(openai.requests) == 1


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_run_that_nobody_has_begun_has_no_event_to_go_on_after(
    database: str, openai: OpenAIWire, with_openai: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """It waited for one of its own for ever; without an id, who watches it sees it wait."""
    openai.replies = lambda _: Drip()
    if database == "postgres":
        with_openai["database_url"] = request.getfixturevalue("postgres_url")
    async with serving(**with_openai) as service:
        await post(service, "/agents/assistant/runs", task="Go.", session_id="s")
        run = (await post(service, "/agents/assistant/runs", task="hi", session_id="s", if_busy="enqueue")).json()
        path = f"/runs/{run['run_id']}/stream"
        for place in ("1-1", "7-38"):
            answer = await service.client.get(path, headers={"Last-Event-ID": f"{run['run_id']}:{place}"})
            assert answer.status_code == 410
        async with service.client.stream("GET", path) as response:
            assert response.status_code == 200
