"""The log that viewers read."""

import anyio

from app.events import Placed, Position, RunEnded, TextDelta
from app.runs.log import RunLog, RunLogs
from tests.store.test_runs import completed, new_run


def delta(number: int) -> TextDelta:
    return TextDelta("agent", "message", str(number))


def begun(limit: int = 1000) -> RunLog:
    log = RunLog(limit)
    log.begin(1)
    return log


END = RunEnded(completed(new_run()))


async def everything(log: RunLog, after: Position | None = None) -> list[Placed]:
    return [event async for batch in log.read(after) for event in batch]


async def test_many_viewers_each_get_everything_once() -> None:
    """Whenever they come, at whatever pace: from the start or from after an event."""
    log = begun()
    seen: dict[int, list[Placed]] = {}

    async def view(after: int) -> None:
        seen[after] = await everything(log, Position(1, after) if after else None)

    async with anyio.create_task_group() as group:
        for after in (0, 0, 3):
            group.start_soon(view, after)
        for number in range(1, 6):
            assert log.append(delta(number)) == (1, number)
            await anyio.lowlevel.checkpoint()
        group.start_soon(view, 5)
        log.append(END)
    whole = [*((Position(1, number), delta(number)) for number in range(1, 6)), (Position(1, 6), END)]
    assert seen == {0: whole, 3: whole[3:], 5: whole[5:]}


async def test_nothing_follows_the_end() -> None:
    """An abandoned task may go on talking: nobody hears it."""
    log = begun()
    log.append(END)
    log.append(delta(1))
    log.append(END)
    assert await everything(log) == [(Position(1, 1), END)]
    assert log.ended


async def test_what_is_forgotten_is_told() -> None:
    """Bounded: a viewer behind the limit is let go."""
    log = begun(limit=3)
    for number in range(1, 6):
        log.append(delta(number))
    for gone in (None, Position(1, 1), Position(1, 6), Position(2, 1)):
        assert not log.covers(gone)
    assert await everything(log, Position(1, 1)) == []
    log.append(END)
    assert [place.seq for place, _ in await everything(log, Position(1, 3))] == [4, 5, 6]


async def test_numbers_go_on_after_a_pause() -> None:
    """In the next attempt; whoever saw the events before it, here or elsewhere, gets what follows."""
    log, elsewhere = begun(), RunLog(10)
    log.append(delta(1))
    log.append(delta(2))
    log.rest()
    assert [place for place, _ in await everything(log)] == [(1, 1), (1, 2)]
    for each in (log, elsewhere):
        each.begin(2, 2)
        each.append(delta(3))
        each.append(END)
    assert [place for place, _ in await everything(log)] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert [place for place, _ in await everything(elsewhere, Position(1, 2))] == [(2, 3), (2, 4)]
    assert not elsewhere.covers(None)
    assert not elsewhere.covers(Position(1, 1))


async def test_a_run_that_begins_anew_is_told_from_there() -> None:
    """To whoever comes, and to whoever saw some of an attempt that this process knows nothing of."""
    log = RunLog(10)
    log.begin(3)
    log.append(delta(1))
    log.append(END)
    for after in (None, Position(2, 57), Position(1, 3)):
        assert [place for place, _ in await everything(log, after)] == [(3, 1), (3, 2)]


def test_logs_are_kept_as_long_as_there_is_room() -> None:
    """The oldest that nobody appends to goes first; one that is taken up again stays."""
    logs = RunLogs(limit=1000)
    for number in range(300):
        logs.open(f"{number}").begin(1)
        logs.put_away(f"{number}")
        if number == 200:
            assert logs.open("100") is logs.get("100")
    assert logs.get("100") is not None
    assert logs.get("0") is None
    assert logs.get("299") is not None
