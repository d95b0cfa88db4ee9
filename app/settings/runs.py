"""How long, how many, how much: runs, their sessions, and what they may reach."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from limits import parse_many
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from app.notation import key_bytes, network, parts_of
from app.settings.group import Group

WEBHOOK_KEY_BYTES = range(24, 65)
"""How long a key is to be (standard-webhooks.md, "Signature scheme")."""


class Runs(Group):
    """Deadlines and limits."""

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
