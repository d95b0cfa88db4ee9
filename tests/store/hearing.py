"""What tests of several processes wait for: notices that were heard, and conditions that others bring about."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from app.store.notices import Topic

T = TypeVar("T")
WITHIN_S = 20


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.notices: list[tuple[Topic, tuple[str, ...]]] = []
        self._another = asyncio.Event()

    def __call__(self, topic: Topic, ids: Sequence[str] = ()) -> None:
        self.notices.append((topic, tuple(ids)))
        self._another.set()

    def ids(self, topic: Topic) -> list[str]:
        """Of all notices on that topic, in their order."""
        return [id_ for heard, ids in self.notices if heard == topic for id_ in ids]

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not wanted():
                self._another.clear()
                await self._another.wait()

    async def topic(self, topic: Topic) -> None:
        await self.until(lambda: any(heard == topic for heard, _ in self.notices))


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """What it returns as soon as that is something."""
    async with asyncio.timeout(WITHIN_S):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found
