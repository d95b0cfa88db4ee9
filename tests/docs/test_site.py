"""The site of docs/, built as `make docs` builds it and read from the disk."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.process import ROOT

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Its folder; the test is left out where MkDocs is not installed."""
    mkdocs = shutil.which("mkdocs", path=PATH)
    if mkdocs is None:
        pytest.skip("make docs installs MkDocs, and that was not called")
    command = [mkdocs, "build", "--strict", "--quiet", "-f", str(ROOT / "docs/site/mkdocs.yml"), "-d", str(tmp_path)]
    subprocess.run(command, env={"PATH": PATH, "NO_MKDOCS_2_WARNING": "1"}, check=True)  # noqa: S603
    return tmp_path


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture; links may lead away."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe|source)[^>]+src=\"?https?:", text), page
        assert not re.findall(r"<link[^>]+(?:stylesheet|preconnect|icon)[^>]+href=\"?https?:", text), page


async def test_it_can_be_searched_from_the_disk(site: Path, chromium: Browser) -> None:
    """Without a server and without a network: a word that is asked for is found, and its page opens."""
    page = await chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto((site / "index.html").as_uri())
    await page.get_by_role("textbox", name="Search").fill("Idempotency-Key")
    first = page.locator(".md-search-result__link").first
    await expect(first).to_be_visible(timeout=20_000)
    await first.click()
    await expect(page.locator("article h1")).to_be_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    await page.close()
