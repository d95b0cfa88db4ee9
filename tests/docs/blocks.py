"""The code blocks of the documentation, and how those that can be run are run.

A page's commands and programs are run in their order, in one shell, in a folder that has what the page says to write
and the agents of examples/agents; `localhost:8000` is a service whose model is scripted. What a block prints is held
against the block that follows it directly.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import yaml

from app.settings import Settings
from tests.process import ROOT, environment

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))
}
FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+?) -->\n\n)?"
    r"^(?P<indent> *)```(?P<language>[^\s`]*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
PROGRAMS = {
    "sh": "{}",
    "bash": "{}",
    "python": "python - <<'END OF BLOCK'\n{}END OF BLOCK\n",
    "js": "node --input-type=module - <<'END OF BLOCK'\n{}END OF BLOCK\n",
}
"""Each as lines of a shell script."""
OUTPUTS = {"text", "json"}


@dataclass(frozen=True)
class Block:
    """One block; `title` is the file that it is to be saved as, `why` the reason why it is not run."""

    page: str
    line: int
    language: str
    title: str
    text: str
    why: str
    follows: bool
    """Whether nothing stands between it and the block before."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.language in PROGRAMS and not self.why and not self.title


def blocks_of(page: str) -> list[Block]:
    """In their order."""
    return list(_found(page))


def _found(page: str) -> Iterator[Block]:
    text, end = PAGES[page], -1
    for match in FENCE.finditer(text):
        indent = re.compile(f"^{match['indent']}", re.MULTILINE)
        yield Block(
            page=page,
            line=text.count("\n", 0, match.start("language")) + 1,
            language=match["language"],
            title=match["title"] or "",
            text=indent.sub("", match["text"]),
            why=match["why"] or "",
            follows=end >= 0 and not text[end : match.start()].strip(),
        )
        end = match.end()


def parses(block: Block) -> None:
    """Raises where a block of data is none."""
    match block.language:
        case "json":
            json.loads(block.text)
        case "yaml":
            assert list(yaml.safe_load_all(block.text))
        case "dotenv":
            settings_in(block)


def settings_in(block: Block) -> Settings:
    """What its lines set; each must be a setting, and valid."""
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", block.text, re.MULTILINE))
    assert {name.lower() for name in given} <= Settings.model_fields.keys(), block
    assert given, block
    return Settings(_env_file=None, **{name.lower(): value for name, value in given.items() if value})


async def run(blocks: list[Block], folder: Path, url: str, variables: Mapping[str, str]) -> dict[Block, str]:
    """Run a page's blocks one after the other; what each printed. One that fails fails the test, as does a problem."""
    printed = {block: folder.parent / f"printed-{block.line}" for block in blocks}
    script = ["set -euo pipefail", 'curl() { command curl --fail-with-body --max-time 20 "$@"; }']
    for block, file in printed.items():
        lines = PROGRAMS[block.language].format(block.text.replace("localhost:8000", url.removeprefix("http://")))
        script.append(f"echo {block} >&2\n{{\n{lines}\n}} >{file} 2>&1")
    path = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}",
    }
    with anyio.fail_after(100):
        done = await anyio.run_process(
            ["bash", "-c", "\n".join(script)],
            cwd=folder,
            env={**environment(folder / "data", variables), **path},
            check=False,
        )
    said = done.stderr.decode()
    assert done.returncode == 0, said + "".join(file.read_text() for file in printed.values() if file.exists())
    return {block: file.read_text(encoding="utf-8") for block, file in printed.items()}


def project(blocks: list[Block], folder: Path) -> None:
    """The folder that a page's reader has by then: the examples, and the files that the page shows."""
    shutil.copytree(ROOT / "examples" / "agents", folder / "agents")
    for block in blocks:
        if block.title and not block.why:
            file = folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")


def resembles(printed: str, shown: Block) -> bool:
    """Whether that is what the page shows: JSON by its shape, text line by line, where … stands for anything."""
    if shown.language == "json":
        return like(json.loads(printed), json.loads(shown.text))
    lines = [re.escape(line).replace("…", ".*") for line in shown.text.splitlines()]
    return re.search(r"\n(?:.*\n)*?".join(lines), printed) is not None


def like(value: Any, shown: Any) -> bool:
    """Names and types; of lists what is shown first. A null that is shown may be anything by now."""
    match shown:
        case dict():
            return (
                isinstance(value, dict)
                and value.keys() == shown.keys()
                and all(like(value[k], shown[k]) for k in shown)
            )
        case list():
            return isinstance(value, list) and len(value) >= len(shown) and all(map(like, value, shown))
        case None:
            return True
        case _:
            return type(value) is type(shown)
