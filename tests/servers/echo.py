"""How a fake provider answers without a script: it calls the first tool, and repeats what it hears.

It is a function of the request alone, so that a run can be predicted, and enough to make agents, tool loops
and teams go round.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls, ToolSpec


def echo(request: Request) -> Reply:
    """Tool results are reported; else the first tool is called; else the user is repeated."""
    asked = request.asked
    if asked.results:
        return Text(f"The tool says: {', '.join(asked.results)}")
    if asked.tools:
        return ToolCalls((call(asked.tools[0], asked.text),))
    return Text(f"You said: {asked.text}")


def call(tool: ToolSpec, text: str) -> ToolCall:
    """The tool's required parameters, filled from the text."""
    properties: Mapping[str, Mapping[str, Any]] = tool.parameters.get("properties") or {}
    required: list[str] = tool.parameters.get("required") or []
    names, numbers = _names(text), _numbers(text)
    arguments = {key: _argument(properties.get(key, {}), names, numbers) for key in required}
    return ToolCall(tool.name, arguments)


def _argument(schema: Mapping[str, Any], names: Iterator[str], numbers: Iterator[float]) -> Any:
    if choices := schema.get("enum"):
        return choices[0]
    make: dict[str, Callable[[], Any]] = {
        "integer": lambda: int(next(numbers)),
        "number": lambda: next(numbers),
        "boolean": lambda: True,
        "array": list,
        "object": dict,
    }
    return make.get(schema.get("type", "string"), lambda: next(names))()


def _names(text: str) -> Iterator[str]:
    """What is quoted; else capitalised words that do not begin a sentence; the last one again and again."""
    quoted = re.findall(r"[\"“']([^\"”']+)[\"”'](?!\w)", text)
    capitalised = re.findall(r"(?<![.!?:]\s)(?<!^)\b[A-Z]\w*", text)
    found = quoted or capitalised or [text]
    yield from found
    while True:
        yield found[-1]


def _numbers(text: str) -> Iterator[float]:
    found = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)] or [1.0]
    yield from found
    while True:
        yield found[-1]
