"""What the Python client is made of: nothing of the server, one form of the other, types of what comes."""

import ast
import dataclasses
import sys
import tomllib
from collections.abc import Iterable
from typing import Any, get_args

import pytest

import write_sync
from app import events as happened
from app import messages
from app.agents import card
from app.store import history, said, sessions
from app.wire import native
from waggle_client import types


def test_the_blocking_form_is_what_would_be_made() -> None:
    """`python clients/python/write_sync.py` makes it anew."""
    assert (write_sync.PACKAGE / "_sync.py").read_text(encoding="utf-8") == write_sync.sync()


def test_nothing_of_the_server_is_needed() -> None:
    """It imports what it depends on, and anyio, which httpx does."""
    used = {name for file in write_sync.PACKAGE.glob("*.py") for name in imported(ast.parse(file.read_bytes()))}
    project = tomllib.loads((write_sync.PACKAGE.parent / "pyproject.toml").read_text())["project"]
    needed = {line.partition(">")[0].replace("-", "_") for line in project["dependencies"]}
    assert used - sys.stdlib_module_names == {"waggle_client", "anyio"} | needed


def imported(module: ast.Module) -> Iterable[str]:
    for node in ast.walk(module):
        match node:
            case ast.Import(names=[*names]):
                yield from (each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=str(name)):
                yield name.partition(".")[0]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (types.Run, happened.Run),
        (types.Usage, happened.Usage),
        (types.InputRequest, happened.InputRequest),
        (types.Session, sessions.Session),
        (types.Version, history.Version),
        (types.Feedback, said.Feedback),
        (types.Agent, card.AgentCard),
        (types.Tool, card.ToolCard),
        (types.Participant, card.ParticipantCard),
        (types.TextMessage, messages.Text),
        (types.Thought, messages.Thought),
        (types.ToolCall, messages.ToolCall),
        (types.ToolResult, messages.ToolResult),
        (types.Handoff, messages.Handoff),
        (types.Structured, messages.Structured),
        (types.ImageMessage, messages.Image),
        (types.Memory, messages.Memory),
        (types.Speaker, messages.Speaker),
        (types.Other, messages.Other),
    ],
)
def test_the_types_have_the_fields_that_come(written: Any, kept: Any) -> None:
    """All of them, and no other."""
    assert set(written.__annotations__) == {field.name for field in dataclasses.fields(kept)}


def test_the_types_tell_apart_what_comes() -> None:
    """Events and messages by all the `type`s that there are, runs by their statuses."""
    assert kinds(types.Event) == set(native.TYPES)
    assert kinds(types.Message) == kinds(messages.Message)
    assert set(get_args(types.Run.__annotations__["status"])) == set(happened.RunStatus)


def kinds(union: Any) -> set[str]:
    return {kind for member in get_args(union) for kind in get_args(member.__annotations__["type"])}
