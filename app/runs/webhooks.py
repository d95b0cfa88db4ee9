"""The news of runs' ends, delivered to whoever asked for it.

At least once, and in no particular order: what is due is claimed, tried (see `courier`), and recorded. A run never
waits for a receiver, and what a process that dies has claimed is due again a minute later.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import anyio

from app.errors import InvalidInput, Unavailable
from app.runs.addresses import Resolve, resolve
from app.runs.courier import Answer, Courier
from app.runs.receivers import UrlRefused, origin_of, receiver_of
from app.settings import Settings
from app.store.webhooks import Due, WebhookStore
from app.telemetry.logs import fields
from app.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

RETRIES_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""After each failure but the last, as standard-webhooks.md has them ("Deliverability and reliability")."""
JITTER = 0.2
"""By what share of it a retry is late at most: those that failed together do not come back together."""
MAX_RETRY_AFTER_S = 24 * 3600
"""A receiver may put a retry off for as long as the last step takes."""
ATTEMPT_S = 15
RECORD_S = 20
"""For a transaction; each part of one has a deadline of its own."""
HOLD_S = 60
"""Longer than an attempt and its record take: meanwhile nobody else tries it."""
AT_ONCE = 16
POLL_S = 5
"""How often it is looked for what other processes left, and for what is to be tried again."""


class Webhooks:
    """Checks a run's `webhook_url` before it starts, and delivers what is due while it serves."""

    def __init__(
        self,
        settings: Settings,
        store: WebhookStore,
        metrics: Metrics,
        *,
        resolve: Resolve = resolve,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        attempt_s: float = ATTEMPT_S,
    ) -> None:
        self._allowed = settings.webhook_allow
        self._store, self._metrics, self._now = store, metrics, now
        self._courier: Courier | None = None
        if (secret := settings.webhook_secret) is not None:
            self._courier = Courier(secret.get_secret_value(), self._allowed, resolve, now, attempt_s)
        self._bell = asyncio.Event()
        self._going = 0

    def check(self, url: str) -> None:
        """Raises InvalidInput where no webhook will be sent to that URL."""
        if self._courier is None:
            raise _invalid("This service sends no webhooks: set WEBHOOK_SECRET, which signs them.")
        try:
            receiver_of(url, self._allowed)
        except UrlRefused as error:
            raise _invalid(str(error)) from None

    def ring(self) -> None:
        """Something is due: look now."""
        self._bell.set()

    async def serve(self) -> None:
        """Deliver until cancelled. Without a secret, what is due waits for a process that has one."""
        if self._courier is None:
            return
        async with self._courier as courier, anyio.create_task_group() as group:
            while True:
                self._bell.clear()
                free = AT_ONCE - self._going
                claimed = await self._claim(free) if free else []
                for due in claimed:
                    self._going += 1
                    group.start_soon(self._deliver, courier, due, name=f"webhook of {due.run_id}")
                if free and len(claimed) == free:
                    continue  # there may be more, and room again
                with anyio.move_on_after(POLL_S):
                    await self._bell.wait()

    async def _claim(self, limit: int) -> list[Due]:
        """Not cancelled half-way, which would break a connection."""
        with anyio.move_on_after(RECORD_S, shield=True), suppress(Unavailable):  # the store has logged it
            return await self._store.claim(limit, self._now(), HOLD_S)
        return []

    async def _deliver(self, courier: Courier, due: Due) -> None:
        """What was answered is recorded, also by a process that ends; else it is due again, under the same id."""
        try:
            answer = await self._answer(courier, due)
            with anyio.move_on_after(RECORD_S, shield=True), suppress(Unavailable):  # the store has logged it
                await self._record(due, answer)
        finally:
            if self._going == AT_ONCE:  # `serve` waits for room
                self.ring()
            self._going -= 1

    async def _answer(self, courier: Courier, due: Due) -> Answer:
        try:
            return await courier.post(due.run, receiver_of(due.url, self._allowed))
        except UrlRefused as error:  # it was accepted under other settings
            return Answer(str(error), hopeless=True)
        except Exception:  # a mistake of ours costs this attempt, not the service
            logger.exception("The webhook of run %s could not be made", due.run_id)
            return Answer("a mistake of ours")

    async def _record(self, due: Due, answer: Answer) -> None:
        attempts = due.attempts + 1
        told = fields(run_id=due.run_id, receiver=origin_of(due.url), attempt=attempts, answer=answer.said)
        if answer.delivered:
            await self._store.delivered(due.run_id, self._now())
            self._metrics.webhook("delivered")
            logger.info("Webhook delivered", extra=told)
        elif answer.hopeless or attempts > len(RETRIES_S):
            await self._store.failed(due.run_id, attempts, None)
            self._metrics.webhook("given_up")
            logger.warning("Webhook given up", extra=told)
        else:
            await self._store.failed(due.run_id, attempts, self._now() + _wait(attempts, answer.retry_after_s))
            self._metrics.webhook("retried")
            logger.info("Webhook failed, and is tried again", extra=told)


def _invalid(message: str) -> InvalidInput:
    listed = [{"loc": ["body", "webhook_url"], "msg": message}]
    return InvalidInput("Wrong or missing: webhook_url. See `errors`.", errors=listed)


def _wait(attempts: int, retry_after_s: float) -> timedelta:
    """After that many failures, at the earliest when the receiver asks for it, within bounds."""
    planned = RETRIES_S[attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 nothing depends on its being secret  # nosec B311
    return timedelta(seconds=max(planned, min(retry_after_s, MAX_RETRY_AFTER_S)))
