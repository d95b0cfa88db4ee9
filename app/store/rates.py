"""How often each caller may begin a run: sliding windows, counted by `limits`, in memory or for all in Redis."""

import logging
import time
from dataclasses import dataclass
from math import ceil
from typing import Any

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.caller import Caller

TIMEOUT_S = 1.0
"""What Redis gets; then this process counts by itself."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of the limit that is nearest to its end."""

    limit: int
    window_s: int
    remaining: int
    reset_s: int
    """Seconds until more is allowed."""
    allowed: bool

    @property
    def headers(self) -> dict[str, str]:
        """https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-07."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
            "RateLimit-Policy": f"{self.limit};w={self.window_s}",
        }


class Rates:
    """Counts what callers begin. While Redis is away each process counts by itself."""

    def __init__(self, limit: str, redis_url: str | None) -> None:
        """`limit` as `60/minute;1000/day`; raises ValueError."""
        self._items: list[RateLimitItem] = parse_many(limit)
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._pool: Any = None
        self._away: tuple[type[Exception], ...] = (OSError,)
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if redis_url is not None:
            from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 most have no Redis, and it takes a while
            from redis.exceptions import RedisError  # noqa: PLC0415

            self._away = (RedisError, OSError)
            self._pool = BlockingConnectionPool.from_url(
                redis_url, timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
            )
            storage = RedisStorage(f"async+{redis_url}", implementation="redispy", connection_pool=self._pool)
            self._shared = SlidingWindowCounterRateLimiter(storage)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    async def count(self, caller: Caller) -> Allowance:
        """One more of the caller's."""
        if self._shared is not None:
            try:
                return await self._count(self._shared, caller)
            except self._away:
                logger.warning("Redis cannot be reached: RATE_LIMIT counts in this process alone")
        return await self._count(self._here, caller)

    async def _count(self, limiter: SlidingWindowCounterRateLimiter, caller: Caller) -> Allowance:
        found = []
        for item in self._items:
            allowed = await limiter.hit(item, caller.tenant, caller.user or "")
            stats = await limiter.get_window_stats(item, caller.tenant, caller.user or "")
            reset_s = max(1, ceil(stats.reset_time - time.time()))
            found.append(Allowance(item.amount, item.get_expiry(), stats.remaining, reset_s, allowed))
        return min(found, key=lambda allowance: (allowance.allowed, allowance.remaining / allowance.limit))
