"""The SDKs' instrumentors, for the calls to OpenAI and Anthropic that a user's tool, memory or own agent makes.

They are spans of the same tree. Agents' model calls are `app.telemetry.llm`'s, under which these are silent.
"""

from typing import Any

from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

_users = 0
"""Instrumentors are process-wide: the first service in a process puts them in, the last takes them out."""


def instrument(provider: TracerProvider) -> None:
    global _users  # noqa: PLW0603
    _users += 1
    if _users == 1:
        OpenAIInstrumentor().instrument(tracer_provider=provider)
        AnthropicInstrumentor().instrument(tracer_provider=provider)


def uninstrument() -> None:
    global _users  # noqa: PLW0603
    _users -= 1
    if _users == 0:
        OpenAIInstrumentor().uninstrument()
        AnthropicInstrumentor().uninstrument()


def instrument_app(app: Any) -> None:
    """One SERVER span a request. To be called before the app starts; a span per chunk is left out."""
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"], excluded_urls="livez,readyz")
