"""The examples, served and run; the page that shows them shows what is there."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import serving

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "agents"


def answers(request: Request) -> Reply:
    """Calls the example's tool, then repeats what it said."""
    calls: dict[str, dict[str, Any]] = {"add": {"a": 2, "b": 3}, "note": {"hive": "hive 1"}}
    if request.asked.results:
        return Text(request.asked.results[-1])
    for tool in request.asked.tools:
        return ToolCalls((ToolCall(tool.name, calls[tool.name]),))
    return Text("Welcome!")


@pytest.mark.parametrize(
    ("agent", "answer"),
    [("greeter", "Welcome!"), ("calculator", "5.0"), ("notes", "The queen is two years old.")],
)
async def test_an_example_is_served(agent: str, answer: str, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Each kind of file: described, and run."""
    openai.replies = answers
    async with serving(**with_openai | {"agents_dir": EXAMPLES}) as service:
        card = await service.get(f"/agents/{agent}")
        assert (card["status"], card["kind"], card["reason"]) == ("ready", "agent", None)
        assert card["description"]
        assert (await service.run(agent, "Hello."))["output"] == answer


def test_every_example_is_tried() -> None:
    """None is forgotten above."""
    names = {path.stem for path in EXAMPLES.iterdir() if path.name[0] not in "._"}
    assert names == {"greeter", "calculator", "notes"}


def test_the_page_shows_the_examples() -> None:
    """Word for word."""
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "agents.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown == [(EXAMPLES / name).read_text(encoding="utf-8") for name in ("greeter.py", "notes.py")]
