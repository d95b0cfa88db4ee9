"""A real Chromium, driven by Playwright: the distribution's, since Playwright's own is a download of another kind."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""Those that `make test` looks for."""
FLAGS = (
    "--no-sandbox",  # which a container's root has not
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """The browser; raises FileNotFoundError where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise FileNotFoundError("no Chromium is installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """The browser, of this module's tests; they are left out where there is none."""
    try:
        async with launched() as browser:
            yield browser
    except FileNotFoundError as error:
        pytest.skip(str(error))
