"""What a run has done, written down as it happens, so that its agent can be brought back to where it waits.

AutoGen cannot be saved in the middle of a turn. So an agent that has to wait for a person is dropped, and built and
run again when the answer is there: what its models, tools and people said before is told to it from here. What is
written down are references; keys and JSON are made for a checkpoint only, which most runs never need.

Before the answer is reached again, nothing may happen for the first time: such a call waits, and if the answer is
never reached, the agent has changed, and its run ends before anything is done twice.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

STALL_S = 10
"""Seconds in which a replay must come further."""

Value = dict[str, Any]
"""What came of a call, as JSON. `{"again": true}`: it is to be made again, and what it is made of is told to it."""
AGAIN: Value = {"again": True}
Digests = dict[int, str]
"""Digests of messages by their ids: the same ones come again and again."""


class Call(Protocol):
    """What was asked of a model, a tool or a person."""

    def keys(self, digests: Digests) -> tuple[str, ...]:
        """By which it is known again, the surest first."""


@dataclass(slots=True, eq=False)
class Flight:
    """A tool's call that is going on."""

    call: Call
    name: str
    agent: str
    """Who calls; empty where that is no AssistantAgent."""
    parent: "Flight | None"
    entered: bool = False
    """The tool itself has been reached: calls inside are others."""
    approved: bool = False
    again: bool = False
    settled: bool = False
    """Its result is known, so that nothing inside of it will be asked for again."""
    waits: int = 0
    """How many questions to a person are pending inside."""

    @property
    def over(self) -> bool:
        """It, or one around it, is settled."""
        return self.settled or (self.parent is not None and self.parent.over)


@dataclass(frozen=True, slots=True)
class Entry:
    """A call and its result, to be kept."""

    kind: str
    """model, tool or answer."""
    keys: tuple[str, ...]
    value: Value


@dataclass(slots=True, eq=False)
class _Kept:
    """An entry of an earlier leg."""

    entry: Entry
    taken: bool = False
    flight: Flight | None = None
    """In which it was taken."""


@dataclass(slots=True, eq=False)
class _Noted:
    kind: str
    call: Call
    result: Any
    encode: Callable[[Any], Value]
    inside: Flight | None
    own: Flight | None = None


FLIGHT: ContextVar[Flight | None] = ContextVar("waggle_flight", default=None)


class Journal:
    """One leg of a run, from its task or an answered question to the next question."""

    def __init__(self) -> None:
        self.stalled: Callable[[], None] = lambda: None
        """Told when a replay comes no further."""
        self.busy = 0
        """Calls going on that wait for no person."""
        self.moves = 0
        """Changes whenever something happens."""
        self._noted: list[_Noted] = []
        self._flights: dict[Flight, None] = {}
        self._entries: list[Entry] | None = None
        self._kept: list[_Kept] = []
        self._by_key: dict[str, deque[_Kept]] = {}
        self._left = 0
        self._answers_left = 0
        self._caught_up = asyncio.Event()

    def replay(self, entries: Iterable[Entry]) -> None:
        """What earlier legs of the run wrote down."""
        self._kept = [_Kept(entry) for entry in entries]
        self._left = len(self._kept)
        self._answers_left = sum(kept.entry.kind == "answer" for kept in self._kept)
        succeeded: set[str] = set()
        for kept in reversed(self._kept):
            key = kept.entry.keys[0]
            if "error" not in kept.entry.value:
                succeeded.add(key)
            elif kept.entry.kind == "model" and key in succeeded:
                continue  # it was tried again, which is spared now
            for each in kept.entry.keys:
                self._by_key.setdefault(each, deque()).appendleft(kept)

    @property
    def replaying(self) -> bool:
        """Something is left that may be asked for again."""
        return self._left > 0

    @property
    def caught_up(self) -> bool:
        """Whatever a person has answered has been told to the agent: from here on it is where it was."""
        return not self._answers_left

    async def recall(self, call: Call) -> Value | None:
        """What came of it before; None, once it may be done for the first time."""
        kept = self._found(call.keys({}))
        if kept is None:
            await self._turn()
            return None
        self.moves += 1
        self._left -= 1
        kept.taken, kept.flight = True, FLIGHT.get()
        if kept.entry.kind == "answer":
            self._answers_left -= 1
            if self.caught_up:
                self._caught_up.set()
        return kept.entry.value

    def _found(self, keys: tuple[str, ...]) -> _Kept | None:
        for key in keys:
            queue = self._by_key.get(key, ())
            while queue and queue[0].taken:
                queue.popleft()
            if queue:
                return queue[0]
        return None

    async def _turn(self) -> None:
        while not self.caught_up:
            moves = self.moves
            try:
                async with asyncio.timeout(STALL_S):
                    await self._caught_up.wait()
            except TimeoutError:
                if self.moves == moves:
                    self.stalled()

    def note(
        self, kind: str, call: Call, result: Any, encode: Callable[[Any], Value], own: Flight | None = None
    ) -> None:
        """What came of a call; `encode` may answer AGAIN. `own` is the call's flight, if it is a tool's."""
        self.moves += 1
        if self._entries is None:  # else the agent is being stopped: what it says is none of its run's
            self._noted.append(_Noted(kind, call, result, encode, own.parent if own else FLIGHT.get(), own))

    @contextmanager
    def flight(self, call: Call, name: str, agent: str = "") -> Iterator[Flight]:
        """A tool is called."""
        flight = Flight(call, name, agent, FLIGHT.get())
        token = FLIGHT.set(flight)
        self._flights[flight] = None
        self.busy += 1
        self.moves += 1
        try:
            yield flight
        finally:
            self.busy -= 1
            del self._flights[flight]
            FLIGHT.reset(token)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A person is asked: the tools around the question are not busy, they wait."""
        around: list[Flight] = []
        flight = FLIGHT.get()
        while flight is not None:
            around.append(flight)
            flight = flight.parent
        for each in around:
            each.waits += 1
            self.busy -= each.waits == 1
        self.moves += 1
        try:
            yield
        finally:
            self.moves += 1
            for each in around:
                each.waits -= 1
                self.busy += each.waits == 0

    def close(self) -> None:
        """The agent is about to be stopped: this is how far it has come."""
        digests: Digests = {}
        noted = [(each, each.encode(each.result)) for each in self._noted]
        for each, value in noted:
            if each.own is not None:
                each.own.settled = "again" not in value
        entries = [
            kept.entry
            for kept in self._kept
            if not (kept.taken and "again" in kept.entry.value) and not (kept.flight and kept.flight.over)
        ]
        entries += [
            Entry(each.kind, each.call.keys(digests), value)
            for each, value in noted
            if not (each.inside and each.inside.over)
        ]
        entries += [Entry("tool", flight.call.keys(digests), AGAIN) for flight in self._flights]
        self._entries = entries

    @property
    def entries(self) -> list[Entry]:
        """What is to be kept, once it is closed."""
        return self._entries or []


JOURNAL: ContextVar[Journal | None] = ContextVar("waggle_journal", default=None)
