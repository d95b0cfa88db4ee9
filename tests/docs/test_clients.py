"""The page that docs/clients.md shows, in a real browser."""

from playwright.async_api import Browser, expect

from tests.docs.blocks import blocks_of
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text
from tests.service import Service


async def test_the_page_shows_the_answer(chromium: Browser, openai: OpenAIWire, service: Service) -> None:
    """Piece by piece, and once."""
    openai.replies = lambda _: Text("Bees dance.")
    [shown] = [block for block in blocks_of("docs/clients.md") if block.language == "html"]
    page = await chromium.new_page()
    await page.goto(f"{service.url}/livez")  # of the same origin
    await page.set_content(shown.text.replace("http://localhost:8000", service.url))
    await expect(page.locator("#answer")).to_have_text("Bees dance.")
    await page.close()
