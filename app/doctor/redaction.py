"""The last guard of what is printed: whatever a check says, no configured secret is in it."""

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from app.settings import Settings

SHORTEST = 4
"""Shorter ones would take ordinary words with them."""


class Redaction:
    """Replaces each secret by `***`; longer ones first, since one may hold another."""

    def __init__(self, secrets: Iterator[str] | None = None) -> None:
        kept = {secret for secret in secrets or () if len(secret) >= SHORTEST}
        self._secrets = sorted(kept, key=len, reverse=True)

    @classmethod
    def of(cls, settings: Settings) -> "Redaction":
        return cls(_secrets(settings))

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _secrets(settings: Settings) -> Iterator[str]:
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
            yield text
            for _, _, part in (pair.partition("=") for pair in text.split(",")):
                yield part.strip()
                yield from unquote(part.strip()).split()[1:]
        elif isinstance(value, str) and "@" in value:
            with suppress(ValueError):  # not a URL
                password = urlsplit(value).password or ""
                yield from (password, unquote(password))
