"""The log that viewers read."""

from datetime import UTC, datetime

import anyio
import pytest

from app.events import MessageAdded, Placed, Position, RunEnded, RunEvent, TextDelta, ThoughtDelta
from app.messages import Text
from app.runs.log import JOINED_CHARS, RunLog, RunLogs
from tests.store.test_runs import completed, new_run


def delta(number: int) -> TextDelta:
    return TextDelta("agent", "message", str(number))


def begun(limit: int = 1000) -> RunLog:
    log = RunLog(limit)
    log.begin(1)
    return log


NOW = datetime(2026, 1, 1, tzinfo=UTC)
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


async def test_deltas_of_one_turn_are_one() -> None:
    """Whoever watches, and whenever: each viewer sees the same events in the same places."""
    log, seen = begun(), []
    async with anyio.create_task_group() as group:

        async def view() -> None:
            seen.extend([batch async for batch in log.read()])

        group.start_soon(view)
        await anyio.lowlevel.checkpoint()
        for pieces in ("ab", "c", "def"):
            for piece in pieces:
                log.tell(TextDelta("agent", "message", piece))
            await anyio.wait_all_tasks_blocked()
        log.append(END)
    told = [(place.seq, event.delta) for batch in seen for place, event in batch if isinstance(event, TextDelta)]
    assert told == [(1, "ab"), (2, "c"), (3, "def")]
    assert seen[-1] == [(Position(1, 4), END)]
    assert [event for batch in seen for event in batch] == await everything(log)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(TextDelta("agent", "another", "b"), id="another message's"),
        pytest.param(ThoughtDelta("agent", "message", "b"), id="a thought's"),
        pytest.param(MessageAdded(Text(id="message", source="agent", created_at=NOW, content="a")), id="a message"),
    ],
)
async def test_what_is_no_delta_of_the_same_message_stands_alone(other: RunEvent) -> None:
    """In the order in which it was told."""
    log = begun()
    said = [TextDelta("agent", "message", "a"), other, TextDelta("agent", "message", "c")]
    for event in said:
        log.tell(event)
    log.append(END)
    assert [event for _, event in await everything(log)] == [*said, END]


async def test_what_another_attempt_said_is_not_added_to() -> None:
    """The run began anew: what was said before is void."""
    log = begun()
    log.tell(delta(1))
    log.begin(2)
    log.tell(delta(2))
    log.append(END)
    assert await everything(log) == [(Position(2, 1), delta(2)), (Position(2, 2), END)]


async def test_what_comes_by_itself_stands_by_itself() -> None:
    """Also while nobody watches: it is seen later as it came."""
    log = begun()
    for number in range(1, 4):
        log.tell(delta(number))
        await anyio.lowlevel.checkpoint()
    assert log.since(None) == [(Position(1, number), delta(number)) for number in range(1, 4)]


async def test_a_reader_of_pages_fixes_what_it_read() -> None:
    """What is written for other processes is what they resume from."""
    log = begun()
    log.tell(delta(1))
    assert log.since(None) == [(Position(1, 1), delta(1))]
    log.tell(delta(2))
    log.tell(delta(3))
    assert log.since(Position(1, 1)) == [(Position(1, 2), delta(23))]


async def test_a_joined_delta_is_bounded() -> None:
    """Each piece copies what it is added to."""
    log = begun()
    for _ in range(3 * JOINED_CHARS):
        log.tell(TextDelta("agent", "message", "a"))
    assert [len(event.delta) for _, event in log.since(None) if isinstance(event, TextDelta)] == 3 * [JOINED_CHARS]
