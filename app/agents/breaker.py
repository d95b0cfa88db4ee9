"""A provider that is down is not asked again and again: its callers are told at once, and it is let come back.

After so many failures in a row of one model's calls (nobody there, silence, 5xx) its breaker opens for a time. Then
one call is let through: the model's first word closes it again, another failure opens it anew. What the provider
refuses is an answer; a call that was cancelled, or that could not be read, tells nothing.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil

from app.agents.provider_errors import UNREADABLE, ProviderFailure, classify
from app.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

KEPT = 1000
"""Breakers at most: recipes may make clients of any address."""


class Breaker:
    """One model's, at one address. All of its calls are made in one event loop."""

    def __init__(self, failures: int, seconds: float, changed: Callable[[bool], None]) -> None:
        self._limit = failures
        self._seconds = seconds
        self._changed = changed
        self._failures = 0
        self._opened = 0.0
        self._probing = False
        self.is_open = False

    @contextmanager
    def call(self) -> Iterator["Breaker"]:
        """Around one call, which says when it is `heard`. Raises ProviderFailure where it is not to be made."""
        probes = self._let_through()
        try:
            yield self
        except Exception as error:
            self._failed(error)
            raise
        else:
            self._failures = 0
            self.heard()
        finally:
            if probes:
                self._probing = False

    def heard(self) -> None:
        """The provider answers: who waits for it may ask. A failure yet to come counts with those before."""
        if self.is_open:
            self.is_open = False
            self._changed(False)

    def _let_through(self) -> bool:
        """Whether this call finds out if the provider is back."""
        if not self.is_open:
            return False
        left = self._opened + self._seconds - time.monotonic()
        if left > 0 or self._probing:
            raise ProviderFailure(
                "unavailable",
                "The model provider is taken to be down, since its last calls all failed: try again later.",
                retry_after_s=max(1, ceil(left)),
            )
        self._probing = True
        return True

    def _failed(self, error: Exception) -> None:
        failure = classify(error)
        if failure is None or (failure.reason, failure.detail) == UNREADABLE:
            return
        if failure.reason not in ("unavailable", "timeout"):
            self._failures = 0
            self.heard()
            return
        self._failures += 1
        if self._failures >= self._limit > 0 and (self._probing or not self.is_open):
            self._opened = time.monotonic()
            if not self.is_open:
                self.is_open = True
                self._changed(True)


class Breakers:
    """Those of a process."""

    def __init__(self, failures: int, seconds: float, metrics: Metrics) -> None:
        self._failures = failures
        self._seconds = seconds
        self._metrics = metrics
        self._breakers: dict[tuple[str, str, str], Breaker] = {}

    def of(self, provider: str, model: str, address: str) -> Breaker:
        key = provider, model, address
        if key not in self._breakers:
            if len(self._breakers) >= KEPT:
                del self._breakers[next(iter(self._breakers))]
            self._breakers[key] = Breaker(self._failures, self._seconds, partial(self._changed, provider, model))
            self._metrics.breaker(provider, model, is_open=None)
        return self._breakers[key]

    def _changed(self, provider: str, model: str, is_open: bool) -> None:
        self._metrics.breaker(provider, model, is_open=is_open)
        if is_open:
            logger.error("Model %r of %s is taken to be down: its last calls all failed", model, provider)
        else:
            logger.warning("Model %r of %s answers again", model, provider)

    def open(self) -> list[str]:
        """The models whose breakers are open."""
        return sorted({f"{provider}:{model}" for (provider, model, _), each in self._breakers.items() if each.is_open})
