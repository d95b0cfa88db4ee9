"""Half characters: what Python has of a file name that is not UTF-8, or a model of an emoji that it cut in two.

No JSON can be written of them, so nothing could be shown or kept of a run that holds one. Each becomes U+FFFD, one for
one, so that the pieces of a text still add up to it.
"""

import re
from dataclasses import fields, replace
from typing import TypeVar

from app.messages import Message

Value = TypeVar("Value")
_HALF = re.compile("[\ud800-\udfff]")


def whole(value: Value) -> Value:
    """The same, of text or of what JSON is made of."""
    if isinstance(value, str) and value.isascii():  # a token, as a rule
        return value
    found: object = value
    match value:
        case str():
            found = _HALF.sub("\ufffd", value)
        case list():
            found = [whole(each) for each in value]
        case dict():
            found = {whole(key): whole(each) for key, each in value.items()}
        case _:
            pass
    return found  # type: ignore[return-value]  # of the same type


def whole_message(message: Message) -> Message:
    """The message, whatever of it holds one."""
    held = {field.name: getattr(message, field.name) for field in fields(message) if field.init}
    changed = {name: fixed for name, value in held.items() if (fixed := whole(value)) != value}
    return replace(message, **changed) if changed else message
