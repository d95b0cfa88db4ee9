"""One run from its beginning to its end: shown, answered, and cancelled with Ctrl-C."""

import asyncio
from typing import Any, Literal

import anyio
import httpx

from app.cli.api import Refused, call, events
from app.cli.asking import asked, somebody_is_there
from app.cli.place import INTERRUPTED
from app.cli.screen import Screen

STATUSES = {"run.completed": 0, "run.failed": 1, "run.cancelled": INTERRUPTED}
"""Exit statuses, by how the run ends."""
WAITS = 3
"""The exit status while a run waits for an answer that nobody here gives."""
CANCEL_S = 10
"""For the run to be stopped after Ctrl-C."""


class Watching:
    """Shows a run's words, prints its events, or only its end."""

    def __init__(self, client: httpx.AsyncClient, form: Literal["words", "events", "json"]) -> None:
        self._client = client
        self._form = form
        self._screen = Screen()
        self._path = ""
        """The run's, once it has begun."""

    async def run(self, agent: str, body: dict[str, Any]) -> int:
        """The exit status. Raises Refused and CannotAsk."""
        try:
            return await self._watch(agent, body)
        except asyncio.CancelledError:
            await self._cancel()
            raise

    async def _watch(self, agent: str, body: dict[str, Any]) -> int:
        status = 1
        async for event in events(self._client, agent, body):
            self._path = f"/runs/{event['run_id']}"
            self._show(event, agent)
            if event["type"] == "input.required" and not await self._answered(event):
                return WAITS
            status = STATUSES.get(event["type"], status)
        if self._form == "json":
            self._screen.json(await call(self._client, "GET", self._path))
        return status

    def _show(self, event: dict[str, Any], agent: str) -> None:
        match self._form:
            case "events":
                self._screen.json_line(event)
            case "words" if event["type"] in STATUSES:
                self._screen.ended(event["run"])
            case "words":
                self._screen.event(event, agent=agent)
            case "json":
                pass

    async def _answered(self, question: dict[str, Any]) -> bool:
        """Whether somebody answers; else it says how it can be done later."""
        while somebody_is_there() and (answer := await asked(question, self._screen)) is not None:
            try:
                body = {"input": answer, "input_id": question["input_id"]}
                await call(self._client, "POST", f"{self._path}/input", json=body)
            except Refused as refused:
                if refused.status != 422:
                    raise
                self._screen.aside(str(refused), "red")
            else:
                return True
        self._screen.aside(f"It waits for an answer: POST {self._path}/input of a server.", "yellow")
        return False

    async def _cancel(self) -> None:
        """And wait until it has stopped, so that nothing is charged after the prompt is back."""
        with anyio.move_on_after(CANCEL_S, shield=True):
            if self._path:
                run = await call(self._client, "POST", f"{self._path}/cancel")
                if self._form == "words":
                    self._screen.ended(run)
