"""One service, one model and one browser for all tests of a module; each test has pages of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.conftest import MODEL
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.service import Service, serving

AGENTS = Path(__file__).parent / "agents"


class Pages:
    """Pages, of which none may fail, be refused something by its policy, or ask another origin for anything."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._contexts: list[BrowserContext] = []
        self.faults: list[str] = []

    async def at(self, place: str = "", url: str = "", **options: Any) -> Page:
        """The page at that place (`session=…`, `agent=…`), of the service, or of another."""
        origin = url or self._url
        context = await self._browser.new_context(**options)
        self._contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._heard)
        page.on("request", lambda request: self._asked(origin, request.url))
        await page.goto(f"{origin}/#{place}")
        return page

    async def of(self, agent: str = "assistant", url: str = "", **options: Any) -> Page:
        """A new conversation with that agent."""
        page = await self.at(f"agent={agent}", url, **options)
        await page.locator(".welcome h2", has_text=agent).wait_for()
        return page

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()
        assert self.faults == []

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.faults.append(message.text)

    def _asked(self, origin: str, url: str) -> None:
        if not url.startswith((f"{origin}/", "data:", "blob:")):
            self.faults.append(f"asked for {url}")


@pytest.fixture(scope="module")
async def wire() -> AsyncIterator[OpenAIWire]:
    async with OpenAIWire() as wire:
        yield wire


@pytest.fixture(scope="module")
async def site(wire: OpenAIWire, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The catalog's agents, and those beside this file."""
    settings: dict[str, Any] = {
        "model": MODEL,
        "model_base_url": f"{wire.url}/v1",
        "openai_api_key": "sk-test",
        "data_dir": tmp_path_factory.mktemp("data"),
        "agents_dir": AGENTS,
        "trace_url_template": "https://traces.example/{trace_id}",
        "hh_url_template": "https://honeyhive.example/{session_id}",
    }
    with HoneyHive() as honeyhive:
        async with serving(**settings, hh_api_url=honeyhive.url, hh_api_key="hh_test_key") as service:
            yield service


@pytest.fixture
def model(wire: OpenAIWire) -> OpenAIWire:
    """The service's model, which has not been asked yet."""
    wire.replies = ()
    wire.requests.clear()
    return wire


@pytest.fixture
async def pages(chromium: Browser, site: Service) -> AsyncIterator[Pages]:
    pages = Pages(chromium, site.url)
    yield pages
    await pages.close()


async def ask(page: Page, text: str) -> None:
    """Type it, and send it."""
    await page.fill("#message", text)
    await page.keyboard.press("Enter")
