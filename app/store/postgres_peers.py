"""Peers on Postgres: one connection a process, which holds its advisory lock and hears the others' notices.

The lock's number is in the process id, so that others can look for it. The lock is shared: nobody ever waits for it,
and a process that comes back takes it again even while Postgres still keeps its broken connection. One task owns the
connection. A broken one is replaced, with everything that goes with it; meanwhile nobody is dead, what is to be told
is kept, and once in touch again the listeners are told to look at everything.

After Postgres has restarted all processes come back, each in its own time. So an owner counts as dead only once its
lock was seen free for DEAD_AFTER_S of this process's own unbroken connection: more than the longest pause between two
attempts to connect. A false death costs a run's attempt, and no more: every write names its attempt.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Any
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import URL

from app.errors import Unavailable
from app.store.local_peers import Peers
from app.store.notices import CHANNEL, Topic, read, written

logger = logging.getLogger(__name__)

DEAD_AFTER_S = 2.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
"""Between two attempts to connect; doubled each time."""
CONNECT_S, COMMAND_S, START_S, CLOSE_S = 5, 5, 10, 2
"""Deadlines."""
HEARTBEAT_S = 5
"""The longest silence on the connection: a server that vanished is found out after this and COMMAND_S."""
UNTOLD = 10_000
"""Notices kept while out of touch; beyond, the others are told to look at everything."""
LOCKS = 0x77616771
"""The class of the advisory locks that stand for processes."""

# A machine that vanished without a word is given up by Postgres, and its lock with it, after about 10 s.
_ARRIVE = """
    SELECT pg_advisory_lock_shared($1, $2), set_config('application_name', 'waggle', false),
           set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
           set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10000', false)
"""
_HELD = """
    SELECT objid::bigint AS number FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::int AND objid = ANY($2::oid[]) AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_TELL = "SELECT pg_notify($1, notice) FROM unnest($2::text[]) AS notice"


class PostgresPeers(Peers):
    """The processes on one Postgres database. Needs a session of its own: no pooler in transaction mode between."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._options = _options(url)
        self._connection: Any = None
        self._turn = asyncio.Lock()
        """Whose turn it is on the connection, which does one thing at a time."""
        self._first_missed: dict[str, float] = {}
        self._untold: dict[tuple[Topic, str | None], None] = {}
        self._news = asyncio.Event()
        """Something to tell, or the connection has gone, or it is time to close."""
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def in_touch(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_in_touch(), name="peers")
        try:
            async with asyncio.timeout(START_S):
                await self._arrived.wait()
        except TimeoutError:
            await self.close()
            raise Unavailable("The database does not answer: try again.", retry_after_s=2) from None

    async def close(self) -> None:
        if self._task is None:
            return
        self._closing = True
        self._news.set()
        if not self.in_touch:
            self._task.cancel()
        await asyncio.wait({self._task}, timeout=CLOSE_S)
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=CLOSE_S)

    async def dead(self, owners: Collection[str]) -> set[str]:
        """Ask again and again: an owner's time begins when it is first asked for and missed."""
        numbers = {owner: number for owner in owners if (number := _number(owner)) is not None}
        numbers.pop(self.process_id, None)
        if not numbers:
            return set()
        held = await self._held(set(numbers.values()))
        if held is None:
            return set()
        now = asyncio.get_running_loop().time()
        for owner, number in numbers.items():
            if number in held:
                self._first_missed.pop(owner, None)
            else:
                self._first_missed.setdefault(owner, now)
        return {owner for owner in numbers if now - self._first_missed.get(owner, now) >= DEAD_AFTER_S}

    async def tell(self, topic: Topic, *ids: str) -> None:
        """At once to this process; to the others with whatever else there is to tell by then, in one statement."""
        self.hear(topic, ids)
        self._untold |= dict.fromkeys(((topic, id_) for id_ in ids) if ids else [(topic, None)])
        if len(self._untold) > UNTOLD:
            self._untold = {("resync", None): None}
        self._news.set()

    async def _held(self, numbers: set[int]) -> set[int] | None:
        """Which of the locks somebody holds; None while out of touch."""
        async with self._turn:
            connection = self._connection
            if connection is None:
                return None
            try:
                rows = await connection.fetch(_HELD, LOCKS, list(numbers))
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()  # its owner finds out, and says so
                return None
            return {row["number"] for row in rows}

    async def _keep_in_touch(self) -> None:
        pause, returning = FIRST_PAUSE_S, False
        while not self._closing:
            try:
                async with asyncio.timeout(CONNECT_S):
                    connection = await self._connected()
                pause = FIRST_PAUSE_S
                if returning:
                    logger.info("In touch with the other processes again.")
                    self.hear("resync")
                returning = True
                await self._stay(connection)
            except Exception as error:  # noqa: BLE001 whatever it is: without this task the process counts as dead
                if pause == FIRST_PAUSE_S:
                    logger.warning("Out of touch with the other processes: %r", error)
            if not self._closing:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _connected(self) -> Any:
        connection = await asyncpg.connect(**self._options)
        try:
            connection.add_termination_listener(lambda _: self._news.set())
            await connection.fetch(_ARRIVE, LOCKS, _number(self.process_id))
            await connection.add_listener(CHANNEL, self._notified)
        except BaseException:
            connection.terminate()
            raise
        self._first_missed.clear()
        return connection

    async def _stay(self, connection: Any) -> None:
        """Tell what there is to tell, until the connection breaks or is no longer needed."""
        self._connection = connection
        self._arrived.set()
        try:
            while not connection.is_closed():
                self._news.clear()
                await self._say(connection)
                if self._closing:
                    await connection.close(timeout=CLOSE_S)
                    return
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await self._news.wait()
                except TimeoutError:
                    pass
            raise ConnectionError("the connection was closed")
        finally:
            self._connection = None
            connection.terminate()

    async def _say(self, connection: Any) -> None:
        """What could not be told is kept; with nothing to tell, it is a heartbeat."""
        untold, self._untold = self._untold, {}
        by_topic: dict[Topic, list[str]] = {}
        for topic, id_ in untold:
            by_topic.setdefault(topic, []).extend([] if id_ is None else [id_])
        notices = [notice for topic, ids in by_topic.items() for notice in written(topic, ids)]
        try:
            async with self._turn:
                await connection.fetch(_TELL, CHANNEL, notices)
        except BaseException:
            self._untold = untold | self._untold
            raise

    def _notified(self, connection: Any, pid: int, _channel: str, notice: str) -> None:
        if pid != connection.get_server_pid():  # its own it has heard before it told them
            self.hear(*read(notice))


def _number(process_id: str) -> int | None:
    """Its lock's: the last 31 random bits of the UUID. None for what is no process of this kind."""
    try:
        return UUID(process_id).int & 0x7FFFFFFF
    except ValueError:
        return None


def _options(url: URL) -> dict[str, Any]:
    """What SQLAlchemy would give to asyncpg for it, without what is for SQLAlchemy itself."""
    _, options = url.get_dialect()().create_connect_args(url)
    for own in ("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback"):
        options.pop(own, None)
    return {**options, "timeout": CONNECT_S, "command_timeout": COMMAND_S}
