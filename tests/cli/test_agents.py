"""`waggle agents` and `waggle new`."""

import json
import sys
from pathlib import Path

import anyio
import pytest

from app.agents.files import agent_files
from tests.cli.command import asks, waggle
from tests.process import environment, started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls


async def test_agents_are_listed_here_and_of_a_server(openai: OpenAIWire, tmp_path: Path) -> None:
    """The same ones, in a table or as JSON."""
    here = await waggle(tmp_path, asks(openai), "agents", "list")
    assert here.status == 0, here.err
    async with started(tmp_path, asks(openai)) as service:
        there = await waggle(tmp_path, {}, "agents", "list", "--url", service.url)
        document = await waggle(tmp_path, {}, "agents", "list", "--url", service.url, "--json")
    assert here.out == there.out
    names = [line.split()[0] for line in here.out.splitlines()]
    assert names == ["agent", "assistant", "research", "support", "ticket", "weather"]
    assert [card["name"] for card in json.loads(document.out)] == names[1:]


async def test_every_file_is_validated(tmp_path: Path) -> None:
    """Without a key or a model; each broken one with its reason, and the exit status says that there is one."""
    folder = tmp_path / "agents"
    folder.mkdir()
    said = await waggle(tmp_path, {}, "agents", "validate")
    assert (said.status, said.out) == (0, "")
    assert (await waggle(tmp_path, {}, "new", "good")).status == 0
    said = await waggle(tmp_path, {}, "agents", "validate")
    assert (said.status, said.out) == (0, "✓ good.py\n"), said.err
    (folder / "bad.py").write_text("def build(context):\n    return context.nothing\n")
    (folder / "odd name.py").write_text("")
    (folder / "good.json").write_text("{}")
    said = await waggle(tmp_path, {}, "agents", "validate")
    bad, good, odd = said.out.splitlines()
    assert said.status == 1
    assert bad.startswith("✗ bad.py: AgentContext has no attribute 'nothing' (line 2)")
    assert good.startswith("✗ good.json, good.py: 2 files have its name")
    assert odd.startswith("✗ odd name.py: its name must be")
    assert said.err == "3 agents in agents, 3 of them invalid\n"


async def test_a_folder_that_is_not_there_is_not_valid(tmp_path: Path) -> None:
    """A mistyped AGENTS_DIR passes no check."""
    said = await waggle(tmp_path, {"AGENTS_DIR": "agnets"}, "agents", "validate")
    assert (said.status, said.err) == (1, "There is no folder 'agnets': make one, or set AGENTS_DIR.\n")


def counting(request: Request) -> Reply:
    if request.asked.results:
        return Text(f"It has {request.asked.results[-1]}.")
    return ToolCalls((ToolCall("count_words", {"text": request.asked.text}),))


@pytest.mark.parametrize("name", ["my_agent", "my-agent", "4you"])
async def test_a_new_agent_runs_and_its_test_passes(name: str, openai: OpenAIWire, tmp_path: Path) -> None:
    """The test in a project that has nothing but Waggle and pytest, and without a key."""
    openai.replies = counting
    said = await waggle(tmp_path, {}, "new", name)
    assert said.status == 0, said.err
    assert list(agent_files(tmp_path / "agents")) == [name]
    said = await waggle(tmp_path, asks(openai), "run", name, "one two three")
    assert (said.status, said.out) == (0, "It has 3 words.\n"), said.err
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "tests"]
    done = await anyio.run_process(command, cwd=tmp_path, env=environment(tmp_path / "data", {}), check=False)
    assert done.returncode == 0, done.stdout.decode()
    assert "1 passed" in done.stdout.decode()


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Neither an agent of the name, of whichever kind, nor a test."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "taken.yaml").write_text("kept")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_tested.py").write_text("kept")
    for name in ("taken", "tested"):
        said = await waggle(tmp_path, {}, "new", name)
        assert said.status == 1
        assert "is there already" in said.err
    files = sorted(file for folder in ("agents", "tests") for file in (tmp_path / folder).iterdir())
    assert [(path.name, path.read_text()) for path in files] == [("taken.yaml", "kept"), ("test_tested.py", "kept")]


@pytest.mark.parametrize("name", ["two words", "../up", "", "-x"])
async def test_a_name_must_be_one(name: str, tmp_path: Path) -> None:
    """As the service takes them."""
    said = await waggle(tmp_path, {}, "new", "--", name)
    assert said.status == 2
    assert not (tmp_path / "agents").exists()


async def test_the_test_goes_where_it_is_wanted(tmp_path: Path) -> None:
    """And finds its agent from there."""
    variables = {"AGENTS_DIR": "src/agents"}
    said = await waggle(tmp_path, variables, "new", "far", "--tests", "checks/agents")
    assert said.status == 0, said.err
    assert 'Path(__file__).parent / "../../src/agents"' in (tmp_path / "checks/agents/test_far.py").read_text()
