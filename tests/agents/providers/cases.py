"""Each provider, its fake, and how the service is told of it: one table for every test of model clients."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from autogen_core.models import CreateResult
from pydantic_settings import PydanticBaseSettingsSource

from app.agents.models import Models
from app.settings import Settings
from tests.servers.anthropic_wire import AnthropicWire
from tests.servers.ollama_wire import OllamaWire
from tests.servers.openai_wire import OpenAIWire
from tests.servers.wire import Wire

KEY = "sk-right-key"


class Given(Settings):
    """Settings of these values alone: no environment, no `.env`; MODEL_CLIENT says which client is tested."""

    model_client: Literal["lean", "sdk"] = "sdk" if os.environ.get("MODEL_CLIENT") == "sdk" else "lean"

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return (sources["init_settings"],)


@dataclass(frozen=True)
class Case:
    """One provider; `settings` is how its address and key are set, given the fake's URL."""

    wire: type[Wire]
    model: str
    settings: Callable[[str], Mapping[str, Any]]
    path: str
    credential: tuple[str, str]
    """The header that carries the key."""
    structured: bool = True
    """Whether AutoGen's client can be asked for an object of a class."""

    def models(self, url: str, **settings: Any) -> Models:
        values = {"model": self.model, "model_max_retries": 0, **self.settings(url), **settings}
        return Models(Given(**values))

    @property
    def name(self) -> str:
        return self.model.partition(":")[2]


CASES = {
    "openai": Case(
        OpenAIWire,
        "openai:gpt-4o-mini",
        lambda url: {"model_base_url": f"{url}/v1", "openai_api_key": KEY},
        "/v1/chat/completions",
        ("authorization", f"Bearer {KEY}"),
    ),
    "compatible": Case(
        OpenAIWire,
        "openai:mistral-small",
        lambda url: {"model_base_url": f"{url}/v1", "model_api_key": KEY, "openai_api_key": "sk-other"},
        "/v1/chat/completions",
        ("authorization", f"Bearer {KEY}"),
    ),
    "azure": Case(
        OpenAIWire,
        "azure:my-deployment",
        lambda url: {"azure_openai_endpoint": url, "azure_openai_api_key": KEY},
        "/openai/deployments/my-deployment/chat/completions",
        ("api-key", KEY),
    ),
    "gemini": Case(
        OpenAIWire,
        "gemini:gemini-2.5-flash",
        lambda url: {"model_base_url": f"{url}/v1beta/openai", "gemini_api_key": KEY},
        "/v1beta/openai/chat/completions",
        ("authorization", f"Bearer {KEY}"),
    ),
    "anthropic": Case(
        AnthropicWire,
        "anthropic:claude-haiku-4-5",
        lambda url: {"model_base_url": url, "anthropic_api_key": KEY},
        "/v1/messages",
        ("x-api-key", KEY),
        structured=False,
    ),
    "ollama": Case(
        OllamaWire,
        "ollama:qwen3:8b",
        lambda url: {"ollama_host": url, "model_api_key": KEY},
        "/api/chat",
        ("authorization", f"Bearer {KEY}"),
    ),
}


def each(cases: Mapping[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases.values(), ids=cases)


each_provider = each(CASES)
each_way = pytest.mark.parametrize("stream", [False, True], ids=["create", "stream"])


async def ask(client: Any, stream: bool, *args: Any, **options: Any) -> tuple[CreateResult, list[str]]:
    """The result, and the pieces that were streamed before it."""
    if not stream:
        return await client.create(*args, **options), []
    *pieces, result = [piece async for piece in client.create_stream(*args, **options)]
    return result, pieces
