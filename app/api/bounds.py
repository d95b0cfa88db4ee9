"""What JSON in a request may be, beyond its types: so much of it, and all of it writable again.

Millions of fields or items fit into MAX_BODY_BYTES, and a refusal that lists each would be larger than the request and
take seconds, in which nobody else is served. So what is too much is refused before it is looked at one by one.
"""

from math import isfinite
from typing import Any

from pydantic_core import PydanticCustomError

MAX_FIELDS = 100
"""Of an object of the API; none has so many."""
MAX_VALUES = 10_000
"""Of free JSON, whatever it holds counted."""
MAX_DEPTH = 100
"""Of free JSON."""
_INTEGERS = range(-(2**63), 2**64)
"""Those that are written as they were read."""


def few_fields(value: Any) -> Any:
    """Before the fields of an object are looked at."""
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        raise PydanticCustomError("too_many_fields", "Has too many fields.")
    return value


def writable(value: Any) -> Any:
    """Free JSON that can be kept, and told on, as it came."""
    left, level = MAX_VALUES, [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            match each:
                case dict() | list():
                    left -= len(each)
                    if left < 0:
                        raise PydanticCustomError("too_many_values", "Holds too many values.")
                    below += [*each, *each.values()] if isinstance(each, dict) else each
                case _:
                    _check(each)
        if not below:
            return value
        level = below
    raise PydanticCustomError("too_deep", "Is nested too deeply.")


def _check(value: object) -> None:
    match value:
        case str() if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise PydanticCustomError("half_character", "Holds half a character.") from None
        case int() if value not in _INTEGERS:
            raise PydanticCustomError("too_large", "Holds an integer of more than 64 bits.")
        case float() if not isfinite(value):
            raise PydanticCustomError("not_finite", "Holds a number that is not finite.")
        case _:
            pass
