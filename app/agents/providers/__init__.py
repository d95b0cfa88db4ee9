"""Whose models can be called, and what each provider needs to be told.

Each provider's own module is imported when its first client is built: an SDK takes up to a second to import.
"""

from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import cast

from autogen_core.models import ChatCompletionClient
from pydantic import SecretStr

from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as the service knows it; the fields ending in `_setting` name fields of `Settings`."""

    build: str
    """Where the function is that makes a client from a model's name and an `Endpoint`."""
    url: str = ""
    url_setting: str | None = None
    """Says where it is; needed if there is no `url`."""
    key_setting: str | None = None
    """Its key; None if it asks for none."""
    example: str = ""
    """A model, for sentences that explain."""
    default: str | None = None
    """The model to take when only the provider's key is set."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider is reached, and how."""

    url: str
    key: str = field(repr=False)
    """Empty where none is asked for."""
    api_version: str
    timeout_s: float
    max_retries: int
    lean: bool = False
    """Whether the service's own client is put in the place of the SDK's."""


PROVIDERS = {
    "local": Provider(build="", example="qwen2.5-coder-1.5b-instruct-q4_k_m"),
    "openai": Provider(
        build="app.agents.providers.openai:openai",
        url="https://api.openai.com/v1",
        key_setting="openai_api_key",
        example="gpt-4o-mini",
        default="gpt-4o-mini",
    ),
    "azure": Provider(
        build="app.agents.providers.openai:azure",
        url_setting="azure_openai_endpoint",
        key_setting="azure_openai_api_key",
        example="my-deployment",
    ),
    "anthropic": Provider(
        build="app.agents.providers.anthropic:anthropic",
        url="https://api.anthropic.com",
        key_setting="anthropic_api_key",
        example="claude-haiku-4-5",
        default="claude-haiku-4-5",
    ),
    "ollama": Provider(
        build="app.agents.providers.ollama:ollama",
        url="http://127.0.0.1:11434",
        url_setting="ollama_host",
        example="qwen3:8b",
    ),
    "gemini": Provider(
        build="app.agents.providers.openai:gemini",
        url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_setting="gemini_api_key",
        example="gemini-2.5-flash",
        default="gemini-2.5-flash",
    ),
    "replay": Provider(build="app.agents.providers.replay:replay", example="script.json"),
}

BY_KEY = ("openai", "azure", "anthropic", "gemini")
"""Whose key decides when MODEL is not set: the first of these that has one."""


def endpoint(provider: str, settings: Settings) -> Endpoint:
    """What the settings say of a provider."""
    about = PROVIDERS[provider]
    base_url, key = _overrides(provider, settings)
    return Endpoint(
        url=base_url or _text(settings, about.url_setting) or about.url,
        key=key or _text(settings, about.key_setting),
        api_version=settings.azure_openai_api_version,
        timeout_s=settings.model_timeout_s,
        max_retries=settings.model_max_retries,
        # OpenInference makes its spans in the SDK.
        lean=settings.model_client == "lean" and settings.llm_spans == "waggle",
    )


def missing(provider: str, settings: Settings) -> list[str]:
    """The variables that the provider cannot be called without, and that are not set.

    A server that MODEL_BASE_URL names may ask for no key.
    """
    about, where = PROVIDERS[provider], endpoint(provider, settings)
    base_url, _ = _overrides(provider, settings)
    names = []
    if about.url_setting and not where.url:
        names.append(about.url_setting)
    if about.key_setting and not (where.key or base_url):
        names.append(about.key_setting)
    return [name.upper() for name in names]


def build(provider: str, name: str, where: Endpoint) -> ChatCompletionClient:
    """A client of the provider's model; takes some 25 ms, and the SDK's import the first time."""
    return cast("ChatCompletionClient", resolve_name(PROVIDERS[provider].build)(name, where))


def _overrides(provider: str, settings: Settings) -> tuple[str, str]:
    """MODEL_BASE_URL and MODEL_API_KEY, which are about MODEL's provider alone."""
    if settings.model is None or settings.model.strip().partition(":")[0] != provider:
        return "", ""
    return settings.model_base_url or "", _shown(settings.model_api_key)


def _text(settings: Settings, name: str | None) -> str:
    value: SecretStr | str | None = getattr(settings, name) if name else None
    return _shown(value) if isinstance(value, SecretStr) else value or ""


def _shown(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
