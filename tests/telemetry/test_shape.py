"""What an instrumentor's span becomes on its way out."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from app.telemetry.content import Content
from app.telemetry.shape import shaped


def leaving(**attributes: Any) -> Mapping[str, Any]:
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return shaped(ReadableSpan("ChatCompletion", attributes=named), Content()).attributes or {}


@pytest.mark.parametrize(
    ("system", "provider", "model", "named"),
    [
        ("openai", "openai", "gpt-4o", "openai"),
        ("openai", "azure", "gpt-4o", "azure.ai.openai"),
        ("openai", "google", "gemini-2.5-flash", "gcp.gemini"),
        ("openai", None, "gemini-2.5-flash", "gcp.gemini"),
        ("anthropic", None, "claude-haiku-4-5", "anthropic"),
    ],
)
def test_an_instrumentors_provider_is_named_as_ours(system: str, provider: str | None, model: str, named: str) -> None:
    """OpenInference has names of its own, and takes whatever is called through OpenAI's SDK for OpenAI's."""
    told = {"llm__provider": provider} if provider else {}
    found = leaving(
        openinference__span__kind="LLM",
        llm__system=system,
        llm__model_name=model,
        llm__token_count__prompt=1000,
        llm__token_count__completion=10,
        **told,
    )
    assert found["gen_ai.provider.name"] == found["llm.provider"] == found["llm.system"] == named
    assert found["llm.cost.total"] > 0


def test_tokens_that_are_no_numbers_break_nothing() -> None:
    """A user's own span may hold anything, and ends all the same."""
    found = leaving(openinference__span__kind="LLM", llm__system="openai", llm__token_count__prompt="many")
    assert "llm.cost.total" not in found
