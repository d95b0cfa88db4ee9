"""The agents that are served, and their models."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator

from app.settings.group import Group


class Models(Group):
    """Where agents are found, and what they think with."""

    agents_dir: Path = Path("agents")
    """The folder whose *.py, *.json, *.yaml and *.yml files are served as agents; it may be missing."""

    model: str | None = None
    """The model of agents that name none, `provider:name`, with provider one of local, openai, azure, anthropic,
    ollama, gemini, replay. Unset: the first provider with a key below, else the embedded model."""
    model_base_url: str | None = None
    """Where MODEL's provider is reached, instead of its own address: with `openai`, any OpenAI-compatible server."""
    model_api_key: SecretStr | None = None
    """The key for MODEL's provider, instead of the provider's own variable."""
    model_client: Literal["lean", "sdk"] = "lean"
    """Who calls OpenAI, Azure, Gemini and compatible servers: this service, at a fifth of the cost, or OpenAI's SDK."""
    model_timeout_s: float = Field(60, gt=0)
    """Seconds a model may be silent before the call fails."""
    model_max_retries: int = Field(2, ge=0, le=10)
    """How often a model call that failed before its first byte is tried again."""
    model_breaker_failures: int = Field(10, ge=0)
    """After so many calls of a model in a row that found its provider down, further ones fail at once; 0: never."""
    model_breaker_s: float = Field(15, gt=0)
    """Seconds until one of them is let through, to find out whether the provider is back."""
    model_path: Path | None = None
    """A GGUF file to run as the embedded model, instead of the one that `[local]` installs."""
    model_cache_dir: Path = Path("~/.cache/waggle/models")
    """Where the embedded model's weights are put together."""
    local_threads: int | None = Field(None, ge=1)
    """Threads of the embedded model; unset: one per core, at most 8."""
    local_slots: int = Field(2, ge=1, le=16)
    """How many answers the embedded model writes at once; each slot takes memory."""
    local_context_tokens: int = Field(4096, ge=512)
    """Tokens that the embedded model keeps of one conversation."""
    openai_api_key: SecretStr | None = None
    """OpenAI's key."""
    azure_openai_api_key: SecretStr | None = None
    """Azure OpenAI's key."""
    azure_openai_endpoint: str | None = None
    """Azure OpenAI's endpoint, https://….openai.azure.com."""
    azure_openai_api_version: str = "2024-10-21"
    """Azure OpenAI's API version."""
    anthropic_api_key: SecretStr | None = None
    """Anthropic's key."""
    gemini_api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("gemini_api_key", "google_api_key"))
    """Google Gemini's key; GOOGLE_API_KEY is read too."""
    ollama_host: str | None = None
    """Where Ollama listens; unset: http://127.0.0.1:11434."""

    @field_validator("model_cache_dir", mode="after")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()
