"""docs/cli.md: its commands, run in an empty project in their order, print what is shown."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import asks, waggle
from tests.cli.test_help import COMMANDS
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls

PAGE = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
SERVING = ("serve", "doctor")
"""Those that go on, or look at the machine: tests/cli/test_serve.py and tests/doctor have them."""


def shown() -> Iterator[tuple[str, str]]:
    """Each command, with what the page shows of its output."""
    for commands, _, output in re.findall(r"```sh\n(.*?)```(\n\n```text\n(.*?)```)?", PAGE, re.DOTALL):
        for command in commands.splitlines():
            yield command, output


def answers(request: Request) -> Reply:
    if request.asked.results:
        return Text("It will be 16 to 26 °C.")
    return ToolCalls((ToolCall("weather", {"city": "Paris", "day": "2026-07-14"}),))


async def test_the_commands_do_what_is_shown(openai: OpenAIWire, tmp_path: Path) -> None:
    """All of them, one after the other; their output line by line."""
    openai.replies = answers
    trip = await waggle(tmp_path, asks(openai), "run", "weather", "Paris?", "-s", "trip")
    assert trip.status == 0
    for command, output in shown():
        program, *words = shlex.split(command)
        assert program == "waggle"
        if words[0] in SERVING:
            continue
        said = await waggle(tmp_path, asks(openai), *words)
        assert said.status == 0, said.err
        printed = said.out + said.err
        assert all(line in printed for line in output.splitlines()), printed


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_an_example(words: tuple[str, ...]) -> None:
    """On the page."""
    assert any(command.startswith(f"waggle {' '.join(words)}") for command, _ in shown())
