"""Pages in Redis: a stream a run, whose entries are numbered as the run's events are.

An entry's id is `{attempt}-{last_seq}`. Redis refuses ids that are not above a stream's last: that is the whole
fencing. A stream goes after `ttl_s` without a new page; Redis needs to keep nothing over its own end. Notices come
on one subscribed connection, which one task owns and replaces; the pool's connections are for commands.

Nothing is tried twice here: whoever calls knows better when, and whether it is still worth it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.errors import Unavailable
from app.events import Position
from app.store.local_peers import Listener
from app.store.notices import CHANNEL, Topic, read, written
from app.store.page import READ_BYTES, Page

logger = logging.getLogger(__name__)

TIMEOUT_S = 2
"""For connecting, for a command, and for a connection of the pool; together they have twice that."""
CONNECTIONS = 8
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
"""Between two attempts to subscribe; doubled each time."""
HEARTBEAT_S = 5
"""The longest silence on the subscribed connection: a server that vanished is found out after two of them."""
PAGES = 10_000
"""About as many are kept of a run; the oldest go first."""
_READ_FIRST, _READ_MOST = 16, 500
"""Pages asked for at once: some, and then as many as will do if they go on like that."""
_THERE_ALREADY = "equal or smaller"
"""In the words of XADD's refusal: this page, or a later one, is in the stream."""


class RedisPages:
    """`hear` is told of notices: `Peers.hear`."""

    def __init__(self, url: str, ttl_s: float, hear: Listener) -> None:
        self._ttl_s = round(ttl_s)
        self._hear = hear
        self._redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS + 1,
                timeout=TIMEOUT_S,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                socket_keepalive=True,
                retry=Retry(NoBackoff(), 0),
                client_name="waggle",
                protocol=2,
            )
        )
        self._answers = True
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribes in the background: while Redis is away, the service can do everything else."""
        self._task = asyncio.create_task(self._keep_listening(), name="events in Redis")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=TIMEOUT_S)
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def append(self, pages: Sequence[Page]) -> None:
        if not pages:
            return
        run_ids = list(dict.fromkeys(page.run_id for page in pages))
        async with self._answering():
            pipeline = self._redis.pipeline(transaction=False)
            for page in pages:
                pipeline.xadd(
                    _key(page.run_id),
                    {"f": page.first_seq, "b": page.body},
                    id=f"{page.attempt}-{page.last_seq}",
                    maxlen=PAGES,
                    approximate=True,
                )
            for run_id in run_ids:
                pipeline.expire(_key(run_id), self._ttl_s)
            for notice in written("events", run_ids):
                pipeline.publish(CHANNEL, notice)
            for reply in await pipeline.execute(raise_on_error=False):
                if isinstance(reply, Exception) and _THERE_ALREADY not in str(reply):
                    raise reply

    async def read(self, run_id: str, after: Position, limit_bytes: int = READ_BYTES) -> list[Page]:
        pages: list[Page] = []
        size, count = 0, _READ_FIRST
        async with self._answering():
            while size < limit_bytes:
                entries: Any = await self._redis.xrange(_key(run_id), min=f"({after.attempt}-{after.seq}", count=count)
                for entry_id, fields in entries:
                    after = _position(entry_id)
                    pages.append(Page(run_id, after.attempt, int(fields[b"f"]), after.seq, fields[b"b"]))
                    size += len(fields[b"b"])
                if len(entries) < count:
                    break
                count = max(1, min(_READ_MOST, (limit_bytes - size) * len(pages) // (size + 1)))
        return pages

    async def tail(self, run_id: str) -> Position | None:
        async with self._answering():
            last: Any = await self._redis.xrevrange(_key(run_id), count=1)
            return _position(last[0][0]) if last else None

    async def forget(self, run_ids: Collection[str]) -> None:
        if run_ids:
            async with self._answering():
                await self._redis.unlink(*map(_key, run_ids))

    async def expire(self, limit: int = 1000) -> int:  # noqa: ARG002 Redis does it by itself
        return 0

    async def ping(self) -> None:
        async with self._answering():
            await self._redis.ping()

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """What Redis cannot do now is Unavailable; the log has its words once, until it answers again."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            if self._answers:
                logger.warning("The event log (Redis) does not answer: %s", error)
            self._answers = False
            raise Unavailable("The event log (Redis) does not answer: try again.", retry_after_s=2) from error
        if not self._answers:
            logger.info("The event log (Redis) answers again.")
        self._answers = True

    async def _keep_listening(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    async for topic, run_ids in _heard(subscription):
                        pause = FIRST_PAUSE_S
                        self._hear(topic, run_ids)
            except Exception as error:  # noqa: BLE001 whatever it is: without this task viewers elsewhere see nothing
                if pause == FIRST_PAUSE_S:
                    logger.warning("No notices from Redis: %r", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


async def _heard(subscription: Any) -> AsyncIterator[tuple[Topic, list[str]]]:
    """The notices; and one once subscribed, since others may have been missed before."""
    pinged = False
    while True:
        match await subscription.get_message(timeout=HEARTBEAT_S):
            case {"type": "message", "data": bytes(notice)}:
                yield read(notice)
            case {"type": "subscribe"}:
                yield "resync", []
            case None if pinged:
                raise TimeoutError("Redis is silent")
            case None:
                await subscription.ping()
                pinged = True
                continue
        pinged = False


def _key(run_id: str) -> str:
    return f"waggle:events:{run_id}"


def _position(entry_id: bytes) -> Position:
    attempt, _, last_seq = entry_id.partition(b"-")
    return Position(int(attempt), int(last_seq))
