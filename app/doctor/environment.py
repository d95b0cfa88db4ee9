"""The environment: settings, and variables that do not do what their name promises.

Besides `Settings` this is the only place that looks at variables, and it only names them.
"""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic_settings import DotEnvSettingsSource

from app.doctor.result import Finding, Result, Severity, summed
from app.settings import Settings
from app.telemetry.wiring import otel_variables

OFTEN_MEANT = {
    "HONEYHIVE_API_KEY": "HH_API_KEY",
    "HONEYHIVE_KEY": "HH_API_KEY",
    "HONEYHIVE_API_URL": "HH_API_URL",
    "HONEYHIVE_SERVER_URL": "HH_API_URL",
    "HONEYHIVE_SOURCE": "HH_SOURCE",
    "OPENAI_KEY": "OPENAI_API_KEY",
    "OPENAI_TOKEN": "OPENAI_API_KEY",
    "OPENAI_MODEL": "MODEL",
    "OPENAI_BASE_URL": "MODEL_BASE_URL",
    "OPENAI_API_BASE": "MODEL_BASE_URL",
    "AZURE_API_KEY": "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_KEY": "AZURE_OPENAI_API_KEY",
    "AZURE_API_BASE": "AZURE_OPENAI_ENDPOINT",
    "ANTHROPIC_KEY": "ANTHROPIC_API_KEY",
    "CLAUDE_API_KEY": "ANTHROPIC_API_KEY",
    "GEMINI_KEY": "GEMINI_API_KEY",
    "OLLAMA_BASE_URL": "OLLAMA_HOST",
    "DB_URL": "DATABASE_URL",
    "POSTGRES_URL": "DATABASE_URL",
}
"""Names that others use for what a setting of ours says."""

OTHERS = {"HF_API_KEY"}
"""Names that look like ours and are somebody else's."""

ALIKE = 0.82
"""How alike two names must be, as difflib counts it, to be taken for one another."""
TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Environment:
    """Every variable, and of `.env` the names, as they were before anything changed them."""

    variables: Mapping[str, str] = field(repr=False)
    dotenv: frozenset[str] = frozenset()

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Environment":
        names: frozenset[str] = frozenset()
        with suppress(OSError, UnicodeDecodeError):  # Settings cannot read it either, and says so
            names = frozenset(name.upper() for name in DotEnvSettingsSource(Settings).env_vars)
        return cls(dict(variables), names)

    def get(self, name: str) -> str:
        """The process's own variable, empty where it is not set."""
        return self.variables.get(name, "").strip()

    def true(self, name: str) -> bool:
        return self.get(name).lower() in TRUE

    def has(self, name: str) -> bool:
        """Whether it is set, in the environment or in `.env`."""
        return bool(self.get(name)) or name in self.dotenv


def settings() -> tuple[Settings | None, Result]:
    """The settings, None where they are not valid. A wrong one is named; its value is not told."""
    try:
        found = Settings()
    except ValidationError as error:
        return None, summed("settings", map(_wrong, error.errors(include_input=False)), "")
    except (OSError, UnicodeDecodeError) as error:
        advice = "Make .env a readable text file in UTF-8, or remove it."
        return None, Result("settings", "fail", f".env cannot be read: {type(error).__name__}", advice)
    return found, summed("settings", _odd_secrets(found), "valid")


def _wrong(found: Any) -> Finding:
    name = ".".join(str(part) for part in found["loc"]).upper()
    message = str(found["msg"]).removeprefix("Value error, ")
    advice = f"Correct {name}: .env.example says what it may be." if name else "Correct them as it says."
    return Finding("fail", f"{name}: {message}" if name else message, advice)


def _odd_secrets(found: Settings) -> Iterator[Finding]:
    for name in Settings.model_fields:
        value = getattr(found, name)
        if isinstance(value, SecretStr) and (text := value.get_secret_value()).strip(" \t\r\n\"'") != text:
            odd = f"{name.upper()} has quotes or blanks around it, which are taken as part of it"
            yield Finding("warn", odd, f"Write {name.upper()} without them.")


def setting_names() -> dict[str, str]:
    """Every variable that is read, with the field it becomes."""
    names: dict[str, str] = {}
    for field_name, about in Settings.model_fields.items():
        alias = about.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [field_name]
        names |= {str(choice).upper(): field_name for choice in choices}
    return names


def variables(environment: Environment) -> Result:
    """Variables that are not read and look as if they were meant to be."""
    return summed("variables", _not_read(environment), "none that looks misspelt")


def _not_read(environment: Environment) -> Iterator[Finding]:
    ours, otel = setting_names(), otel_variables()
    meant = [*ours, "OTEL_SDK_DISABLED", "AUTOGEN_DISABLE_RUNTIME_TRACING"]
    for name in sorted({*environment.variables, *environment.dotenv}):
        if name in environment.dotenv and name not in ours and (name in otel or name.startswith("AUTOGEN_")):
            where = f"{name} stands in .env, where only Waggle's own settings are read"
            yield Finding("warn", where, f"Put {name} into the process's environment.")
        if name in meant or name in otel or name in OTHERS or name.startswith("_"):
            continue
        wanted = OFTEN_MEANT.get(name) or _alike(name, meant)
        if wanted and not any(environment.has(other) for other in _same(wanted, ours)):
            yield Finding("warn", f"{name} is not read", f"If {wanted} is meant, rename {name} to {wanted}.")


def _alike(name: str, known: list[str]) -> str | None:
    if "_" not in name:
        return None
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)), None)


def _same(wanted: str, ours: Mapping[str, str]) -> list[str]:
    return [name for name, field_name in ours.items() if field_name == ours.get(wanted)] or [wanted]


def autogen_variables(environment: Environment, found: Settings) -> Result:
    name = "AUTOGEN_DISABLE_RUNTIME_TRACING"
    value = environment.get(name)
    kept = "kept" if found.autogen_runtime_spans else "left out"
    if value and environment.true(name) == found.autogen_runtime_spans:
        said = f"{name}={value} is overruled: the runtime's spans are {kept}"
        return Result(
            "autogen-tracing", "warn", said, f"Unset {name}, and set AUTOGEN_RUNTIME_SPANS to what is wanted."
        )
    return Result("autogen-tracing", "ok", f"the runtime's message spans are {kept} (AUTOGEN_RUNTIME_SPANS)")


def honeyhive_variables(environment: Environment, found: Settings) -> Result:
    return summed("honeyhive-variables", _honeyhive(environment, found), "none without effect")


def _honeyhive(environment: Environment, found: Settings) -> Iterator[Finding]:
    off = [name for name in ("HH_DISABLE_TRACING", "HH_TEST_MODE") if environment.true(name)]
    off += ["HH_OTLP_ENABLED"] if environment.get("HH_OTLP_ENABLED").lower() in {"false", "0", "no", "off"} else []
    for name in off:
        goes = "traces go to HoneyHive all the same" if found.hh_api_key else "nothing goes to HoneyHive anyway"
        yield Finding(
            "warn", f"{name} is ignored by HoneyHive's SDK: {goes}", f"Unset {name}; HH_API_KEY alone decides."
        )
    if environment.has("HH_PROJECT"):
        found_ = "HH_PROJECT is deprecated and ignored: the key decides which project traces go to"
        yield Finding("warn", found_, "Unset HH_PROJECT, and set HH_API_KEY to the key of the project that is wanted.")


def otel_settings(environment: Environment, found: Settings) -> Result:
    return summed("otel-variables", _otel(environment, found), "none in the way")


def _otel(environment: Environment, found: Settings) -> Iterator[Finding]:
    endpoint = found.otel_exporter_otlp_traces_endpoint or found.otel_exporter_otlp_endpoint
    if environment.true("OTEL_SDK_DISABLED"):
        status: Severity = "fail" if endpoint or found.hh_api_key else "warn"
        said = "OTEL_SDK_DISABLED=true switches every span off, of all backends and of GET /runs/{id}/trace"
        yield Finding(status, said, "Unset OTEL_SDK_DISABLED.")
    for name, why in _IGNORED.items():
        if environment.get(name):
            yield Finding("warn", f"{name} has no effect: {why}", f"Unset {name}.")
    yield from _protocol(environment, endpoint)
    yield from _address(found)
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        secret: SecretStr | None = getattr(found, name.lower())
        if secret and not all("=" in pair for pair in secret.get_secret_value().split(",") if pair.strip()):
            said = f"{name} has a part without an equals sign, which is sent as an empty header"
            yield Finding("fail", said, f"Write {name} as name=value,name=value, values percent-encoded.")


_IGNORED = {
    "OTEL_TRACES_SAMPLER": "Waggle records every run; a provider that is installed before Waggle's would obey it",
    "OTEL_TRACES_EXPORTER": "HH_API_KEY and OTEL_EXPORTER_OTLP_ENDPOINT say where traces go",
    "OTEL_PROPAGATORS": "only traceparent is read and sent, so that baggage sets nobody's identity",
}


def _protocol(environment: Environment, endpoint: str | None) -> Iterator[Finding]:
    grpc_port = endpoint is not None and _port(endpoint) == 4317
    use = "Set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's OTLP over HTTP port, usually 4318"
    wrong = {
        name: environment.get(name)
        for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        if environment.get(name) not in ("", "http/protobuf")
    }
    for name, value in wrong.items():
        status: Severity = "fail" if grpc_port and value == "grpc" else "warn"
        said = f"{name}={value} is ignored: Waggle speaks http/protobuf"
        yield Finding(status, said, f"{use}, and unset {name}.")
    if grpc_port and not wrong:
        yield Finding("warn", "the OTLP endpoint's port 4317 is gRPC's by custom, and Waggle speaks HTTP", f"{use}.")


def _address(found: Settings) -> Iterator[Finding]:
    base = found.otel_exporter_otlp_endpoint
    if base and not found.otel_exporter_otlp_traces_endpoint and base.rstrip("/").endswith("/v1/traces"):
        said = "OTEL_EXPORTER_OTLP_ENDPOINT ends with /v1/traces, which is appended once more"
        yield Finding("fail", said, "Leave /v1/traces away, or name it OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.")


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None
