"""Work that blocks, in a thread that nobody has to wait for: what hangs there is left behind."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """What `work` returns or raises; cancelling the wait leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(_give, done, work())
        except BaseException as error:  # noqa: BLE001 it is raised where it is waited for
            settle = partial(_raise, done, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    Thread(target=run, name="doctor", daemon=True).start()
    return await done


def _give(done: "asyncio.Future[T]", value: T) -> None:
    if not done.done():
        done.set_result(value)


def _raise(done: "asyncio.Future[T]", error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
