"""What processes tell each other, as text: a topic and ids. Written by peers and pages, read by peers.

A notice only wakes: it carries no state, may be lost, and may come twice. Whoever hears one looks for itself.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import orjson

Topic = Literal["queued", "cancel", "watching", "changed", "events", "resync"]
"""`resync`: notices may have been missed, so look at everything; it has no ids."""
CHANNEL = "waggle"
"""Of Postgres' NOTIFY and of Redis' PUBLISH."""
LIMIT_BYTES = 7900
"""Postgres refuses payloads of 8000 bytes and more."""


def written(topic: Topic, ids: Sequence[str]) -> list[str]:
    """As few notices as have room for the ids, each a JSON array of the topic and its ids."""
    return [f'["{topic}"{part}]' for part in _parts(topic, ids)]


def read(notice: str | bytes) -> tuple[Topic, list[str]]:
    topic, *ids = orjson.loads(notice)
    return topic, ids


def _parts(topic: Topic, ids: Sequence[str]) -> Iterator[str]:
    room = LIMIT_BYTES - len(f'["{topic}"]')
    part, size = "", 0
    for written_id in ("," + orjson.dumps(id_).decode() for id_ in ids):
        more = len(written_id.encode())
        if size + more > room:
            yield part
            part, size = "", 0
        part += written_id
        size += more
    yield part
