"""Every code block of docs/ and README.md is run, parsed, or marked with the reason why not."""

from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tests.cli.command import asks
from tests.docs.blocks import OUTPUTS, PAGES, PROGRAMS, Block, blocks_of, parses, project, resembles, run
from tests.process import ROOT
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import serving

ELSEWHERE = {
    ("README.md", "sh"): "tests/test_readme.py",
    ("README.md", "json"): "tests/test_readme.py",
    ("README.md", "text"): "tests/test_readme.py",
    ("docs/agents.md", "python"): "tests/test_examples.py",
    ("docs/cli.md", "sh"): "tests/test_docs_cli.py",
    ("docs/cli.md", "text"): "tests/test_docs_cli.py",
    ("docs/clients.md", "html"): "tests/docs/test_clients.py",
    ("docs/clients.md", "ts"): "tests/clients/test_typescript.py",
    ("docs/deploying.md", "nginx"): "tests/servers/nginx.py",
    ("docs/honeyhive.md", "sh"): "tests/docs/test_honeyhive.py",
    ("docs/honeyhive.md", "text"): "tests/docs/test_honeyhive.py",
    ("docs/protocols/a2a.md", "python"): "tests/wire/test_a2a.py",
    ("docs/protocols/ag-ui.md", "js"): "tests/wire/test_ag_ui.py",
    ("docs/protocols/ai-sdk.md", "js"): "tests/wire/test_ai_sdk.py",
    ("docs/protocols/ai-sdk.md", "jsx"): "tests/wire/test_ai_sdk.py",
    ("docs/tracing.md", "python"): "tests/telemetry/test_own_spans.py",
    ("docs/webhooks.md", "python"): "tests/test_docs_webhooks.py",
}
"""Who runs a page's blocks of a language, where a test of that page's own does."""
DATA = {"json", "yaml", "dotenv"}
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def mine(page: str) -> list[Block]:
    """A page's blocks without those that are run elsewhere."""
    return [block for block in blocks_of(page) if (page, block.language) not in ELSEWHERE]


def shown_with(block: Block, blocks: list[Block]) -> Block | None:
    """The block that shows what this one prints."""
    later = blocks[blocks.index(block) + 1 :]
    return later[0] if later and later[0].follows and later[0].language in OUTPUTS and not later[0].why else None


RUNNING = [page for page in PAGES if any(block.runs for block in mine(page))]


def answers(request: Request) -> Reply:
    """Calls the first tool that is offered, then says what came of it; else it answers as the pages show."""
    calls: dict[str, dict[str, Any]] = {
        "add": {"a": 2, "b": 3},
        "find_book": {"topic": "bees"},
        "count_words": {"text": request.asked.text},
        "multiply": {"a": 6, "b": 7},
        "note": {"hive": "hive 1"},
        "refund": {"order": "A-17", "euros": 40},
        "weather": {"city": "Lisbon", "day": "tomorrow"},
    }
    if request.asked.results:
        return Text(request.asked.results[-1])
    for tool in request.asked.tools:
        return ToolCalls((ToolCall(tool.name, calls[tool.name]),))
    return Text("Bees dance to show where flowers are.")


@pytest.mark.parametrize("page", RUNNING)
async def test_what_a_page_says_to_run_runs(
    page: str, openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path
) -> None:
    """Each command and program ends well, and prints what is shown; every agent that the page has is served."""
    blocks, folder = mine(page), tmp_path / "project"
    needed = {"curl"} | ({"node"} if any(block.language == "js" for block in blocks if block.runs) else set())
    if missing := [program for program in needed if which(program) is None]:
        pytest.skip(f"not installed: {missing}")
    project(blocks, folder)
    openai.replies = answers
    async with serving(**with_openai | {"agents_dir": folder / "agents", "data_dir": folder / "data"}) as service:
        cards = (await service.get("/agents"))["items"]
        assert not [card for card in cards if card["status"] != "ready"]
        printed = await run([block for block in blocks if block.runs], folder, service.url, asks(openai))
    for block, text in printed.items():
        if shown := shown_with(block, blocks):
            assert resembles(text, shown), f"{shown}: printed was\n{text}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in DATA], ids=str)
def test_data_is_well_formed(block: Block) -> None:
    """JSON and YAML are; in `.env` files each line is a setting, and valid."""
    parses(block)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_block_is_tried_or_says_why_not(block: Block) -> None:
    """By a shell, a parser or a test of the page's own, as the output of what runs; or a comment has the reason."""
    others = blocks_of(block.page)
    before = others[others.index(block) - 1] if block.follows else None
    tried = (
        block.language in PROGRAMS
        or block.language in DATA
        or (block.page, block.language) in ELSEWHERE
        or (block.language in OUTPUTS and before is not None and before.runs)
    )
    assert tried or block.why, "put <!-- not run: and why --> before it, and an empty line between"


@pytest.mark.parametrize(("page", "language"), ELSEWHERE)
def test_who_is_said_to_run_blocks_reads_the_page(page: str, language: str) -> None:
    """The test names it, and the page has such blocks."""
    assert Path(page).name in (ROOT / ELSEWHERE[page, language]).read_text(encoding="utf-8")
    assert any(block.language == language for block in blocks_of(page))


def test_every_fence_is_found() -> None:
    """The expression misses none, such as one of a form that it does not know."""
    for page, text in PAGES.items():
        assert 2 * len(blocks_of(page)) == sum(line.lstrip().startswith("```") for line in text.splitlines()), page


def block(language: str, text: str) -> Block:
    return Block(page="docs/api.md", line=1, language=language, title="", text=text, why="", follows=True)


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        pytest.param("a\nb\nc\n", block("text", "a\nc\n"), True, id="lines left out"),
        pytest.param("run 17 done\n", block("text", "run … done\n"), True, id="anything"),
        pytest.param("c\na\n", block("text", "a\nc\n"), False, id="another order"),
        pytest.param('{"a": 1, "b": [true, 2]}', block("json", '{"a": 7, "b": [false]}'), True, id="the same shape"),
        pytest.param('{"a": 1, "b": 2}', block("json", '{"a": 1}'), False, id="one field more"),
        pytest.param('{"a": "1"}', block("json", '{"a": 1}'), False, id="another type"),
        pytest.param('{"a": []}', block("json", '{"a": [1]}'), False, id="one item less"),
        pytest.param('{"a": "then"}', block("json", '{"a": null}'), True, id="null, by now something"),
    ],
)
def test_what_is_printed_is_held_against_what_is_shown(printed: str, shown: Block, same: bool) -> None:
    """Text by its lines in their order, JSON by names and types."""
    assert resembles(printed, shown) is same
