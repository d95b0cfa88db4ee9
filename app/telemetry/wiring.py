"""What else in this process makes or takes spans, looked at without changing it. For `waggle doctor`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any

from opentelemetry import environment_variables as api_variables
from opentelemetry import trace
from opentelemetry.instrumentation import environment_variables as instrumentation_variables
from opentelemetry.sdk import environment_variables as sdk_variables
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import ProxyTracerProvider

from app.telemetry.instrumentors import _INSTRUMENTORS

GROUPS = ("opentelemetry_instrumentor", "openinference_instrumentor")
OUR_SAMPLER = "EverySpan"
"""As the sampler of Waggle's own provider describes itself."""
TRIES = 64
"""How many traces a sampler is asked about."""

TRACERS = {
    "ddtrace": "Datadog's ddtrace",
    "newrelic": "New Relic's agent",
    "elasticapm": "Elastic's agent",
    "logfire": "Pydantic Logfire",
    "traceloop.sdk": "Traceloop's SDK",
    "phoenix.otel": "Phoenix's arize-phoenix-otel",
    "langfuse": "Langfuse",
    "agentops": "AgentOps",
    "openlit": "OpenLIT",
    "mlflow": "MLflow",
    "weave": "W&B Weave",
    "lmnr": "Laminar",
    "google.adk": "Google's ADK",
    "honeyhive": "HoneyHive's own SDK",
    "opentelemetry.instrumentation.auto_instrumentation": "opentelemetry-instrument",
}
"""Modules that trace by themselves once they are set up; nothing of Waggle's imports them before it starts."""


@dataclass(frozen=True, slots=True)
class ForeignProvider:
    """A global tracer provider that is not Waggle's."""

    kind: str
    """Its class, with the module."""
    joined: bool
    """An SDK's provider takes Waggle's destinations beside its own; any other takes nothing."""
    exporters: tuple[str, ...]
    dropped: float
    """What part of the traces its sampler leaves out, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Instrumentor:
    """An installed instrumentor: what patches a library so that it makes spans."""

    name: str
    package: str
    active: bool
    ours: bool
    """One of those that Waggle puts in itself."""


def otel_variables() -> frozenset[str]:
    """The variables that OpenTelemetry reads."""
    modules = api_variables, sdk_variables, instrumentation_variables
    return frozenset(name for module in modules for name in vars(module) if name.startswith("OTEL_"))


def foreign_provider() -> ForeignProvider | None:
    """The global provider, if somebody else has set one."""
    current: Any = trace.get_tracer_provider()
    if isinstance(current, ProxyTracerProvider):
        return None
    kind = f"{type(current).__module__}.{type(current).__qualname__}"
    if not isinstance(current, TracerProvider):
        return ForeignProvider(kind, joined=False, exporters=(), dropped=0)
    if current.sampler.get_description() == OUR_SAMPLER:
        return None
    return ForeignProvider(kind, joined=True, exporters=tuple(_exporters(current)), dropped=_dropped(current.sampler))


def _exporters(provider: Any) -> Iterator[str]:
    all_of_it = getattr(provider, "_active_span_processor", None)
    for processor in getattr(all_of_it, "_span_processors", ()):
        if not type(processor).__module__.startswith("app.telemetry"):
            yield type(getattr(processor, "span_exporter", processor)).__name__


def _dropped(sampler: Sampler) -> float:
    ids = RandomIdGenerator()
    answers = [sampler.should_sample(None, ids.generate_trace_id(), "doctor") for _ in range(TRIES)]
    return sum(answer.decision is not Decision.RECORD_AND_SAMPLE for answer in answers) / TRIES


def instrumentors() -> list[Instrumentor]:
    """Every installed one, by what their packages declare."""
    found = {point.value: point for group in GROUPS for point in entry_points(group=group)}
    ours = {*_INSTRUMENTORS.values(), "opentelemetry.instrumentation.fastapi:FastAPIInstrumentor"}
    return [
        Instrumentor(
            name=point.name,
            package=point.dist.name if point.dist else point.module,
            active=_is_active(point),
            ours=value in ours,
        )
        for value, point in sorted(found.items())
    ]


def _is_active(point: EntryPoint) -> bool:
    """Without importing it: who has not been imported patches nothing."""
    if point.module not in sys.modules:
        return False
    try:
        kind = resolve_name(point.value)
    except (ImportError, AttributeError):
        return False
    return bool(getattr(getattr(kind, "_instance", None), "is_instrumented_by_opentelemetry", False))


def tracers() -> list[str]:
    """Other tracing products that are loaded."""
    return [name for module, name in TRACERS.items() if module in sys.modules]
