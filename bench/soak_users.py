"""The users of a soak: each talks to an agent, over and over, and holds the service to what it promises."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

AGENTS = ("assistant", "assistant", "weather", "research", "support", "ticket")
ENDS = ("run.completed", "run.failed", "run.cancelled")
FAULTS = ("provider-failed", "run-timeout")
"""What a run may fail with: the provider's faults, and what they make of deadlines."""
TURNS = 4
"""Runs of a session, before it is deleted."""


@dataclass
class Tally:
    """What all users saw."""

    runs: Counter[str] = field(default_factory=Counter)
    """How they ended, and what was done to them."""
    wrong: Counter[str] = field(default_factory=Counter)
    """What must not be."""
    events: int = 0


class User:
    """One of them, with one conversation at a time."""

    def __init__(self, number: int, client: httpx.AsyncClient, tally: Tally, leaving: float) -> None:
        self._chance = random.Random(number)  # noqa: S311 the same users every time
        self._number = number
        self._client = client
        self._tally = tally
        self._leaving = leaving
        self._headers = {"X-User-ID": f"user-{number}"}
        self._made = 0

    async def live(self, until: float) -> None:
        """Talk until then."""
        clock = asyncio.get_running_loop().time
        while clock() < until:
            self._made += 1
            session = f"soak-{self._number}-{self._made}"
            agent = self._chance.choice(AGENTS)
            for turn in range(TURNS):
                if clock() < until:
                    await self._turn(agent, {"task": f"Question {turn} of Paris, please.", "session_id": session})
                    await asyncio.sleep(self._chance.random())
            await self._forget(session)

    async def _turn(self, agent: str, body: dict[str, Any]) -> None:
        way = self._chance.choice((self._run, self._stream, self._stream, self._background))
        try:
            await way(agent, body)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self._tally.wrong[f"{way.__name__}: {type(error).__name__}: {error}"[:160]] += 1

    async def _run(self, agent: str, body: dict[str, Any]) -> None:
        answer = await self._client.post(f"/agents/{agent}/run", json=body, headers=self._headers)
        if answer.status_code == 200:
            self._ended(answer.json())
        else:
            self._refused(answer)

    async def _stream(self, agent: str, body: dict[str, Any]) -> None:
        seen: list[dict[str, Any]] = []
        leaves = self._chance.random() < self._leaving
        async with self._client.stream("POST", f"/agents/{agent}/stream", json=body, headers=self._headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                self._refused(answer)
                return
            run_id = answer.headers["X-Run-ID"]
            await self._watch(answer, seen, self._chance.randrange(1, 6) if leaves else None)
        if leaves and not _over(seen):
            self._tally.runs["left"] += 1
            if self._chance.random() < 0.5:
                return
        await self._resumed(run_id, seen)

    async def _background(self, agent: str, body: dict[str, Any]) -> None:
        answer = await self._client.post(f"/agents/{agent}/runs", json=body, headers=self._headers)
        if answer.status_code != 202:
            self._refused(answer)
        else:
            await self._resumed(answer.json()["run_id"], [])

    async def _resumed(self, run_id: str, seen: list[dict[str, Any]]) -> None:
        """Watch it to the end, from where it was left; then compare what was seen with what is kept."""
        while not _over(seen):
            headers = self._headers | ({"Last-Event-ID": seen[-1]["id"]} if seen else {})
            async with self._client.stream("GET", f"/runs/{run_id}/stream", headers=headers) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    self._refused(answer)
                    return
                before = len(seen)
                await self._watch(answer, seen, None)
            self._tally.runs["resumed"] += before > 0
            if len(seen) == before:
                self._tally.wrong["a stream with nothing new and no end"] += 1
                return
        run = (await self._client.get(f"/runs/{run_id}", headers=self._headers)).json()
        self._ended(run)
        told = [event["message"] for event in seen if event["type"] == "message"]
        if run["status"] == "completed" and told != run["messages"]:
            self._tally.wrong["messages of the stream are not those of the record"] += 1

    async def _watch(self, answer: httpx.Response, seen: list[dict[str, Any]], count: int | None) -> None:
        async for event in _events(answer):
            self._tally.events += 1
            if event["seq"] != len(seen) + 1:
                self._tally.wrong["an event lost or doubled"] += 1
            if _over(seen):
                self._tally.wrong["an event after the end"] += 1
            seen.append(event)
            if count is not None and len(seen) >= count:
                return

    def _ended(self, run: dict[str, Any]) -> None:
        self._tally.runs[run["status"]] += 1
        if run["error"] is not None:
            self._problem(run["error"])

    def _refused(self, answer: httpx.Response) -> None:
        self._problem(answer.json())

    def _problem(self, problem: dict[str, Any]) -> None:
        kind = problem["type"].rpartition(":")[2]
        self._tally.runs[kind] += 1
        if kind not in (*FAULTS, "session-busy"):  # the last of a run that was left, until its grace is over
            self._tally.wrong[f"{problem['status']} {kind}: {problem['detail']}"[:160]] += 1

    async def _forget(self, session: str) -> None:
        answer = await self._client.delete(f"/sessions/{session}", headers=self._headers)
        if answer.status_code not in (204, 404, 409):
            self._tally.wrong[f"DELETE: {answer.status_code}"] += 1


def _over(seen: list[dict[str, Any]]) -> bool:
    return bool(seen) and seen[-1]["type"] in ENDS


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    place = ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            place = value
        elif name == "data":
            yield json.loads(value) | {"id": place}
