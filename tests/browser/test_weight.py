"""What the page costs before it is seen, and that it is the service's own."""

import gzip
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Pages
from tests.service import Service

LIMIT = 100_000
"""Bytes of script, gzipped."""
LOADED = """new Promise((painted) => new PerformanceObserver(painted).observe({ type: "paint", buffered: true })).then(
  () => performance.getEntriesByType("resource").map((entry) => entry.name))"""
"""What was asked for by the first paint; it is told some time after it, so that this is rather more."""


async def test_the_first_paint_is_cheap(site: Service, pages: Pages) -> None:
    """Every script that the browser loads until the page stands, as gzip makes it, weighs less than the limit."""
    page = await pages.at()
    await expect(page.locator(".welcome h2")).to_be_visible()
    loaded: list[str] = await page.evaluate(LOADED)
    scripts = {url.removeprefix(site.url) for url in loaded if url.endswith(".js")}
    assert {"/static/main.js", "/static/vendor/preact.js"} <= scripts
    assert not any("highlight/" in path for path in scripts)  # that comes with the first code
    files = [await site.client.get(path) for path in sorted(scripts)]
    assert sum(len(gzip.compress(file.content)) for file in files) < LIMIT


async def test_the_files_are_kept_and_are_its_own(site: Service) -> None:
    """The ETag answers 304; the policy lets nothing else in; no address is from elsewhere."""
    page = await site.client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    again = await site.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "app/playground").glob("*.js")), ids=lambda path: path.name
)
def test_modules_are_small(path: Path) -> None:
    """Each is read in one go."""
    assert len(path.read_text().splitlines()) <= 250
