"""API keys: from the environment and from a file, which is read again when it changes.

Of a key only its SHA-256 is kept. That is enough for keys that a machine made: what bcrypt and its like protect are
passwords that can be guessed.
"""

import asyncio
import hmac
import logging
import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from app.api.identity.principal import SCOPE, Principal

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often the file is looked at."""
HASHED = "sha256:"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class KeyEntry(BaseModel):
    """A key, and what it stands for: an item of API_KEYS_FILE, which is a list in YAML or JSON."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    tenant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
    """Whose sessions and runs it reaches."""
    key: Annotated[str, StringConstraints(max_length=512, min_length=1, pattern=r"^[!-~]+$")]
    """The key itself, or `sha256:` and its hash in hexadecimal digits."""
    user: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")] | None = None
    """The only end user it may act for; any, where it is missing."""
    expires: AwareDatetime | None = None
    """From when on it is refused; never, where it is missing."""
    scopes: list[Annotated[str, StringConstraints(pattern=f"^({SCOPE.pattern})$")]] | None = None
    """What it may; everything, where it is missing."""
    name: str = Field("", max_length=128)
    """For people."""

    @field_validator("key")
    @classmethod
    def _whole(cls, value: str) -> str:
        if value.startswith(HASHED) and not _HASH.fullmatch(value):
            raise ValueError("sha256: must be followed by 64 hexadecimal digits")
        return value

    @property
    def digest(self) -> bytes:
        if self.key.startswith(HASHED):
            return bytes.fromhex(self.key.removeprefix(HASHED))
        return sha256(self.key.encode()).digest()

    @property
    def principal(self) -> Principal:
        return Principal(self.tenant, self.user, None if self.scopes is None else frozenset(self.scopes))


_ENTRIES = TypeAdapter(list[KeyEntry])


class ApiKeys:
    """Those of the environment, which stay, and those of the file."""

    def __init__(self, given: tuple[str, ...], file: Path | None) -> None:
        """Raises ValueError, which names no key, where one of them cannot be read."""
        self._given = [_entry(number, text) for number, text in enumerate(given, 1)]
        self._file = file
        self._read_at: tuple[int, int] | None = None
        self._known: dict[bytes, KeyEntry] = {}
        self.problem: str | None = None
        """Why the file, as it is now, is not in force: the keys are those that it had before."""
        self._take(self._read() if file is not None else [])

    @property
    def count(self) -> int:
        """How many there are, the expired ones too."""
        return len(self._known)

    def find(self, presented: str) -> Principal | None:
        """Whom the key stands for; None where it is unknown or expired. Every key is compared, in constant time."""
        digest = sha256(presented.encode()).digest()
        found = None
        for known, entry in self._known.items():
            if hmac.compare_digest(known, digest):
                found = entry
        if found is None or (found.expires is not None and found.expires <= datetime.now(UTC)):
            return None
        return found.principal

    async def watch(self) -> None:
        """Take the file's keys as it changes; until cancelled."""
        if self._file is None:
            return
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self._look)

    def _look(self) -> None:
        try:
            if self._stamp() != self._read_at:
                self._take(self._read())
                self.problem = None
                logger.info("API_KEYS_FILE was read again: %d keys", len(self._known))
        except ValueError as error:
            if self.problem is None:
                logger.error("%s: the keys that it had before stay in force", error)  # noqa: TRY400 a sentence says it
            self.problem = str(error)

    def _take(self, entries: list[KeyEntry]) -> None:
        self._known = {entry.digest: entry for entry in [*self._given, *entries]}

    def _stamp(self) -> tuple[int, int]:
        assert self._file is not None, "there is a file"  # noqa: S101
        try:
            found = self._file.stat()
        except OSError as error:
            raise ValueError(f"API_KEYS_FILE cannot be read: {error.strerror}") from None
        return found.st_mtime_ns, found.st_size

    def _read(self) -> list[KeyEntry]:
        assert self._file is not None, "there is a file"  # noqa: S101
        stamp = self._stamp()
        try:
            entries = _ENTRIES.validate_python(yaml.safe_load(self._file.read_bytes()) or [])
        except OSError as error:
            raise ValueError(f"API_KEYS_FILE cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise ValueError(f"API_KEYS_FILE: {_said(error)}") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
            raise ValueError("API_KEYS_FILE is neither YAML nor JSON") from None
        except ValueError:
            raise ValueError("API_KEYS_FILE has a date that is none") from None
        self._read_at = stamp
        return entries


def _entry(number: int, text: str) -> KeyEntry:
    """`tenant:key` or `tenant:sha256:hash`."""
    tenant, _, key = text.partition(":")
    try:
        return KeyEntry(tenant=tenant, key=key)
    except ValidationError as error:
        raise ValueError(f"API_KEYS: entry {number} is not tenant:key, or tenant:sha256:…: {_said(error)}") from None


def _said(error: ValidationError) -> str:
    """The first thing that is wrong, and where; no value."""
    first = error.errors(include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
