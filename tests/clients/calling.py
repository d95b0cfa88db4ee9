"""The Python client in both its forms, called in the same way: the one that blocks does so in a thread."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from inspect import isawaitable
from operator import attrgetter
from typing import Any, TypeVar

from anyio.to_thread import run_sync

from waggle_client import AsyncEvents, AsyncWaggle, Event, Events, Waggle

Result = TypeVar("Result")


class Watched:
    """A stream that is read event by event."""

    def __init__(self, events: Events | AsyncEvents) -> None:
        self.events = events

    async def next(self) -> Event:
        if isinstance(self.events, AsyncEvents):
            return await anext(self.events)
        return await run_sync(next, self.events)

    async def until(self, kind: str) -> Event:
        while (event := await self.next())["type"] != kind:
            pass
        return event


class Calling:
    """A client; what it answers, lists read to their end."""

    def __init__(self, client: Waggle | AsyncWaggle) -> None:
        self.client = client

    async def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call the method of that name, as `runs.get`."""
        call = partial(attrgetter(name)(self.client), *arguments, **options)
        if isinstance(self.client, Waggle):
            return await run_sync(partial(_whole, call))
        answer = call()
        if isawaitable(answer):
            return await answer
        return [item async for item in answer]

    @asynccontextmanager
    async def watching(self, name: str, *arguments: Any, **options: Any) -> AsyncIterator[Watched]:
        """The events as they come; leaving the block closes the stream."""
        events = attrgetter(name)(self.client)(*arguments, **options)
        if isinstance(events, AsyncEvents):
            async with events:
                yield Watched(events)
        else:
            try:
                yield Watched(events)
            finally:
                await run_sync(events.close)

    async def close(self) -> None:
        if isinstance(self.client, Waggle):
            self.client.close()
        else:
            await self.client.aclose()


def _whole(call: Callable[[], Any]) -> Any:
    answer = call()
    return list(answer) if isinstance(answer, Iterator) else answer
