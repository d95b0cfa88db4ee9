"""What a newcomer is told, and how little that takes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import VERSION
from tests.cli.command import waggle
from tests.process import ROOT, environment

COMMANDS = (
    ("serve",),
    ("run",),
    ("new",),
    ("doctor",),
    ("openapi",),
    ("agents", "list"),
    ("agents", "validate"),
    ("sessions", "list"),
    ("sessions", "show"),
    ("sessions", "delete"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_each_command_says_what_it_is_for_with_an_example(words: tuple[str, ...], tmp_path: Path) -> None:
    """And each of its options says what it does."""
    said = await waggle(tmp_path, {}, *words, "--help")
    assert said.status == 0
    assert said.out.startswith(f"Usage: waggle {' '.join(words)} ")
    assert "  Example" in said.out
    assert f"    waggle {' '.join(words)}" in said.out
    options = re.findall(r"^  (-.*)", said.out, re.MULTILINE)
    assert options
    assert all(re.search(r"\S  +[A-Z].*", option) for option in options), options


async def test_the_commands_are_listed(tmp_path: Path) -> None:
    """With first steps; and all that the page for them has, there is."""
    said = await waggle(tmp_path, {}, "--help")
    assert said.status == 0
    assert "First steps:" in said.out
    listed = {line.split()[0] for line in said.out.partition("\nCommands:\n")[2].splitlines()}
    assert listed == {words[0] for words in COMMANDS}


@pytest.mark.parametrize("words", [["fly"], ["run", "assistant"], ["serve", "--port", "high"], ["run", "a", " "]])
async def test_words_that_do_not_fit_are_usage(words: list[str], tmp_path: Path) -> None:
    """Exit status 2, and where to read on."""
    said = await waggle(tmp_path, {}, *words)
    assert said.status == 2
    assert said.err.startswith("Usage: waggle")
    assert "--help" in said.err


async def test_it_knows_its_version(tmp_path: Path) -> None:
    """As the service does."""
    assert (await waggle(tmp_path, {}, "--version")).out == f"waggle {VERSION}\n"


def test_help_imports_next_to_nothing(tmp_path: Path) -> None:
    """It is there at once: neither the service nor what draws on terminals is imported."""
    code = "import atexit, sys; from app.cli import main; atexit.register(lambda: print(*sys.modules)); main()"
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(  # noqa: S603
        command, cwd=tmp_path, env=environment(tmp_path, {}), capture_output=True, text=True, check=True
    )
    imported = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not imported & {"asyncio", "pydantic", "httpx", "fastapi", "rich", "autogen_core", "sqlalchemy"}


async def test_without_typer_it_says_what_to_install(tmp_path: Path) -> None:
    """In a sentence."""
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('planted', name='typer')\n")
    said = await waggle(tmp_path, {"PYTHONPATH": f"{tmp_path}:{ROOT}"}, "doctor")
    assert said.status == 1
    assert said.err.startswith("The command line needs the module 'typer', which is not installed.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_shells_can_complete_it(shell: str, tmp_path: Path) -> None:
    """The script is made by Typer."""
    said = await waggle(tmp_path, {"_WAGGLE_COMPLETE": f"source_{shell}"})
    assert said.status == 0
    assert "waggle" in said.out
