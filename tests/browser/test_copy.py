"""The conversation as code: what is copied goes on with it, as it is."""

import json
import os
import shutil
import sys
from pathlib import Path

import anyio
import pytest
from playwright.async_api import expect

from tests.browser.conftest import Pages, ask
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text
from tests.service import Service

TASK = """It's "quoted" — $HOME `ls` \\n </script> 🐝"""
RUN = {"curl": ["sh"], "Python": [sys.executable], "JavaScript": ["node"]}


@pytest.mark.parametrize("language", RUN)
async def test_what_is_copied_runs(
    language: str, site: Service, model: OpenAIWire, pages: Pages, tmp_path: Path
) -> None:
    """With the real agent, session and task: the same question again, as the conversation's second turn."""
    if not all(map(shutil.which, ["curl" if language == "curl" else RUN[language][0]])):
        assert not os.environ.get("CI"), f"{RUN[language][0]} is needed"
        pytest.skip(f"{RUN[language][0]} is not installed")
    model.replies = [Text("First answer."), Text("Second answer.")]
    page = await pages.of()
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ask(page, TASK)
    await expect(page.locator(".foot")).to_be_visible()
    await page.get_by_label("Copy as code").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name=language, exact=True).click()
    await dialog.get_by_role("button", name="Copy", exact=True).click()
    await expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    program = tmp_path / ("program.mjs" if language == "JavaScript" else "program")
    program.write_text(await page.evaluate("navigator.clipboard.readText()"))
    done = await anyio.run_process([*RUN[language], str(program)], env={**os.environ, "NO_PROXY": "*"})
    assert "Second" in done.stdout.decode()
    assert json.dumps(model.requests[1].json["messages"]).count(json.dumps(TASK)) == 2
    session = await site.get(f"/sessions/{page.url.rpartition('=')[2]}")
    assert (session["agent"], session["turns"]) == ("assistant", 2)
