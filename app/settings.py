"""The only reader of the environment. Every setting is in `.env.example`, which a test compares with this class."""

import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

import regex
from limits import parse_many
from pydantic import AliasChoices, Field, SecretStr, TypeAdapter, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.notation import is_loopback, key_bytes, network, parts_of

JwtAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Those of public keys: a shared secret would let each service that checks tokens make some."""
WEBHOOK_KEY_BYTES = range(24, 65)
"""How long a key is to be (standard-webhooks.md, "Signature scheme")."""

_WEB_ADDRESS = r"^https?://"


class Settings(BaseSettings):
    """Immutable; read once, from the environment and `.env`, and handed down by `create_app`.

    An empty variable counts as unset, so that `docker-compose.yml` can pass each one on.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # it may be a key
    )

    host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback needs API keys, tokens, or AUTH=none."""
    port: int = Field(8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    workers: int = Field(1, ge=1, le=64)
    """Processes that serve the port together, each on a core of its own: on Postgres, or on this machine's SQLite."""
    auth: Literal["loopback", "none"] = "loopback"
    """Without keys and tokens. `loopback`: serve this machine only. `none`: serve anybody who can reach HOST."""
    api_keys: SecretStr | None = None
    """`tenant:key` pairs, separated by commas: set, credentials are asked for. A key may be given as the hash of one,
    `acme:sha256:…`."""
    api_keys_file: Path | None = None
    """A YAML or JSON file of keys with users, scopes and expiry, read again when it changes."""
    jwt_issuer: str | None = None
    """An OpenID Connect provider, as the `iss` of its tokens names it: set, its tokens are credentials."""
    jwt_audience: str | None = None
    """The `aud` that tokens for this service have; needed with JWT_ISSUER."""
    jwt_jwks_url: str | None = None
    """Where the provider's keys are; unset: as its discovery document says."""
    jwt_algorithms: Annotated[tuple[JwtAlgorithm, ...], NoDecode, Field(min_length=1)] = ("RS256", "ES256")
    """How tokens may be signed, separated by commas: RS, PS or ES with 256, 384 or 512, EdDSA."""
    jwt_leeway_s: float = Field(30, ge=0, le=600)
    """Seconds by which the provider's clock may differ."""
    jwt_tenant_claim: str | None = None
    """The claim that names a token's tenant; unset: all tokens are of one."""
    jwt_scopes: bool = False
    """Whether a token may do only what its `scope` says, `agents:weather:run agents:*:read`."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names that clients may call the service by, separated by commas; unset: any, or local ones while nobody is asked
    for credentials."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may call the service, separated by commas; `*` is any."""
    playground: bool = True
    """Whether GET / is a page to talk to the agents with, and to see their traces."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level of the service's own lines; other libraries' are logged from `warning` on."""
    log_format: Literal["console", "json"] = "console"
    """Log lines for people, or one JSON object each."""

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

    data_dir: Path = Path("data")
    """The folder of the SQLite database."""
    database_url: str | None = None
    """`postgresql://user:password@host/database`; unset: SQLite in DATA_DIR."""
    database_connections: int = Field(15, ge=2)
    """Connections to Postgres for statements, at most; one more a process is for notices. Beyond, statements wait."""
    redis_url: str | None = None
    """`redis://…`: where the processes of one deployment on Postgres share the events of runs; unset: in Postgres."""
    role: Literal["all", "api", "worker"] = "all"
    """`api` leaves background, queued and recovered runs to others; `worker` takes those alone, and answers probes."""
    lease_s: float = Field(30, ge=1)
    """Seconds after which a run counts as lost when its process no longer says that it lives."""

    run_timeout_s: float = Field(120, gt=0)
    """The deadline of a run in seconds; a request's `timeout_s` may only shorten it."""
    disconnect_grace_s: float = Field(5, ge=0)
    """Seconds a run that nobody watches goes on, before it is cancelled."""
    cancel_timeout_s: float = Field(5, gt=0)
    """Seconds within which a cancelled run must have stopped; after that it is abandoned."""
    max_concurrent_runs: int = Field(200, ge=1)
    """Runs at once in one process; more are answered 503."""
    max_loop_lag_ms: float = Field(250, ge=0)
    """Milliseconds by which the event loop may be late, by the median of half a second: beyond, a run that would begin
    in this process is answered 503, until it is back under half of that. 0: never."""
    max_queued_runs: int = Field(1000, ge=1)
    """Runs of one session that wait their turn; more are answered 503."""
    max_runs_per_caller: int | None = Field(None, ge=1)
    """Runs of one caller that have not ended, over all processes; more are answered 429. Unset: no limit."""
    rate_limit: str | None = None
    """How often a caller may begin a run: `60/minute`, or several, `10/second;1000/day`. Unset: no limit. Without
    REDIS_URL each process counts by itself."""
    budget_tokens: int | None = Field(None, ge=1)
    """Tokens, in and out, that a caller's runs may use a day, in UTC; then runs are answered 429. Unset: no limit."""
    budget_usd: float | None = Field(None, gt=0)
    """The same in US dollars; a run whose price is unknown counts nothing."""
    max_task_chars: int = Field(500_000, ge=1)
    """Characters of a task's text; a longer one is answered 422."""
    max_message_chars: int = Field(1_000_000, ge=1000)
    """Characters of a tool's result, beyond which it is cut, and of a model's answer, beyond which its run fails."""
    max_session_turns: int = Field(1000, ge=1)
    """Completed runs of one session; then it is answered 409."""
    max_restarts: int = Field(3, ge=0)
    """How often a background run is begun anew after its process died; then it fails."""
    input_timeout_s: float = Field(86_400, gt=0)
    """Seconds that a run waits for a person's answer, where the question sets no other; then it fails."""
    events_ttl_s: float = Field(3600, ge=60)
    """Seconds that a run's events stay readable for other processes, on Postgres or Redis."""
    stream_max_s: float = Field(3600, ge=0)
    """Seconds after which a stream is ended, for its viewer to come back with `Last-Event-ID`; 0: never."""
    stream_idle_s: float = Field(900, ge=0)
    """The same for one on which nothing happens, as while its run waits for its turn or for a person; 0: never."""
    stream_send_timeout_s: float = Field(30, gt=0)
    """Seconds after which a viewer that takes nothing of what there is for it is dropped; its run is not."""
    session_ttl_days: float | None = Field(None, gt=0)
    """Days after which a session in which nothing happens is removed, with everything of it. Unset: never."""
    run_ttl_days: float | None = Field(None, gt=0)
    """Days after which an ended run is removed; its messages stay in their session. Unset: never."""
    idempotency_ttl_s: float = Field(86_400, ge=60)
    """Seconds that an Idempotency-Key stands for its run."""
    state_versions: int = Field(50, ge=1)
    """Saved states kept of one session, to fork from and to go back to."""
    webhook_secret: SecretStr | None = None
    """Signs webhooks as https://www.standardwebhooks.com does: `whsec_` and base64; unset: none are sent."""
    webhook_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Private networks that webhooks may reach, as `10.0.0.0/8,127.0.0.1`; public addresses need no leave."""
    image_urls: Literal["off", "on"] = "off"
    """Whether a task's images may be at `https:` URLs, which the service then fetches; `off`: in `data:` URIs alone."""
    image_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Private networks that images may be fetched from, as `10.0.0.0/8,127.0.0.1`; public addresses need no leave."""
    max_body_bytes: int = Field(4 * 2**20, ge=1024)
    """The largest request body, in bytes."""
    max_run_events: int = Field(20_000, ge=100)
    """Events kept of one run; a viewer that is further behind is dropped."""
    drain_s: float = Field(20, ge=0)
    """Seconds that runs get to end after SIGTERM, while new ones are refused; a second SIGTERM ends them at once."""
    shutdown_timeout_s: float = Field(5, gt=0)
    """Seconds that cancelled runs, and then the trace backends, get at the end."""

    hh_api_key: SecretStr | None = None
    """HoneyHive's key: set, traces go there; unset, nothing does."""
    hh_api_url: str = "https://api.honeyhive.ai"
    """HoneyHive's address."""
    hh_session: Literal["conversation", "request"] = "conversation"
    """What is a session in HoneyHive: a conversation with all its runs, or each run."""
    hh_source: str = "dev"
    """What HoneyHive shows as the source: dev, staging, production."""
    hh_url_template: str | None = Field(None, pattern=_WEB_ADDRESS)
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
    trace_url_template: str | None = Field(None, pattern=_WEB_ADDRESS)
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

    @property
    def asks_for_credentials(self) -> bool:
        return self.api_keys is not None or self.api_keys_file is not None or self.jwt_issuer is not None

    @property
    def api_keys_given(self) -> tuple[str, ...]:
        return parts_of(self.api_keys.get_secret_value()) if self.api_keys is not None else ()

    @field_validator("cors_origins", "jwt_algorithms", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return parts_of(value) if isinstance(value, str) else value

    @field_validator("webhook_allow", "image_allow", mode="before")
    @classmethod
    def _parse_networks(cls, value: object) -> object:
        parts = parts_of(value) if isinstance(value, str) else value
        return tuple(network(part) for part in parts) if isinstance(parts, tuple) else parts

    @field_validator("webhook_secret", mode="after")
    @classmethod
    def _fit_to_sign(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and key_bytes(value.get_secret_value()) not in WEBHOOK_KEY_BYTES:
            raise ValueError(
                f"It must be `whsec_` and the base64 of {WEBHOOK_KEY_BYTES.start} to {WEBHOOK_KEY_BYTES.stop - 1} "
                'random bytes, as `echo "whsec_$(openssl rand -base64 32)"` makes'
            )
        return value

    @field_validator("rate_limit", mode="after")
    @classmethod
    def _counts(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_many(value)
            except ValueError:
                raise ValueError(f"{value!r} is no rate: 60/minute, or 10/second;1000/day") from None
        return value

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

    @field_validator("model_cache_dir", mode="after")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @model_validator(mode="after")
    def _closed_by_default(self) -> Self:
        if self.auth == "loopback" and not self.asks_for_credentials and not is_loopback(self.host):
            raise ValueError(
                f"HOST={self.host} would serve everybody who can reach it, and no credentials are asked for: "
                "set API_KEYS, API_KEYS_FILE or JWT_ISSUER, listen on 127.0.0.1 (behind a proxy that asks), "
                "or set AUTH=none to accept that"
            )
        return self

    @model_validator(mode="after")
    def _shared_by_workers(self) -> Self:
        if self.workers > 1 and sys.platform == "win32":
            raise ValueError("WORKERS needs a POSIX system: start one process, or several on Postgres behind a proxy")
        if self.workers > 1 and (self.database_url or "").partition("?")[0].endswith(("://", ":memory:")):
            raise ValueError("WORKERS need a database that they share: set DATABASE_URL to a file, or to Postgres")
        return self

    @model_validator(mode="after")
    def _whole_tokens(self) -> Self:
        if self.jwt_issuer is None and (self.jwt_audience or self.jwt_jwks_url):
            raise ValueError("JWT_AUDIENCE and JWT_JWKS_URL need JWT_ISSUER: whose tokens are they?")
        if self.jwt_issuer is not None and self.jwt_audience is None:
            raise ValueError("JWT_ISSUER needs JWT_AUDIENCE: else its tokens for other services would do here")
        return self
