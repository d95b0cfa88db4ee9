"""What a page of a run's events is, and what can be done with pages wherever they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.events import Position

READ_BYTES = 1 << 20
"""A reader gets as many pages at once as begin within this many bytes, and at least one."""


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive events of one attempt, from `first_seq` to `last_seq`, as their writer encoded them."""

    run_id: str
    attempt: int
    first_seq: int
    last_seq: int
    body: bytes


class Pages(Protocol):
    """Where pages are kept. Every method raises Unavailable when that does not answer within seconds."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def append(self, pages: Sequence[Page]) -> None:
        """Keep the pages, those of one run in order, in one round trip; drop what is there; wake the readers."""

    async def read(self, run_id: str, after: Position, limit_bytes: int = READ_BYTES) -> list[Page]:
        """The next pages with events after that position, in order; empty at the end.

        The first may begin before it, and where pages are gone (expired, or too many) after a gap: the reader looks
        at `first_seq`.
        """

    async def tail(self, run_id: str) -> Position | None:
        """The last event that is kept."""

    async def forget(self, run_ids: Collection[str]) -> None:
        """Drop all pages of these runs."""

    async def expire(self, limit: int = 1000) -> int:
        """Drop some of the pages that have had their time; how many: fewer than `limit` means that none is left.

        0 where they go by themselves.
        """

    async def ping(self) -> None:
        """Raise Unavailable when pages can be neither kept nor read."""
