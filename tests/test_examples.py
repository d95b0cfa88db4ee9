"""The examples, served and run; the page that shows them shows what is there."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.agents.test_components import LACKING, REFUSED
from tests.agents.test_files import BROKEN
from tests.agents.waiting import live
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import serving

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "agents"


def answers(request: Request) -> Reply:
    """Calls the example's tool, then repeats what it said."""
    calls: dict[str, dict[str, Any]] = {
        "add": {"a": 2, "b": 3},
        "note": {"hive": "hive 1"},
        "owner": {"hive": "hive 1"},
        "refund": {"order": "A-17", "euros": 40},
        "book": {"city": "Rome"},
    }
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


async def test_curl(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The script for curl: a stream, a second turn, what was said, and a run that is not waited for."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    openai.replies = [Text("They show the way."), Text("That is where flowers are."), Text("Flowers.")]
    command = ["sh", str(ROOT / "examples" / "curl" / "chat.sh"), "Why do bees dance, & how?"]
    async with serving(**with_openai) as service:
        done = await anyio.run_process(command, env=os.environ | {"WAGGLE_URL": service.url})
        told = done.stdout.decode()
    assert openai.requests[0].asked.text == "Why do bees dance, & how?"
    assert [*re.findall("^event: run.*$", told, re.MULTILINE)] == ["event: run.started", "event: run.completed"]
    assert told.count("That is where flowers are.") == 3, "as the answer, as its output, and in the conversation"
    assert re.search(r"^location: /runs/[-0-9a-f]{36}\s*$", told, re.MULTILINE)


def test_every_example_is_tried() -> None:
    """None is forgotten above."""
    names = {path.stem for path in EXAMPLES.iterdir() if path.name[0] not in "._"}
    assert names == {"greeter", "calculator", "notes", "refunds"}


PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")


def blocks(language: str, *names: str) -> dict[str, str]:
    """What the page shows in that language, by the names to give it."""
    return dict(zip(names, re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL), strict=True))


SHOWN = blocks("python", "greeter.py", "notes.py", "hives.py", "own.py", "refunds.py", "trips.py") | blocks(
    "json", "poet.json"
)


def test_the_page_shows_the_examples() -> None:
    """Word for word."""
    for name in ("greeter.py", "notes.py", "refunds.py"):
        assert SHOWN[name] == (EXAMPLES / name).read_text(encoding="utf-8")


async def test_what_else_the_page_shows(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """Each of its files is served and run; the one that calls a server elsewhere is called here."""
    folder = tmp_path / "agents"
    folder.mkdir()
    for name, text in SHOWN.items():
        if not (EXAMPLES / name).exists():
            (folder / name).write_text(text.replace("http://127.0.0.1:8080", openai.url), encoding="utf-8")
    openai.replies = answers
    async with serving(**with_openai | {"agents_dir": folder}) as service:
        for name, answer in (("hives", "Ann"), ("own", "Welcome!"), ("poet", "Welcome!")):
            card = await service.get(f"/agents/{name}")
            assert (card["status"], card["reason"]) == ("ready", None)
            assert (await service.run(name, "Hello."))["output"] == answer


async def test_the_example_that_asks(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A refund is paid when a person has allowed it."""
    openai.replies = answers
    lived = await live(with_openai | {"agents_dir": EXAMPLES}, [{"decision": "approve"}], agent="refunds")
    assert [question.prompt for question in lived.questions] == [
        """Call tool 'refund' with {"order": "A-17", "euros": 40}?"""
    ]
    assert lived.output == "40.00 euros were paid back for order A-17."


async def test_what_the_page_shows_that_asks(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """The tool's question, then the proxy's."""
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "trips.py").write_text(SHOWN["trips.py"], encoding="utf-8")
    openai.replies = answers
    lived = await live(with_openai | {"agents_dir": folder}, ["2027-05-01", "Thanks."], agent="trips")
    assert [question.source for question in lived.questions] == ["book", "traveller"]
    assert lived.said[-2:] == ["agent: Booked: Rome, 2027-05-01.", "traveller: Thanks."]


def test_the_reasons_on_the_page() -> None:
    """Each is one that the tests of broken files have seen."""
    shown = re.findall(r"^\| `(.*?)` \|", PAGE.partition("| `reason` |")[2], re.MULTILINE)
    seen = {reason for _, reason in (*BROKEN.values(), *REFUSED.values())} | LACKING | {"it took too long to build"}
    assert len(shown) == 10
    assert set(shown) <= seen


@pytest.mark.parametrize("script", ["chat.py", "responses.py"])
async def test_openais_client(script: str, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The scripts print what the agent says."""
    openai.replies = lambda _: Text("Hello, Zoe.")
    async with serving(**with_openai) as service:
        done = await anyio.run_process(
            [sys.executable, str(ROOT / "examples" / "openai" / script), "Hi!"], env={"WAGGLE_URL": service.url}
        )
    assert "Hello, Zoe." in done.stdout.decode()
