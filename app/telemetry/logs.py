"""Log lines: one formatter for the service's own and for every library's, for people or as JSON.

A line names the run and the trace that it belongs to, and holds no content: no task, prompt, answer or tool's word, and
no key. So

- requests are told by their routes, without path and query;
- libraries are heard from `warning` on; what they say inside a request or a run is named by its place, not repeated;
- exceptions there are told by types and places: their texts quote what was asked. The trace has them, as far as
  TRACE_CONTENT lets them;
- the secrets among the settings are masked, wherever they come from;
- what could end a line, or move a terminal's cursor, is escaped.
"""

import json
import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from opentelemetry import trace
from pydantic import SecretStr

from app.settings import Settings
from app.telemetry.content import Content
from app.telemetry.identity import identity_of

OWN = ("app", "agents", "uvicorn")
"""Loggers whose lines LOG_LEVEL decides about; `agents` is for the code in AGENTS_DIR."""
QUOTED = ("app", "agents")
"""Those whose exceptions are quoted, outside of requests: the server and the event loop tell of those that got out."""
TRUSTED = ("app", "agents", "uvicorn", "opentelemetry", "honeyhive")
"""Those whose words are known to hold no content."""
MASK = "***"
_KEYS = Content.of("masked", (), 65_536)
"""For an exception that is quoted: its places quote lines of agents' files, which may hold a key."""
LIMIT = 8192
"""Characters of a message, and of what is told beside it: the words of others are in some."""
SECRET_LENGTH = 6
"""Shorter ones are no secrets, and words of any line."""


def configure(settings: Settings, worker: int | None = None) -> None:
    """Have every logger of the process write to stderr, through one formatter; of several workers, with its number."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(settings.log_format, _secrets(settings), {} if worker is None else {"worker": worker}))
    handler.addFilter(_is_heard)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in OWN:
        logging.getLogger(name).setLevel(settings.log_level.upper())
    logging.getLogger("autogen_core").setLevel(logging.CRITICAL)  # a cancelled team's traceback, as an error
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # it would print a record that cannot be written, with its arguments


def fields(**values: object) -> dict[str, Any]:
    """For `extra=`: what a line tells beside its message; None is left out."""
    return {"fields": values}


class Lines(logging.Formatter):
    """One record, one line; in `console` an exception follows on lines that begin with ` |`."""

    def __init__(
        self, form: Literal["console", "json"], secrets: Iterable[str] = (), process: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._form = form
        self._process = dict(process or {})
        longest_first = sorted(set(secrets), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        inside = _context()
        quoting = not inside and _among(record.name, QUOTED)
        told["message"] = _cut(_message(record, inside=bool(inside)))
        beside = self._process | inside | getattr(record, "fields", {})
        beside = {name: _cut(value) for name, value in beside.items() if value is not None}
        error = record.exc_info[1] if record.exc_info else None
        exception = None if error is None else _exception(error, quoting=quoting)
        line = _json(told, beside, exception) if self._form == "json" else _console(told, beside, exception)
        return self._secrets.sub(MASK, line) if self._secrets else line


def _is_heard(record: logging.LogRecord) -> bool:
    """A library may have set a level of its own."""
    return record.levelno >= logging.WARNING or _among(record.name, OWN)


def _context() -> dict[str, Any]:
    """The run and the trace that is logged in."""
    found: dict[str, Any] = {}
    if (identity := identity_of(None)) is not None:
        found["run_id"] = identity.run_id
    if (span := trace.get_current_span().get_span_context()).is_valid:
        found["trace_id"] = f"{span.trace_id:032x}"
    return found


def _message(record: logging.LogRecord, *, inside: bool) -> str:
    if record.name == "asyncio":  # goes on with the repr of a task, or of a callback's arguments
        return _merged(record).partition("\n")[0].partition("(")[0]
    if not inside or _among(record.name, TRUSTED):
        return _merged(record)
    if record.name == "py.warnings":  # file:line: category: text
        return ": ".join(_merged(record).split(": ", 2)[:2])
    return f"{record.module}:{record.lineno} said something inside a run"


def _merged(record: logging.LogRecord) -> str:
    """The message; only its template may have lines, no value in it."""
    template, values = str(record.msg), record.args
    if isinstance(values, tuple):
        values = tuple(_plain(value) if isinstance(value, str) else value for value in values)
    try:
        message = template % values if values else template
    except (TypeError, ValueError, KeyError):  # the caller's mistake: its template is worth more than nothing
        message = template
    return message if "\n" in template else _plain(message)


def _exception(error: BaseException, *, quoting: bool) -> str:
    if quoting:
        return _KEYS.text("".join(traceback.format_exception(error)).rstrip())
    return "\n".join(_places(error, set()))


def _places(error: BaseException, seen: set[int]) -> Iterator[str]:
    """Types and places of the exception, of those in it and of those before it; no text."""
    seen.add(id(error))
    yield f"{type(error).__module__}.{type(error).__qualname__}"
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield f"  {frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for word, others in (("with", inner), ("from", [before] if before else [])):
        for other in others:
            if id(other) not in seen:
                first, *rest = _places(other, seen)
                yield f"{word} {first}"
                yield from rest


def _json(told: dict[str, Any], beside: dict[str, Any], exception: str | None) -> str:
    values = told | beside | ({} if exception is None else {"exception": exception})
    return json.dumps(values, default=str)


def _console(told: dict[str, Any], beside: dict[str, Any], exception: str | None) -> str:
    said, *more = told["message"].splitlines() or [""]
    pairs = "".join(f" {name}={_value(value)}" for name, value in beside.items())
    more += exception.splitlines() if exception else []
    following = "".join(f"\n | {_plain(line)}" for line in more)
    return f"{told['time']} {told['level']:7} {told['logger']}: {_plain(said)}{pairs}{following}"


def _cut(value: Any) -> Any:
    return f"{value[:LIMIT]}… [cut]" if isinstance(value, str) and len(value) > LIMIT else value


def _value(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[^\s\"=\x00-\x1f\x7f-\x9f]+", text) else json.dumps(text)


def _plain(text: str) -> str:
    """Without anything that is not printed: line ends of every kind, escape sequences, half characters."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _among(name: str, loggers: tuple[str, ...]) -> bool:
    return name.partition(".")[0] in loggers


def _secrets(settings: Settings) -> Iterator[str]:
    """The settings' secrets, and where one is a list of pairs, their values; a database's password."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            whole = value.get_secret_value()
            values = [pair.partition("=")[2] or pair.rpartition(":")[2] for pair in whole.split(",")]
            found = [whole, *values, *(unquote(value).rpartition(" ")[2] for value in values)]
            yield from (secret for secret in found if len(secret) >= SECRET_LENGTH)
    password = urlsplit(settings.database_url or "").password
    if password and len(password) >= SECRET_LENGTH:
        yield password
        yield unquote(password)
