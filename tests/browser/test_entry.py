"""Who is let in to the page, where there is one."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import ask
from tests.service import serving

KEY = "sk-a-long-enough-secret-key-0123456789"


async def test_a_key_is_asked_for(with_openai: dict[str, Any], chromium: Browser) -> None:
    """The page is for everybody, and knows nothing until it has a key; a wrong one is asked for again."""
    async with serving(**with_openai, api_keys=f"acme:{KEY}") as service:
        page = await chromium.new_page()
        await page.goto(service.url)
        await page.get_by_label("API key or token").fill("sk-wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).not_to_have_text("This service asks for a key.")
        await page.get_by_label("API key or token").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(page.locator(".welcome h2")).to_be_visible()
        await ask(page, "Hi")
        await expect(page.locator(".foot")).to_be_visible()
        assert (await service.client.get("/playground.json")).status_code == 401
        await page.close()


@pytest.mark.parametrize("settings", [{"playground": False}, {"role": "worker"}], ids=["off", "worker"])
async def test_there_may_be_no_page(settings: dict[str, Any], with_openai: dict[str, Any]) -> None:
    """Where it is not wanted."""
    async with serving(**with_openai, **settings) as service:
        assert (await service.client.get("/")).status_code == 404
        assert (await service.client.get("/static/main.js")).status_code == 404


async def test_no_key_is_copied(with_openai: dict[str, Any], chromium: Browser) -> None:
    """Where one belongs, a variable is named."""
    async with serving(**with_openai, api_keys=f"acme:{KEY}") as service:
        page = await chromium.new_page()
        await page.goto(service.url)
        await page.get_by_label("API key or token").fill(KEY)
        await page.keyboard.press("Enter")
        await page.get_by_label("Copy as code").click()
        for language in ("curl", "Python", "JavaScript"):
            await page.get_by_role("button", name=language, exact=True).click()
            code = await page.locator("dialog pre").inner_text()
            assert KEY not in code
            assert "WAGGLE_KEY" in code
        await page.close()
