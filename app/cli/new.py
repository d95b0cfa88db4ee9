"""`waggle new`: an agent to begin with, and its test."""

import os
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

AGENT = Template('''\
"""Counts the words of a text. (GET /agents shows this sentence: say what yours is for.)"""

from autogen_agentchat.agents import AssistantAgent


def count_words(text: str) -> str:
    """How many words a text has."""
    return f"{len(text.split())} words"


def build(context):
    """Called for every run: keep it quick, and whatever all runs share outside of it."""
    return AssistantAgent(
        "$identifier",
        model_client=context.model(),
        model_client_stream=True,
        tools=[count_words],
        reflect_on_tool_use=True,
        system_message="You answer in one sentence, and count words with the tool.",
    )
''')
TEST = Template('''\
"""The agent $name, tried without a key: a script answers in the place of its model."""

import json
from pathlib import Path

from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings

AGENTS = Path(__file__).parent / "$folder"
SCRIPT = [
    {"tool_calls": [{"name": "count_words", "arguments": {"text": "to be or not to be"}}]},
    "That is 6 words.",
]


def test_it_calls_its_tool_and_answers(tmp_path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    settings = Settings(_env_file=None, agents_dir=AGENTS, data_dir=tmp_path, model=f"replay:{script}")
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        run = client.post("/agents/$name/run", json={"task": "How long is 'to be or not to be'?"}).json()
    assert run["status"] == "completed", run
    assert run["output"] == "That is 6 words."
    [result] = [message for message in run["messages"] if message["type"] == "tool_result"]
    assert result["content"] == "6 words"
''')


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The agent's name: letters, digits, _ and -.")],
    tests: Annotated[Path, typer.Option(metavar="FOLDER", file_okay=False, help="The folder of the test.")] = Path(
        "tests"
    ),
) -> None:
    """Write an agent that works, into AGENTS_DIR, and a test of it that needs no key.

    Nothing is overwritten.

    \b
    Examples:
      waggle new my_agent
      waggle run my_agent "How many words are in this sentence?"
      pytest tests/test_my_agent.py
    """
    from app.agents.files import NAME
    from app.cli.environment import settings

    if not NAME.fullmatch(name):
        raise typer.BadParameter("It must be 1 to 64 letters, digits, _ or -, and begin with a letter or digit.")
    folder = settings().agents_dir
    identifier = re.sub(r"\W", "_", name) if name[0].isalpha() else re.sub(r"\W", "_", f"agent_{name}")
    agent, test = folder / f"{name}.py", tests / f"test_{identifier}.py"
    _refuse_to_overwrite(*folder.glob(f"{name}.*"), test)
    values = {"name": name, "identifier": identifier, "folder": Path(os.path.relpath(folder, tests)).as_posix()}
    for path, template in ((agent, AGENT), (test, TEST)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template.substitute(values), encoding="utf-8")
        typer.echo(f"Wrote {path}")
    typer.echo(f'Try it: waggle run {name} "How many words are in this sentence?"')


def _refuse_to_overwrite(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            typer.echo(f"{path} is there already: take another name, or remove it.", err=True)
            raise typer.Exit(1)
