"""The SDKs' instrumentors, for the calls to OpenAI and Anthropic that a user's tool, memory or own agent makes.

They are spans of the same tree. Agents' model calls are `app.telemetry.llm`'s, under which these are silent.
An instrumentor imports its SDK (0.6 s for Anthropic's): so it is put in when the SDK is first imported.
"""

from functools import partial
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from wrapt import register_post_import_hook

_INSTRUMENTORS = {
    "openai": "openinference.instrumentation.openai:OpenAIInstrumentor",
    "anthropic": "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
}


_PROBES = r"^\w+://[^/]+/(livez|readyz|metrics|playground\.json|static/.*)?$"
"""What asks every few seconds. The same words elsewhere in a path are none."""


class _Instrumentors:
    """Process-wide: the first service in a process puts them in, the last one takes them out."""

    def __init__(self) -> None:
        self._users = 0
        self._watching = False
        self._provider: TracerProvider | None = None
        self._loaded: list[Any] = []
        """Those whose SDK has been imported."""

    def put_in(self, provider: TracerProvider) -> None:
        self._users += 1
        if self._users == 1:
            self._provider = provider
            for instrumentor in self._loaded:
                instrumentor.instrument(tracer_provider=provider)
        if not self._watching:
            self._watching = True
            for sdk, where in _INSTRUMENTORS.items():
                register_post_import_hook(partial(self._imported, where), sdk)

    def take_out(self) -> None:
        self._users -= 1
        if self._users == 0:
            self._provider = None
            for instrumentor in self._loaded:
                instrumentor.uninstrument()

    def _imported(self, where: str, _: ModuleType) -> None:
        instrumentor = resolve_name(where)()
        self._loaded.append(instrumentor)
        if self._provider is not None:
            instrumentor.instrument(tracer_provider=self._provider)


INSTRUMENTORS = _Instrumentors()


def instrument_app(app: Any) -> None:
    """One SERVER span a request. To be called before the app starts; a span per chunk is left out.

    Of its metrics none is wanted: `app.telemetry.metrics` takes a request's duration from the span.
    """
    FastAPIInstrumentor.instrument_app(
        app, exclude_spans=["send", "receive"], excluded_urls=_PROBES, meter_provider=NoOpMeterProvider()
    )
