"""Random lives of runs on a real service: begun, watched for some events, cut, resumed from anywhere, stopped, deleted.

Each program is played against a model of what a client may rely on: events numbered without a gap, none told twice
after a resume, one end, a place of nobody's refused, nothing the service's own fault, one call of the provider a run.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.budget import cases
from tests.fuzz.playing import playing
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text
from tests.service import Event, Service, events_of

WORDS = " ".join(f"w{number}" for number in range(12))
ENDS = ("run.completed", "run.failed", "run.cancelled")
CUT = 3
"""Events after which a viewer leaves, where a step says so."""


@dataclass
class Life:
    """A run as its client knows it."""

    run_id: str
    session_id: str
    way: str
    seen: list[Event] = field(default_factory=list)
    deleted: bool = False

    @property
    def ended(self) -> bool:
        return bool(self.seen) and self.seen[-1].type in ENDS

    def told(self, events: list[Event]) -> None:
        """They go on where it left off."""
        expected = [len(self.seen) + number for number in range(1, len(events) + 1)]
        assert [event.data["seq"] for event in events] == expected, "a gap, or an event told twice"
        self.seen += events
        assert sum(event.type in ENDS for event in self.seen) <= 1, "two ends"
        assert not any(event.type in ENDS for event in self.seen[:-1]), "something after the end"


GARBAGE = st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Z"]), min_size=1, max_size=60)
COUNT = st.integers(0, 20)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from(["stream", "runs"]), COUNT),
        st.tuples(st.just("resume"), COUNT, COUNT),
        st.tuples(st.just("from the start"), COUNT, COUNT),
        st.tuples(st.just("garbage"), COUNT, GARBAGE),
        st.tuples(st.just("foreign"), COUNT, COUNT),
        st.tuples(st.just("future"), COUNT, st.integers(1, 10**12)),
        st.tuples(st.just("cancel"), COUNT, COUNT),
        st.tuples(st.just("input"), COUNT, COUNT),
        st.tuples(st.just("delete"), COUNT, COUNT),
    ),
    min_size=2,
    max_size=12,
)


class Player:
    """Plays one program against the service."""

    def __init__(self, service: Service, openai: OpenAIWire) -> None:
        self._client = service.client
        self._openai = openai
        self._lives: list[Life] = []
        self._asked = len(openai.requests)

    async def play(self, steps: list[tuple[str, Any, Any]]) -> None:
        for step, one, other in [("begin", "stream", CUT), *steps]:
            if step == "begin":
                await self._begin(one, other)
                continue
            life = self._lives[one % len(self._lives)]
            await getattr(self, "_" + step.replace(" ", "_"))(life, other)
        for life in self._lives:
            await self._end(life)
        await self._openai.until_idle()
        assert len(self._openai.requests) - self._asked <= len(self._lives), "the provider was asked again"

    async def _begin(self, way: str, count: int) -> None:
        life = Life("", f"s-{uuid4().hex}", way)
        body = {"task": "Go.", "session_id": life.session_id, "on_disconnect": "continue"}
        if way == "stream":
            async with self._client.stream("POST", "/agents/assistant/stream", json=body) as response:
                assert response.status_code == 200, await response.aread()
                life.run_id = response.headers["X-Run-ID"]
                life.told([event async for event in first(count, response)])
        else:
            answer = await self._client.post("/agents/assistant/runs", json=body)
            assert answer.status_code == 202, answer.text
            life.run_id = answer.json()["run_id"]
        self._lives.append(life)

    async def _watch(self, life: Life, count: int) -> None:
        """Go on after the last event seen, by one of the two ways there are."""
        headers = {"Last-Event-ID": life.seen[-1].id} if life.seen else {}
        way, path = ("GET", f"/runs/{life.run_id}/stream")
        if headers and count % 2:
            way, path = ("GET", "/agents/assistant/stream?task=Go.")
        async with self._client.stream(way, path, headers=headers) as response:
            if life.deleted:
                assert response.status_code == 404
            elif life.ended:
                assert response.status_code == 204
            else:
                assert response.status_code == 200, await response.aread()
                life.told([event async for event in first(count, response)])

    _resume = _watch

    async def _from_the_start(self, life: Life, count: int) -> None:
        async with self._client.stream("GET", f"/runs/{life.run_id}/stream") as response:
            assert response.status_code == (404 if life.deleted else 200)
            if not life.deleted:
                again = [event async for event in first(count, response)]
                known = life.seen[: len(again)]
                assert [event.id for event in again[: len(known)]] == [event.id for event in known]
                life.told(again[len(known) :])

    async def _refused(self, life: Life, event_id: str) -> None:
        headers = {b"Last-Event-ID": event_id.encode("latin-1")}
        for path in (f"/runs/{life.run_id}/stream", "/agents/assistant/stream?task=Go."):
            answer = await self._client.get(path, headers=headers)
            assert answer.status_code in (404, 410), (event_id, answer.status_code)

    async def _garbage(self, life: Life, text: str) -> None:
        await self._refused(life, text)

    async def _foreign(self, life: Life, seq: int) -> None:
        await self._refused(life, f"{uuid4()}:1-{seq}")

    async def _future(self, life: Life, seq: int) -> None:
        await self._refused(life, f"{life.run_id}:1-{len(WORDS) + seq}")

    async def _cancel(self, life: Life, _: int) -> None:
        answer = await self._client.post(f"/runs/{life.run_id}/cancel")
        assert answer.status_code == (404 if life.deleted else 200), answer.text
        assert life.deleted or answer.json()["status"] in ("completed", "cancelled")

    async def _input(self, life: Life, _: int) -> None:
        answer = await self._client.post(f"/runs/{life.run_id}/input", json={"input": "x"})
        assert answer.status_code == (404 if life.deleted else 409), answer.text

    async def _delete(self, life: Life, _: int) -> None:
        answer = await self._client.delete(f"/sessions/{life.session_id}")
        assert answer.status_code in ((404,) if life.deleted else (204, 409)), answer.text
        life.deleted = life.deleted or answer.status_code == 204

    async def _end(self, life: Life) -> None:
        if not life.ended and not life.deleted:
            await self._watch(life, 1000)
            assert life.ended, life.seen[-3:]
        await self._watch(life, 0)


async def first(count: int, response: httpx.Response) -> AsyncIterator[Event]:
    """So many events of the stream, or all that there are."""
    if count:
        async for event in events_of(response):
            yield event
            count -= 1
            if not count:
                return


@pytest.mark.timeout(0)
def test_any_life_of_a_run(tmp_path: Path) -> None:
    """Whatever its clients do, and in whatever order."""
    with playing(tmp_path) as (portal, service, openai):
        openai.replies = lambda _: Text(WORDS, interval_s=0.001)

        @cases(40)
        @given(STEPS)
        def lives(steps: list[tuple[str, Any, Any]]) -> None:
            async def within() -> None:
                with anyio.fail_after(30):
                    await Player(service, openai).play(steps)

            portal.call(within)

        lives()
