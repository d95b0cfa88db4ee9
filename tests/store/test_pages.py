"""Pages of events, in a real Postgres, a real Redis, through their outages, and in a file of several workers."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from uuid_utils import uuid7

from app.errors import Unavailable
from app.events import Position
from app.settings import Settings
from app.siblings import Siblings, Worker
from app.store.database import Database
from app.store.notices import CHANNEL
from app.store.pages import Page, Pages, pages_for
from app.store.peers import Peers, peers_for
from app.store.postgres_pages import PostgresPages
from app.store.redis_pages import RedisPages
from app.store.sqlite_pages import SqlitePages
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.store.hearing import Heard, until

START = Position(0, 0)
TTL_S = 3600
MODES: list[Literal["fast", "immediate"]] = ["fast", "immediate"]


@dataclass
class Engine:
    """Pages, a second process' view of them, what that hears, and the server, which can be taken away."""

    pages: Pages
    elsewhere: Pages
    heard: Heard
    server: Postgres | Redis | None


@pytest.fixture(params=["postgres", "redis", "file"])
def server(request: pytest.FixtureRequest) -> Any:
    if request.param == "file":
        return None
    request.getfixturevalue("postgres_url")
    if request.param == "redis":
        request.getfixturevalue("redis_url")
    return request.getfixturevalue(request.param)


@pytest.fixture
async def engine(
    server: Postgres | Redis | None, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Engine]:
    url = None if server is None else request.getfixturevalue("postgres_url")
    redis_url = server.url if isinstance(server, Redis) else None
    settings = Settings(
        _env_file=None, database_url=url, redis_url=redis_url, events_ttl_s=TTL_S, data_dir=tmp_path, workers=2
    )
    heard = Heard()
    async with _pages(settings, 1) as (pages, _), _pages(settings, 2) as (elsewhere, peers):
        peers.listen(heard)
        yield Engine(pages, elsewhere, heard, server)


@asynccontextmanager
async def _pages(settings: Settings, number: int) -> AsyncIterator[tuple[Pages, Peers]]:
    """As one process has them."""
    database = Database(settings)
    await database.start()
    siblings = Siblings(Worker(number, 2, settings.data_dir, "secret"))
    peers = peers_for(database, siblings)
    pages = pages_for(settings, database, peers)
    on_file = settings.database_url is None
    assert isinstance(pages, SqlitePages if on_file else RedisPages if settings.redis_url else PostgresPages)
    await peers.start()
    await siblings.start()
    await pages.start()
    telling = asyncio.create_task(siblings.serve())
    try:
        yield pages, peers
    finally:
        telling.cancel()
        await pages.close()
        await siblings.close()
        await peers.close()
        await database.close()


def page(run_id: str, first_seq: int, last_seq: int, attempt: int = 1, body: bytes | None = None) -> Page:
    return Page(run_id, attempt, first_seq, last_seq, b"%d-%d" % (first_seq, last_seq) if body is None else body)


@pytest.fixture
def run_id() -> str:
    return str(uuid7())


def test_sqlite_needs_none(tmp_path: Path) -> None:
    """There viewers are where their run is; not even Redis is used."""
    settings = Settings(_env_file=None, data_dir=tmp_path, redis_url="redis://127.0.0.1:9")
    database = Database(settings)
    assert pages_for(settings, database, peers_for(database)) is None


async def test_pages_are_read_in_order_from_any_event(engine: Engine, run_id: str) -> None:
    """Between pages and inside one, over attempts; numbers are ordered as numbers."""
    pages = [page(run_id, 1, 3), page(run_id, 4, 9), page(run_id, 10, 100), page(run_id, 101, 101, attempt=2)]
    await engine.pages.append(pages[:3])
    await engine.pages.append(pages[3:])
    read = engine.elsewhere.read
    assert await read(run_id, START) == pages
    assert await read(run_id, Position(1, 3)) == pages[1:]
    assert await read(run_id, Position(1, 5)) == pages[1:]
    assert await read(run_id, Position(1, 100)) == pages[3:]
    assert await read(run_id, Position(2, 0)) == pages[3:]
    assert await read(run_id, Position(2, 101)) == []
    assert await read("another", START) == []
    assert await engine.elsewhere.tail(run_id) == Position(2, 101)
    assert await engine.elsewhere.tail("another") is None


async def test_the_same_page_again_is_no_double(engine: Engine, run_id: str) -> None:
    """Whole, in part, twice in a batch, beside a new one."""
    first, second, third = page(run_id, 1, 3), page(run_id, 4, 6), page(run_id, 7, 7)
    await engine.pages.append([first, second, second])
    await engine.pages.append([first, second])
    await engine.pages.append([page(run_id, 2, 5), second, third])
    assert await engine.elsewhere.read(run_id, START) == [first, second, third]


async def test_an_older_attempt_writes_nothing_any_more(engine: Engine, run_id: str) -> None:
    """Neither error nor page; other runs of the same batch are written."""
    await engine.pages.append([page(run_id, 1, 3), page(run_id, 1, 2, attempt=2)])
    await engine.elsewhere.append([page(run_id, 4, 6), page("other", 1, 1)])
    assert await engine.pages.read(run_id, START) == [page(run_id, 1, 3), page(run_id, 1, 2, attempt=2)]
    assert await engine.pages.tail(run_id) == Position(2, 2)
    assert await engine.pages.tail("other") == Position(1, 1)


async def test_others_are_woken_for_the_runs_that_have_news(engine: Engine) -> None:
    """Of a thousand runs at once too, each named once; every run has its own pages."""
    ids = [str(uuid7()) for _ in range(1000)]
    await engine.pages.append([page(id_, seq, seq) for id_ in ids for seq in (1, 2)])
    await engine.heard.until(lambda: len(engine.heard.ids("events")) >= 1000)
    assert engine.heard.ids("events") == ids
    for id_ in ids[::100]:
        assert await engine.elsewhere.read(id_, START) == [page(id_, 1, 1), page(id_, 2, 2)]
    await engine.pages.append([])


async def test_big_pages_come_a_few_at_a_time(engine: Engine, run_id: str) -> None:
    """A megabyte is one page and one answer; reading on brings the rest, in the same order."""
    big = [page(run_id, seq, seq, body=bytes([seq]) * 2**20) for seq in range(1, 20)]
    for one in big:
        await engine.pages.append([one])
    read: list[Page] = []
    while more := await engine.elsewhere.read(run_id, Position(1, len(read))):
        assert len(more) < len(big)
        read += more
    assert read == big
    small = [page("small", seq, seq) for seq in range(1, 2001)]
    await engine.pages.append(small)
    read = []
    while more := await engine.elsewhere.read("small", Position(1, len(read))):
        read += more
    assert read == small


async def test_empty_bodies_and_any_bytes(engine: Engine, run_id: str) -> None:
    """A body is what its writer says."""
    pages = [page(run_id, 1, 1, body=b""), page(run_id, 2, 2, body=bytes(range(256)))]
    await engine.pages.append(pages)
    assert await engine.elsewhere.read(run_id, START) == pages


async def test_what_is_forgotten_may_be_written_again(engine: Engine, run_id: str) -> None:
    """Other runs stay."""
    await engine.pages.append([page(run_id, 1, 3), page("other", 1, 1)])
    await engine.pages.forget([run_id, "third"])
    await engine.pages.forget([])
    assert await engine.pages.tail(run_id) is None
    assert await engine.pages.tail("other") == Position(1, 1)
    await engine.pages.append([page(run_id, 1, 3)])
    assert await engine.elsewhere.tail(run_id) == Position(1, 3)


async def test_pages_go_after_their_time_in_postgres(postgres_url: str, run_id: str) -> None:
    """In batches, those that have had it."""
    settings = Settings(_env_file=None, database_url=postgres_url)
    database = Database(settings)
    await database.start()
    hour, now = PostgresPages(database, TTL_S), PostgresPages(database, 0)
    await hour.append([page(run_id, seq, seq) for seq in range(1, 6)])
    assert await hour.expire() == 0
    assert [await now.expire(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert await now.tail(run_id) is None
    await database.close()


async def test_pages_go_after_their_time_in_a_file(tmp_path: Path, run_id: str) -> None:
    """So many at once."""
    hour, now = (SqlitePages(tmp_path / "events", ttl_s, Peers()) for ttl_s in (TTL_S, 0))
    await hour.start()
    await now.start()
    await hour.append([page(run_id, seq, seq) for seq in range(1, 4)])
    assert await hour.expire() == 0
    assert [await now.expire(limit=2) for _ in range(3)] == [2, 1, 0]
    assert await hour.tail(run_id) is None
    await hour.close()
    await now.close()


async def test_a_file_that_cannot_be_written_is_unavailable(tmp_path: Path, run_id: str) -> None:
    """And can be again: nothing of what failed is left behind."""
    pages = SqlitePages(tmp_path / "events", TTL_S, Peers())
    await pages.start()
    other = sqlite3.connect(tmp_path / "events", isolation_level=None)
    other.execute("ALTER TABLE pages RENAME TO elsewhere")
    with pytest.raises(Unavailable):
        await pages.append([page(run_id, 1, 1)])
    other.execute("ALTER TABLE elsewhere RENAME TO pages")
    await pages.append([page(run_id, 1, 1)])
    assert await pages.tail(run_id) == Position(1, 1)
    other.close()
    await pages.close()


async def test_pages_go_after_their_time_in_redis(redis: Redis, redis_url: str, run_id: str) -> None:
    """By themselves: each new page gives all of its run's their time anew."""
    pages = RedisPages(redis_url, TTL_S, Heard())
    await pages.append([page(run_id, 1, 1)])
    with redis.client() as client:
        client.expire(f"waggle:events:{run_id}", 10)
        await pages.append([page(run_id, 2, 2)])
        assert TTL_S - 60 < client.ttl(f"waggle:events:{run_id}") <= TTL_S
    assert await pages.expire() == 0
    await pages.close()


@pytest.mark.parametrize("server", ["postgres", "redis"], indirect=True)
async def test_while_it_is_away_everything_is_refused_soon_and_afterwards_all_is_well(
    engine: Engine, run_id: str
) -> None:
    """Every method says so, with nothing of the driver's words; readers are woken again, and told to look."""
    await engine.pages.append([page(run_id, 1, 1)])
    await engine.heard.until(lambda: engine.heard.ids("events") == [run_id])
    assert engine.server is not None
    async with away(engine.server):
        began = asyncio.get_running_loop().time()
        for refused in (
            engine.pages.append([page(run_id, 2, 2)]),
            engine.pages.read(run_id, START),
            engine.pages.tail(run_id),
            engine.pages.forget([run_id]),
            engine.pages.ping(),
        ):
            with pytest.raises(Unavailable) as unavailable:
                await refused
            assert "does not answer" in unavailable.value.detail
            assert str(engine.server.port) not in unavailable.value.detail
            assert unavailable.value.retry_after_s == 2
        assert asyncio.get_running_loop().time() - began < 5
        engine.heard.notices.clear()
    await until(lambda: _appended(engine.pages, page(run_id, 2, 2)))
    await engine.heard.topic("resync")
    await engine.pages.append([page(run_id, 3, 3)])
    await engine.heard.until(lambda: run_id in engine.heard.ids("events"))
    assert await engine.elsewhere.tail(run_id) == Position(1, 3)


async def _appended(pages: Pages, *more: Page) -> bool:
    try:
        await pages.append(more)
    except Unavailable:
        return False
    return True


async def test_an_end_in_the_midst_of_things_is_unavailable_and_nothing_else(
    postgres: Postgres, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Postgres has many words for it, and SQLAlchemy a class for some. None brings what was to be kept into the log."""
    database = Database(Settings(_env_file=None, database_url=postgres_url))
    await database.start()
    pages = PostgresPages(database, TTL_S)
    over = asyncio.Event()

    async def write(run_id: str) -> int:
        refused, seq = 0, 0
        while not over.is_set():
            seq += 1
            refused += not await _appended(pages, page(run_id, seq, seq, body=b"confidential"))
        return refused

    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(write(str(uuid7()))) for _ in range(12)]
        for mode in MODES * 2:
            await asyncio.to_thread(postgres.restart, mode)
        over.set()
    assert all(writer.result() for writer in writers)
    assert "does not answer" in caplog.text
    assert "confidential" not in caplog.text
    await database.close()


@asynccontextmanager
async def away(server: Postgres | Redis) -> AsyncIterator[None]:
    """It is stopped inside, and started again."""
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


async def test_a_redis_that_hangs_is_given_up(
    redis: Redis, redis_url: str, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Within seconds, also by many at once; the log says it once, and that it is over."""
    caplog.set_level("INFO")
    pages = RedisPages(redis_url, TTL_S, Heard())
    await pages.ping()
    with redis.hanging():
        began = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(_appended(pages, page(run_id, 1, 1)) for _ in range(30)))
        assert outcomes == [False] * 30
        assert asyncio.get_running_loop().time() - began < 6
    await until(lambda: _appended(pages, page(run_id, 1, 1)))
    assert await pages.tail(run_id) == Position(1, 1)
    await pages.close()
    assert [record.levelname for record in caplog.records if "event log" in record.message] == ["WARNING", "INFO"]


async def test_a_redis_that_is_away_at_the_start_comes_later(redis: Redis, redis_url: str, run_id: str) -> None:
    """The service need not wait for it; a hanging one, and words that nobody understands, end no listening either."""
    heard = Heard()
    pages = RedisPages(redis_url, TTL_S, heard)
    async with away(redis):
        await pages.start()
        with pytest.raises(Unavailable):
            await pages.ping()
    await heard.topic("resync")
    heard.notices.clear()
    with redis.client() as client:
        client.publish(CHANNEL, "nonsense")
    await heard.topic("resync")
    await pages.append([page(run_id, 1, 1)])
    await heard.topic("events")
    await pages.close()


async def test_a_silent_subscription_is_replaced(
    redis: Redis, redis_url: str, run_id: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No error comes from a server that vanished: two heartbeats without an answer, and it is tried anew."""
    monkeypatch.setattr("app.store.redis_pages.HEARTBEAT_S", 0.2)
    heard = Heard()
    pages = RedisPages(redis_url, TTL_S, heard)
    await pages.start()
    await heard.topic("resync")
    heard.notices.clear()
    await asyncio.sleep(1)
    assert heard.notices == [], "answered heartbeats are no reason"
    with redis.hanging():
        await until(lambda: _said("No notices from Redis", caplog))
    await heard.topic("resync")
    await pages.append([page(run_id, 1, 1)])
    await heard.topic("events")
    await pages.close()


async def _said(words: str, caplog: pytest.LogCaptureFixture) -> bool:
    return words in caplog.text


async def test_an_emptied_redis_is_written_again(redis: Redis, redis_url: str, run_id: str) -> None:
    """The tail tells the writer; later events alone are a page after a gap, which the reader sees."""
    pages = RedisPages(redis_url, TTL_S, Heard())
    await pages.append([page(run_id, 1, 3)])
    with redis.client() as client:
        client.flushall()
    assert await pages.tail(run_id) is None
    await pages.append([page(run_id, 1, 3), page(run_id, 4, 4)])
    assert await pages.read(run_id, START) == [page(run_id, 1, 3), page(run_id, 4, 4)]
    await pages.close()


async def test_a_run_keeps_only_so_many_pages_in_redis(
    redis: Redis, redis_url: str, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go; about as many as said."""
    monkeypatch.setattr("app.store.redis_pages.PAGES", 100)
    pages = RedisPages(redis_url, TTL_S, Heard())
    for seq in range(1, 1001, 100):
        await pages.append([page(run_id, number, number) for number in range(seq, seq + 100)])
    kept = await pages.read(run_id, START)
    assert 100 <= len(kept) <= 300
    assert kept[-1] == page(run_id, 1000, 1000)
    await pages.close()
