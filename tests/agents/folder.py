"""An AGENTS_DIR that a test fills, and what a service makes of it."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import anyio
import anyio.lowlevel
import pytest

from tests.service import Service

NOTES: list[str] = []
"""Where the files write down what they do."""


class Folder:
    """The files, and `path`, where they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def add(self, name: str, content: str | bytes, **values: object) -> Path:
        """A file; `$name` stands for a value's repr."""
        file = self.path / name
        if isinstance(content, str):
            text = dedent(content)
            for key, value in values.items():
                text = text.replace(f"${key}", repr(value))
            content = text.encode()
        file.write_bytes(content)
        return file


@pytest.fixture
def folder(tmp_path: Path, with_openai: dict[str, object]) -> Folder:
    """An empty folder, which `with_openai` names."""
    NOTES.clear()
    folder = Folder(tmp_path / "agents")
    with_openai["agents_dir"] = folder.path
    return folder


async def reasons(service: Service) -> dict[str, str]:
    """Why each invalid agent is not served."""
    items = (await service.get("/agents"))["items"]
    return {card["name"]: card["reason"] for card in items if card["status"] == "invalid"}


async def until(condition: Callable[[], object]) -> None:
    """Let everything else in this event loop go on until it holds; 5 seconds at most."""
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()
