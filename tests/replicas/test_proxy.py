"""Two processes behind nginx, as docs/deploying.md has it: streams come token by token, upgrades lose nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from app.settings import Settings
from tests.replicas.conftest import Replicas, replicas_of, variables
from tests.servers import nginx
from tests.servers.nginx import Nginx
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Hang, Text
from tests.service import Event, events_of

TEXT = " ".join(f"w{number}" for number in range(80))
"""Takes four seconds, longer than a process that is told to stop waits."""
BRIEF = "some words of an answer"
VIEWERS, CALLERS = 5, 3
"""Each begins a background run and watches it, or a run and waits for it; then the next."""

pytestmark = pytest.mark.skipif(nginx.program() is None, reason="nginx is not installed: apt-get install nginx-light")


class Proxied:
    """The processes, nginx before them, and a client that goes through it."""

    def __init__(self, replicas: Replicas, proxy: Nginx, client: httpx.AsyncClient) -> None:
        self.replicas, self.proxy, self.client = replicas, proxy, client
        self.serving = list(range(len(replicas.processes)))

    @property
    def addresses(self) -> list[str]:
        return [self.replicas.processes[index].url.removeprefix("http://") for index in self.serving]

    async def replace(self, index: int) -> None:
        """One process by a new one, in the steps of the documentation."""
        old = self.replicas.processes[index].url.removeprefix("http://")
        await self.proxy.send_to(self.addresses, without=old)
        assert await self.replicas.stop(index) == 0, self.replicas.processes[index].output
        self.serving.remove(index)
        self.serving.append(new := await self.replicas.start())
        assert (await self.replicas.clients[new].get("/readyz")).status_code == 200
        await self.proxy.send_to(self.addresses)


@pytest.fixture
async def proxied(postgres_url: str, openai: OpenAIWire, tmp_path: Path) -> AsyncIterator[Proxied]:
    (folder := tmp_path / "nginx").mkdir()
    settings = variables(openai) | {"DATABASE_URL": postgres_url, "DRAIN_S": "2", "SHUTDOWN_TIMEOUT_S": "0.5"}
    async with replicas_of(tmp_path, settings) as replicas:
        proxy = Nginx(folder)
        proxy.write([process.url.removeprefix("http://") for process in replicas.processes])
        limits = httpx.Limits(max_connections=None)
        with proxy.running():
            await proxy.until_listening()
            async with httpx.AsyncClient(base_url=proxy.url, timeout=30, trust_env=False, limits=limits) as client:
                yield Proxied(replicas, proxy, client)


async def test_tokens_come_one_by_one(proxied: Proxied, openai: OpenAIWire) -> None:
    """Each is read while the model is still at the next ones, however small they are together."""
    openai.replies = lambda _: Text("one two three four five six seven", interval_s=0.2)
    async with proxied.client.stream("POST", "/agents/assistant/stream", json={"task": "Count."}) as response:
        assert "content-encoding" not in response.headers
        answering = [openai.open_requests async for event in events_of(response) if event.type == "text.delta"]
    assert len(answering) == 7
    assert answering[:5] == [1] * 5


async def test_who_leaves_stops_the_model(proxied: Proxied, openai: OpenAIWire) -> None:
    """The proxy closes its connection with the client's."""
    openai.replies = lambda _: Hang(("one ", "two "))
    async with proxied.client.stream("POST", "/agents/assistant/stream", json={"task": "Count."}) as response:
        async for event in events_of(response):
            if event.data.get("delta", "").endswith("two "):
                break
    await openai.until_idle()
    assert openai.abandoned == 1


async def test_the_proxy_s_limits_are_the_service_s(proxied: Proxied) -> None:
    """Bodies of MAX_BODY_BYTES pass; no answer that may take RUN_TIMEOUT_S is cut; metrics stay within."""
    fields = Settings.model_fields
    assert f"client_max_body_size {fields['max_body_bytes'].default // 2**20}m;" in nginx.block()
    timeout = nginx.block().partition("proxy_read_timeout ")[2].partition("s;")[0]
    assert int(timeout) > fields["run_timeout_s"].default
    large = {"task": "x" * 4_000_000}
    assert (await proxied.client.post("/agents/assistant/run", json=large)).status_code == 422
    assert (
        await proxied.client.post("/agents/assistant/run", json=large | {"user_id": "x" * 10**6})
    ).status_code == 413
    assert (await proxied.client.get("/metrics")).status_code == 404


async def posted(client: httpx.AsyncClient, path: str, key: str) -> httpx.Response:
    """The answer; asked for again, by the same key, until it is one."""
    while True:
        try:
            answer = await client.post(path, json={"task": key}, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            continue
        if answer.status_code != 503:
            return answer
        await anyio.sleep(float(answer.headers["retry-after"]) / 10)


async def watched(client: httpx.AsyncClient, run_id: str) -> tuple[list[Event], int]:
    """Its events to the end, and how often the stream was cut meanwhile."""
    seen: list[Event] = []
    cuts = -1
    while not seen or not seen[-1].type.startswith(("run.c", "run.f")):
        headers = {"Last-Event-ID": seen[-1].id} if seen else {}
        cuts += 1
        try:
            async with client.stream("GET", f"/runs/{run_id}/stream", headers=headers) as response:
                if response.status_code == 503:
                    await anyio.sleep(float(response.headers["retry-after"]) / 10)
                    continue
                assert response.status_code == 200, await response.aread()
                async for event in events_of(response):
                    seen.append(event)  # noqa: PERF401 what came before a cut is kept
        except httpx.TransportError:
            continue
    return seen, cuts


def check(events: list[Event]) -> None:
    """Completed, every attempt without a gap or a double, and the last one with all of the text."""
    starts = [index for index, event in enumerate(events) if event.data["seq"] == 1]
    for start, end in zip(starts, [*starts[1:], len(events)], strict=True):
        assert [event.data["seq"] for event in events[start:end]] == list(range(1, end - start + 1))
    assert events[-1].type == "run.completed"
    assert "".join(event.data["delta"] for event in events[starts[-1] :] if event.type == "text.delta") == TEXT


async def sessions(client: httpx.AsyncClient) -> int:
    """How many there are: each run began one."""
    number, cursor = 0, ""
    while True:
        page = (await client.get(f"/sessions?limit=100{cursor}")).json()
        number += len(page["items"])
        if page["next_cursor"] is None:
            return number
        cursor = f"&cursor={page['next_cursor']}"


class Load:
    """Callers that go on until the upgrade is over, and what they saw."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.over = anyio.Event()
        self.streams: list[list[Event]] = []
        self.answers: list[httpx.Response] = []
        self.cuts = 0

    async def view(self, viewer: int) -> None:
        while not self.over.is_set():
            begun = await posted(self._client, "/agents/assistant/runs", f"long {viewer} {len(self.streams)}")
            assert begun.status_code == 202, begun.text
            events, cuts = await watched(self._client, begun.json()["run_id"])
            self.streams.append(events)
            self.cuts += cuts

    async def call(self, caller: int) -> None:
        while not self.over.is_set():
            key = f"brief {caller} {len(self.answers)}"
            self.answers.append(await posted(self._client, "/agents/assistant/run", key))


async def test_an_upgrade_loses_no_run(proxied: Proxied, openai: OpenAIWire) -> None:
    """Each process is replaced, one after the other, while runs are begun, watched and waited for through nginx."""
    openai.replies = lambda request: Text(TEXT if request.asked.text.startswith("long") else BRIEF, interval_s=0.05)
    load = Load(proxied.client)
    async with anyio.create_task_group() as group:
        for viewer in range(VIEWERS):
            group.start_soon(load.view, viewer)
        for caller in range(CALLERS):
            group.start_soon(load.call, caller)
        for index in range(2):
            await openai.until_streaming(VIEWERS)
            await proxied.replace(index)
        load.over.set()
    for events in load.streams:
        check(events)
    assert load.cuts > 0, "nothing was watched when a process stopped"
    assert [answer.text for answer in load.answers if answer.status_code != 200] == []
    assert {answer.json()["output"] for answer in load.answers} == {BRIEF}
    assert await sessions(proxied.replicas.clients[-1]) == len(load.streams) + len(load.answers), "one began twice"
