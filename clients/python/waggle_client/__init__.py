"""Calls Waggle, the server for AutoGen agents.

`Waggle` and `AsyncWaggle` are the same, but for the waiting. What they return is in `types`, what they raise in
`errors`.
"""

from waggle_client._async import AsyncEvents, AsyncWaggle
from waggle_client._sync import Events, Waggle
from waggle_client.errors import (
    EventsGone,
    NotFound,
    Problem,
    RateLimited,
    RunFailed,
    SessionBusy,
    Unreachable,
    WaggleError,
)
from waggle_client.types import Event, Message, Run, Session, image

__all__ = [
    "AsyncEvents",
    "AsyncWaggle",
    "Event",
    "Events",
    "EventsGone",
    "Message",
    "NotFound",
    "Problem",
    "RateLimited",
    "Run",
    "RunFailed",
    "Session",
    "SessionBusy",
    "Unreachable",
    "Waggle",
    "WaggleError",
    "image",
]
