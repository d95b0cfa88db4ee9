"""Writes docs/endpoints.md from the service's description, `/openapi.json`, and the requests in requests.sh.

    python -m docs.site.endpoints_page

tests/docs/test_reference.py fails where the page is not what this would write, and tests/docs/test_blocks.py sends the
requests, one after the other, to a service with the agents of examples/agents.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.main import create_app
from app.settings import Settings

PAGE = Path(__file__).parents[1] / "endpoints.md"
FIRST = """\
# Every endpoint

Made from `/openapi.json`, which the running service has, and `waggle openapi` prints. How a run, its events and sessions behave is in [the HTTP API](api.md).

**Each request** may have `Authorization: Bearer …` ([who may call](authentication.md)), and `X-User-ID`, or `?user_id=`, for whose sessions and runs it
means. Bodies are JSON, with `Content-Type: application/json`; fields that are not listed are refused.

**Each answer** has `X-Request-ID`, and `traceresponse` where the request has a trace. 409, 429 and 503 have `Retry-After` where waiting helps.

**Each may fail** with 401, 403, 421, 422, 500 and 503, one with a body also with 400, 408, 413 and 415; below are those that it may fail with besides. A failure is
[a problem](#problem), and [errors](errors.md) explains each.
"""
COMMON = {"user_id", "X-User-ID"}
EVERYWHERE = {"400", "401", "403", "408", "413", "415", "421", "422", "500", "503"}
EXAMPLES = dict(
    re.findall(
        r"^# (.+)\n((?:.+\n)+)", (Path(__file__).parent / "requests.sh").read_text(encoding="utf-8"), re.MULTILINE
    )
)
"""A request of each operation, as lines of a shell's."""
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "object": "a JSON object",
    "boolean": "`true` or `false`",
}
LIMITS = {
    "minimum": "from {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "to {:g}",
    "maxLength": "of at most {} characters",
    "maxProperties": "of at most {} pairs",
    "pattern": "matching `{}`",
}


def page() -> str:
    description = create_app(Settings(_env_file=None)).openapi()
    shapes = Shapes(description["components"]["schemas"])
    return FIRST + "".join(endpoints(description["paths"], shapes)) + "".join(shapes.sections())


def endpoints(paths: dict[str, Any], shapes: "Shapes") -> Iterator[str]:
    """A section each, under its tag's heading."""
    under = None
    for path, methods in paths.items():
        for method, operation in methods.items():
            (tag,) = operation["tags"]
            if tag != under:
                under = tag
                yield f"\n## {under.capitalize()}\n"
            yield endpoint(f"{method.upper()} {path}", operation, shapes)


def endpoint(name: str, operation: dict[str, Any], shapes: "Shapes") -> str:
    rows = [
        (
            f"`{each['name']}`{' *' * each['required']}",
            each["in"],
            shapes.words(each["schema"]),
            each.get("description"),
        )
        for each in operation.get("parameters", ())
        if each["name"] not in COMMON
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = operation["responses"]
    failures = ", ".join(sorted(status for status in answers if status >= "400" and status not in EVERYWHERE))
    parts = (
        f"\n### {name}",
        operation["description"],
        table(("parameter", "in", "takes", ""), rows),
        body and f"The body is {shapes.words(body)}.",
        f"```sh\n{EXAMPLES[name]}```" if name in EXAMPLES else "",
        " ".join(answer(status, told, shapes) for status, told in answers.items() if status < "400"),
        failures and f"May fail with {failures}.",
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def answer(status: str, told: dict[str, Any], shapes: "Shapes") -> str:
    """What comes, where all is well."""
    content: dict[str, Any] = told.get("content", {})
    if status == "204":
        return "204: nothing follows that event." if "follows" in told["description"] else "Answers 204."
    if content.get("text/event-stream"):
        return f"Answers {status} with [events](api.md#events)."
    if schema := content.get("application/json", {}).get("schema"):
        return f"Answers {status} with {shapes.words(schema)}."
    if not content or told["description"] != "Successful Response":  # FastAPI's own word
        return f"Answers {status}: {told['description']}"
    return f"Answers {status}, as `{next(iter(content))}`."


class Shapes:
    """The description's schemas, in words and as sections."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas

    def sections(self) -> Iterator[str]:
        """One a schema; a page of a list is told where it is answered."""
        yield "\n## Shapes\n\nWhat is marked with * must be sent; in answers every field is there, null where it has no value.\n"
        for name, schema in self._schemas.items():
            if name.endswith("Page"):
                continue
            fields = schema.get("properties", {}).items()
            rows = [
                (
                    f"`{field}`{' *' * (name.endswith('In') and field in schema.get('required', ()))}",
                    self.words(each),
                    each.get("description"),
                )
                for field, each in fields
            ]
            values = "" if fields else f"One of {self.words(schema)}."
            told = " ".join(schema.get("description", "").split())
            yield "\n\n".join(filter(None, (f"\n### {name}", told, values, table(("field", "", ""), rows)))) + "\n"

    def words(self, schema: dict[str, Any]) -> str:
        """What a value may be."""
        match schema:
            case {"$ref": reference}:
                name = reference.rpartition("/")[2]
                if name.endswith("Page"):
                    return f"a page of: {self.words(self._schemas[name]['properties']['items']['items'])}"
                return f"[{name}](#{name.lower()})"
            case {"anyOf": choices} | {"oneOf": choices}:
                return " or ".join(self.words(choice) for choice in choices if choice.get("type") != "null")
            case {"const": value}:
                return f"`{value}`"
            case {"enum": values}:
                return ", ".join(f"`{value}`" for value in values)
            case {"type": "array", "items": items}:
                return f"list of {self.words(items)}"
            case {"format": "date-time"}:
                return "time, in RFC 3339"
            case {"type": kind}:
                return bounded(kind, schema)
            case _:
                return "anything"


def bounded(kind: str, schema: dict[str, Any]) -> str:
    """A plain value with its limits."""
    return " ".join([KINDS[kind], *(words.format(schema[name]) for name, words in LIMITS.items() if name in schema)])


def table(heads: tuple[str, ...], rows: Sequence[tuple[str | None, ...]]) -> str:
    """Of markdown, without a last column that is empty; nothing where there are no rows."""
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    lines = [
        f"| {' | '.join(' '.join((cell or '').split()).replace('|', chr(92) + '|') for cell in row)} |"
        for row in (heads, *rows)
    ]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]]) if rows else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
