"""What the tests of clients may ask for."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from tests.clients.calling import Calling
from waggle_client import AsyncWaggle, Waggle


class Connect(Protocol):
    """Makes a client for that service, which is closed after the test."""

    def __call__(self, url: str, **options: Any) -> Calling: ...


@pytest.fixture(params=[Waggle, AsyncWaggle], ids=["sync", "async"])
async def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """Once for each form of the client."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made: list[Calling] = []

    def connect(url: str, **options: Any) -> Calling:
        made.append(Calling(request.param(url, **options)))
        return made[-1]

    yield connect
    for each in made:
        await each.close()
