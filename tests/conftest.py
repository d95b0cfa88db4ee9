"""What every test may ask for."""

from collections.abc import Iterator

import pytest

from tests.servers.honeyhive import HoneyHive
from tests.servers.otlp import Collector
from tests.servers.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """An OTLP collector of this test's own."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def honeyhive() -> Iterator[HoneyHive]:
    """A HoneyHive of this test's own."""
    with HoneyHive() as honeyhive:
        yield honeyhive
