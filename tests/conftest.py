"""What every test may ask for."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from tests.chromium import chromium
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.postgres import postgres, postgres_url
from tests.servers.redis import redis, redis_url
from tests.service import Service, serving

__all__ = ["chromium", "postgres", "postgres_url", "redis", "redis_url"]

MODEL = "openai:gpt-4o-mini"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own keys and endpoints are none of a test's."""
    for name in (*Settings.model_fields, "google_api_key", "openai_base_url"):
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def no_context_lost(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry only logs that a context was left in another task than it was entered in: no test may cause it."""
    yield
    said = [record.getMessage() for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]
    assert "Failed to detach context" not in said


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


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIWire]:
    """A server that speaks OpenAI's wire."""
    async with OpenAIWire() as wire:
        yield wire


@pytest.fixture
def with_openai(openai: OpenAIWire, tmp_path: Path) -> dict[str, object]:
    """Settings for a service whose model is `openai`."""
    return {"model": MODEL, "model_base_url": f"{openai.url}/v1", "openai_api_key": "sk-test", "data_dir": tmp_path}


@pytest.fixture
async def service(with_openai: dict[str, object]) -> AsyncIterator[Service]:
    """A service on SQLite, whose model is `openai`."""
    async with serving(**with_openai) as service:
        yield service
