from typing import Any

import pytest

from tests.servers.echo import call
from tests.servers.replies import ToolSpec


def tool(**properties: Any) -> ToolSpec:
    return ToolSpec("tool", {"type": "object", "properties": properties, "required": list(properties)})


STRING, INTEGER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("properties", "text", "arguments"),
    [
        ({"city": STRING}, "What is the weather in Paris?", {"city": "Paris"}),
        ({"a": STRING, "b": STRING}, "From Rome to Oslo.", {"a": "Rome", "b": "Oslo"}),
        ({"a": STRING, "b": STRING}, "Only Rome.", {"a": "Rome", "b": "Rome"}),
        ({"title": STRING}, 'Read "war and peace" in Rome.', {"title": "war and peace"}),
        ({"title": STRING}, "It's about Rome, isn't it?", {"title": "Rome"}),
        ({"text": STRING}, "nothing special", {"text": "nothing special"}),
        ({"a": INTEGER, "b": {"type": "number"}}, "Add 3 and 4.5", {"a": 3, "b": 4.5}),
        ({"a": INTEGER}, "no number", {"a": 1}),
        ({"unit": {"enum": ["C", "F"]}}, "In Paris", {"unit": "C"}),
        (
            {"a": {"type": "boolean"}, "b": {"type": "array"}, "c": {"type": "object"}},
            "?",
            {"a": True, "b": [], "c": {}},
        ),
        ({}, "What time is it?", {}),
    ],
)
def test_arguments(properties: Any, text: str, arguments: dict[str, Any]) -> None:
    """A tool's required parameters are filled from what the user said."""
    assert dict(call(tool(**properties), text).arguments) == arguments
