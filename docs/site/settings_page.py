"""Writes docs/settings.md from app/settings.py, in the order and under the headings of .env.example.

    python -m docs.site.settings_page

tests/docs/test_reference.py fails where the page is not what this would write.
"""

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from app.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
FIRST = """\
# Every setting

Settings are environment variables, or lines `NAME=value` of a file `.env` in the folder that the service is started in; the environment comes first, and an
empty value counts as unset. They are read once, at the start. A wrong one keeps the service from starting, and is named; [`waggle doctor`](doctor.md) looks at
all of them, and finds names that are misspelt. [.env.example](../.env.example) is this list as a file to copy.

Lists are separated by commas. A secret is never logged, shown or traced.

| for | set |
|---|---|
| a model | [`MODEL`](#model), [`OPENAI_API_KEY`](#openai_api_key) or another provider's key |
| your agents | [`AGENTS_DIR`](#agents_dir) |
| others than this machine | [`HOST`](#host), and [`API_KEYS`](#api_keys) or [`JWT_ISSUER`](#jwt_issuer): [authentication](authentication.md) |
| traces | [`HH_API_KEY`](#hh_api_key): [HoneyHive](honeyhive.md); [`OTEL_EXPORTER_OTLP_ENDPOINT`](#otel_exporter_otlp_endpoint): [others](backends.md) |
| more than one core or machine | [`WORKERS`](#workers), [`DATABASE_URL`](#database_url), [`REDIS_URL`](#redis_url): [scaling](scaling.md) |
| strangers as callers | [`RATE_LIMIT`](#rate_limit), [`MAX_RUNS_PER_CALLER`](#max_runs_per_caller), [`BUDGET_USD`](#budget_usd): [security](security.md) |
"""
KINDS: dict[Any, str] = {bool: "`true` or `false`", int: "whole number", float: "number", Path: "path", str: "text"}
BOUNDS = {"ge": "from {:g}", "gt": "above {:g}", "le": "to {:g}"}


def page() -> str:
    return FIRST + "".join(sections())


def sections() -> Iterator[str]:
    """Each group's heading with its settings, as .env.example has them."""
    fields = {names(name, field)[0]: (name, field) for name, field in Settings.model_fields.items()}
    for part in (ROOT / ".env.example").read_text(encoding="utf-8").split("\n## ")[1:]:
        yield f"\n## {part.partition(chr(10))[0]}\n"
        for name in re.findall(r"^#([A-Z][A-Z0-9_]*)=", part, re.MULTILINE):
            yield section(*fields[name])


def section(name: str, field: FieldInfo) -> str:
    told = " ".join((field.description or "").split())
    told = re.sub(r"(`[^`]*`)|\*", lambda found: found[1] or r"\*", told)  # outside of code, a * begins emphasis
    return f"\n### {names(name, field)[0]}\n\n{told}\n\nTakes: {takes(field)}.{default(field)}\n"


def names(name: str, field: FieldInfo) -> list[str]:
    """The variables it is read from, the usual one first."""
    alias = field.validation_alias
    return [str(choice).upper() for choice in (alias.choices if isinstance(alias, AliasChoices) else [name])]


def default(field: FieldInfo) -> str:
    match field.default:
        case None | ():
            return ""
        case bool():
            shown = str(field.default).lower()
        case tuple():
            shown = ",".join(map(str, field.default))
        case _:
            shown = str(field.default)
    return f" Default: `{shown}`."


def takes(field: FieldInfo) -> str:
    """What its value may be, in words."""
    limits = {
        name: value for each in field.metadata for name in BOUNDS if (value := getattr(each, name, None)) is not None
    }
    web = any("http" in (getattr(each, "pattern", None) or "") for each in field.metadata)
    words = " ".join(BOUNDS[name].format(value) for name, value in limits.items())
    return f"{'web address' if web else kind(field.annotation)} {words}".strip()


def kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return "list"
    if origin in (Union, types.UnionType):
        return kind(next(each for each in inner if each is not type(None)))
    return "secret" if annotation is SecretStr else KINDS[annotation]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
