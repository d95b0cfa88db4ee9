"""The example's page: `useChat`, in a real browser."""

from collections.abc import AsyncIterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import picture
from tests.servers.replies import Drip, HttpError, Text
from tests.service import Service, serving
from tests.wire.chatting import answers, folder_of
from tests.wire.node import EXAMPLES, bundled


class Handler(SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, *about: object) -> None:
        pass


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[str]:
    """Where the page is: another origin than the service's."""
    folder = tmp_path / "site"
    folder.mkdir()
    await bundled(EXAMPLES / "ai-sdk" / "page.jsx", folder / "page.js")
    html = '<!doctype html><title>Chat</title><body><script src="/page.js" defer></script>'
    (folder / "index.html").write_text(html, encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(with_openai: dict[str, Any], tmp_path: Path, site: str) -> dict[str, Any]:
    return with_openai | {"agents_dir": folder_of(tmp_path), "cors_origins": [site]}


async def opened(browser: Browser, site: str, service: Service, agent: str) -> Page:
    page = await browser.new_page()
    await page.goto(f"{site}/?waggle={service.url}&agent={agent}")
    return page


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message").fill(text)
    await page.get_by_role("button", name="Send").click()


async def test_a_conversation(
    chromium: Browser, openai: OpenAIWire, settings: dict[str, Any], site: str, tmp_path: Path
) -> None:
    """Two turns, an image, the last answer again."""
    openai.replies = answers
    async with serving(**settings) as service:
        page = await opened(chromium, site, service, "plain")
        await say(page, "Hello.")
        await expect(page.locator(".assistant")).to_have_text("plain Bees dance.")
        photo = tmp_path / "photo.png"
        photo.write_bytes(picture())
        await page.get_by_label("Images").set_input_files(photo)
        await say(page, "What is it?")
        await expect(page.locator(".assistant")).to_have_count(2)
        await expect(page.locator(".assistant").last).to_have_text("plain Bees dance.")
        openai.replies = lambda _: Text("They fly.")
        await page.get_by_role("button", name="Again").click()
        await expect(page.locator(".assistant").last).to_have_text("plain They fly.")
    said = openai.requests[-1].json["messages"]
    assert [message["role"] for message in said] == ["system", "user", "assistant", "user"]
    assert said[-1]["content"][0]["type"] == "image_url"


async def test_a_reload_goes_on_with_the_answer(
    chromium: Browser, openai: OpenAIWire, settings: dict[str, Any], site: str
) -> None:
    """It is the same run, and nothing is shown twice; then it is stopped."""
    openai.replies = lambda _: Drip()
    async with serving(**settings) as service:
        page = await opened(chromium, site, service, "plain")
        await say(page, "Go on.")
        await expect(page.locator(".assistant")).to_contain_text("tick tick")
        before = len(await page.locator(".assistant").inner_text())
        await page.reload()
        await page.wait_for_function(f"document.querySelector('.assistant')?.innerText.length > {before} + 20")
        await expect(page.locator(".assistant")).to_have_count(1)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    assert len(openai.requests) == 1


async def test_a_person_decides(chromium: Browser, openai: OpenAIWire, settings: dict[str, Any], site: str) -> None:
    """By a button under the question."""
    openai.replies = answers
    async with serving(**settings) as service:
        page = await opened(chromium, site, service, "removing")
        await say(page, "Remove it.")
        await page.get_by_role("button", name="Yes").click()
        await expect(page.locator(".assistant").last).to_contain_text("It said: /a is gone")


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("weather", ['weather({"city":"Paris","day":"2026-07-14"}) Paris, France', "weather It said: Paris, France"]),
        ("research", ["writer Bees dance."]),
        ("support", ["hands over to billing", "billing Bees dance."]),
        ("thinker", ["A thought", "What do they do?", "thinker Bees dance."]),
        ("painter", ["A dot."]),
    ],
)
async def test_what_agents_do_is_shown(
    agent: str, shown: list[str], chromium: Browser, openai: OpenAIWire, settings: dict[str, Any], site: str
) -> None:
    """A tool, teams, a thought, a picture."""
    openai.replies = answers
    async with serving(**settings) as service:
        page = await opened(chromium, site, service, agent)
        await say(page, "Hello.")
        for words in shown:
            await expect(page.locator(".assistant")).to_contain_text(words)
        assert await page.locator(".assistant img").count() == (agent == "painter")


async def test_a_page_that_is_closed(
    chromium: Browser, openai: OpenAIWire, settings: dict[str, Any], site: str
) -> None:
    """Leaves no model call behind."""
    openai.replies = lambda _: Drip()
    async with serving(**settings | {"disconnect_grace_s": 0.05}) as service:
        page = await opened(chromium, site, service, "plain")
        await say(page, "Go on.")
        await expect(page.locator(".assistant")).to_contain_text("tick tick")
        await page.close()
        await openai.until_abandoned(1)


async def test_a_run_that_fails(chromium: Browser, openai: OpenAIWire, settings: dict[str, Any], site: str) -> None:
    openai.replies = lambda _: HttpError(401)
    async with serving(**settings) as service:
        page = await opened(chromium, site, service, "plain")
        await say(page, "Hello.")
        await expect(page.get_by_role("alert")).to_have_text("The model provider refused the service's credentials.")


async def test_an_error_is_shown(chromium: Browser, openai: OpenAIWire, settings: dict[str, Any], site: str) -> None:
    async with serving(**settings) as service:
        page = await opened(chromium, site, service, "nobody")
        await say(page, "Hello.")
        await expect(page.get_by_role("alert")).to_contain_text("urn:waggle:problem:not-found")
