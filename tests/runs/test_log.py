"""The log that viewers read."""

import anyio
import pytest

from app.errors import EventsGone
from app.events import RunEnded, RunEvent, TextDelta
from app.runs.log import RunLog
from tests.store.test_runs import completed, new_run


def delta(number: int) -> TextDelta:
    return TextDelta("agent", "message", str(number))


END = RunEnded(completed(new_run()))


async def everything(log: RunLog, after: int = 0) -> list[tuple[int, RunEvent]]:
    return [event async for batch in log.read(after) for event in batch]


async def test_many_viewers_each_get_everything_once() -> None:
    """Whenever they come, at whatever pace: from the start or from after an event."""
    log = RunLog(limit=1000)
    seen: dict[int, list[tuple[int, RunEvent]]] = {}

    async def view(after: int) -> None:
        seen[after] = await everything(log, after)

    async with anyio.create_task_group() as group:
        for after in (0, 0, 3):
            group.start_soon(view, after)
        for number in range(1, 6):
            log.append(delta(number))
            await anyio.lowlevel.checkpoint()
        group.start_soon(view, 5)
        log.append(END)
    whole = [(number, delta(number)) for number in range(1, 6)] + [(6, END)]
    assert seen == {0: whole, 3: whole[3:], 5: whole[5:]}


async def test_nothing_follows_the_end() -> None:
    """An abandoned task may go on talking: nobody hears it."""
    log = RunLog(limit=10)
    log.append(END)
    log.append(delta(1))
    log.append(END)
    assert await everything(log) == [(1, END)]
    assert log.ended_with(1)


async def test_what_is_forgotten_is_told() -> None:
    """Bounded: a viewer behind the limit is let go, and one that asks for it is refused."""
    log = RunLog(limit=3)
    for number in range(1, 6):
        log.append(delta(number))
    for gone in (0, 1, 6):
        with pytest.raises(EventsGone):
            log.check(gone)
    assert await everything(log, 1) == []
    log.append(END)
    assert [number for number, _ in await everything(log, 3)] == [4, 5, 6]
