"""Where OTLP goes, and with which headers, as the standard variables say: a signal's own, else those for all."""

from typing import Literal
from urllib.parse import unquote

from pydantic import SecretStr


def endpoint(signal: Literal["traces", "metrics"], own: str | None, of_all: str | None) -> str | None:
    """A signal's own endpoint is whole; to that of all signals its path is appended. None: it is not sent."""
    if own:
        return own
    return f"{of_all.rstrip('/')}/v1/{signal}" if of_all else None


def headers(own: SecretStr | None, of_all: SecretStr | None) -> dict[str, str]:
    """`name=value,…`, percent-encoded."""
    secret = own or of_all
    pairs = [pair.partition("=") for pair in secret.get_secret_value().split(",")] if secret else []
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs if name.strip()}
