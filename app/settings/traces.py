"""Where traces and metrics go, and what they may hold."""

from typing import Annotated, Literal

import regex
from pydantic import Field, SecretStr, TypeAdapter, field_validator
from pydantic_settings import NoDecode

from app.settings.group import WEB_ADDRESS, Group


class Traces(Group):
    """HoneyHive, an OpenTelemetry collector, and the built-in store."""

    hh_api_key: SecretStr | None = None
    """HoneyHive's key: set, traces go there; unset, nothing does."""
    hh_api_url: str = "https://api.honeyhive.ai"
    """HoneyHive's address."""
    hh_session: Literal["conversation", "request"] = "conversation"
    """What is a session in HoneyHive: a conversation with all its runs, or each run."""
    hh_source: str = "dev"
    """What HoneyHive shows as the source: dev, staging, production."""
    hh_url_template: str | None = Field(None, pattern=WEB_ADDRESS)
    """A session's page in HoneyHive, to link to from the playground: its address, with {session_id} for the id."""
    otel_service_name: str = "waggle"
    """The service's name in traces and metrics."""
    otel_exporter_otlp_endpoint: str | None = None
    """An OpenTelemetry collector (OTLP over HTTP): set, traces go to {endpoint}/v1/traces, metrics to /v1/metrics."""
    otel_exporter_otlp_traces_endpoint: str | None = None
    """Where traces go, whole: nothing is appended."""
    otel_exporter_otlp_headers: SecretStr | None = None
    """Headers for the collector, `name=value,…`, percent-encoded."""
    otel_exporter_otlp_traces_headers: SecretStr | None = None
    """The same for traces alone."""
    otel_metrics_exporter: Literal["otlp", "none"] = "otlp"
    """`none`: no metrics go to the endpoints above and below, as where a collector takes traces alone (Jaeger)."""
    otel_exporter_otlp_metrics_endpoint: str | None = None
    """Where metrics go, whole; unset: to {OTEL_EXPORTER_OTLP_ENDPOINT}/v1/metrics, if that is set."""
    otel_exporter_otlp_metrics_headers: SecretStr | None = None
    """Headers for metrics alone."""
    otel_metric_export_interval: int = Field(60_000, ge=100)
    """Milliseconds between two exports of metrics."""
    otel_exporter_otlp_timeout: float = Field(10, gt=0)
    """Seconds the collector has to answer a batch."""
    trace_store_runs: int = Field(200, ge=0)
    """How many runs' traces are kept in memory for GET /runs/{id}/trace; 0 keeps none."""
    trace_url_template: str | None = Field(None, pattern=WEB_ADDRESS)
    """A trace's page in the collector's backend, to link to from the playground: its address, with {trace_id}."""
    trace_content: Literal["all", "masked", "none"] = "all"
    """What traces may hold of prompts, answers, tool arguments and results: all, all but what looks like a secret,
    or nothing."""
    trace_redact: Annotated[tuple[str, ...], NoDecode] = ()
    """Regular expressions, one a line (or a JSON list): what they match is masked in every trace."""
    trace_attribute_limit: int = Field(32_768, ge=256)
    """Characters kept of one attribute of a span; a longer one is cut, and says so."""
    llm_spans: Literal["waggle", "openinference"] = "waggle"
    """Who makes the spans of agents' model calls: this service, uniformly, or the SDKs' instrumentors."""
    autogen_runtime_spans: bool = False
    """Keep the message-passing spans of AutoGen's runtime, some dozens a team run."""

    @field_validator("trace_redact", mode="before")
    @classmethod
    def _lines(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return TypeAdapter(tuple[str, ...]).validate_json(value)
        return tuple(line.strip() for line in value.splitlines() if line.strip())

    @field_validator("trace_redact", mode="after")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                regex.compile(pattern)
            except regex.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return value
