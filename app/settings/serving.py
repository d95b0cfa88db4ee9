"""Where and for whom the service listens, and what it logs."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from app.notation import is_loopback, parts_of
from app.settings.group import Group

JwtAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Those of public keys: a shared secret would let each service that checks tokens make some."""


class Serving(Group):
    """The address, credentials, browsers and the log."""

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
    def _whole_tokens(self) -> Self:
        if self.jwt_issuer is None and (self.jwt_audience or self.jwt_jwks_url):
            raise ValueError("JWT_AUDIENCE and JWT_JWKS_URL need JWT_ISSUER: whose tokens are they?")
        if self.jwt_issuer is not None and self.jwt_audience is None:
            raise ValueError("JWT_ISSUER needs JWT_AUDIENCE: else its tokens for other services would do here")
        return self
