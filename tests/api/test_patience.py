"""Deadlines for many short waits of one task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import anyio
import pytest

from app.api.patience import OverdueError, Patience

SOON, LATE = 0.01, 1000.0


@pytest.fixture
async def patience() -> AsyncIterator[Patience]:
    with anyio.fail_after(10), closing(Patience()) as patience:
        yield patience


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def after(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def overdue(patience: Patience, seconds: float) -> None:
    with pytest.raises(OverdueError), patience.until(after(seconds)):
        await asyncio.Event().wait()


async def test_what_does_not_come_is_overdue(patience: Patience) -> None:
    """Each time anew, also where the timer was set for a later one, and where the deadline has passed already."""
    await overdue(patience, SOON)
    with patience.until(after(LATE)):
        await asyncio.sleep(0)
    await overdue(patience, SOON)
    await overdue(patience, -1)
    assert this_task().cancelling() == 0


async def test_each_wait_has_its_own_deadline(patience: Patience) -> None:
    """That of a wait that is over counts no more, whether another one goes on when it comes, or none."""
    with patience.until(after(SOON)):
        await asyncio.sleep(0)
    with patience.until(after(LATE)):
        await asyncio.sleep(4 * SOON)
    with patience.until(after(SOON)):
        await asyncio.sleep(0)
    await asyncio.sleep(4 * SOON)
    await overdue(patience, SOON)


async def test_a_failure_is_passed_on(patience: Patience) -> None:
    """A deadline that comes later does not hide it."""
    with pytest.raises(ValueError, match="mine"), patience.until(after(LATE)):
        raise ValueError("mine")


async def test_who_is_cancelled_meanwhile_is_not_overdue(patience: Patience) -> None:
    """Whoever cancelled the task in the same moment is heeded."""
    asyncio.get_running_loop().call_soon(this_task().cancel)
    with pytest.raises(asyncio.CancelledError), patience.until(after(-1)):
        await asyncio.Event().wait()
    assert this_task().uncancel() == 0
