"""The trace beside the conversation."""

import re
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import Pages, ask
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError, Text, ToolCall, ToolCalls, Usage
from tests.service import Service

WIDE: dict[str, Any] = {"viewport": {"width": 1400, "height": 900}}


async def complete(page: Page) -> None:
    """Every span of the run that is shown has ended."""
    await expect(page.locator(".waterfall .time").first).to_contain_text("s")
    await expect(page.locator(".waterfall .time", has_text="…")).to_have_count(0)


async def figures(page: Page) -> dict[str, str]:
    names = await page.locator(".trace .figures dt").all_inner_texts()
    return dict(zip(names, await page.locator(".trace .figures dd").all_inner_texts(), strict=True))


async def test_it_is_live(model: OpenAIWire, pages: Pages) -> None:
    """Spans are there while the run goes on, without an end; the time to the first token too."""
    model.replies = [Drip()]
    page = await pages.of(**WIDE)
    await ask(page, "Go on")
    await expect(page.locator(".waterfall button.llm .time")).to_have_text("…")
    await expect(page.locator(".working, .markdown")).to_be_visible()
    found = await figures(page)
    assert found["Duration"] == "…"
    assert re.fullmatch(r"[\d.]+ m?s", found["First token"])
    await page.keyboard.press("Escape")
    await complete(page)
    assert re.fullmatch(r"[\d.]+ m?s", (await figures(page))["Duration"])


async def test_figures_of_a_run_and_a_conversation(model: OpenAIWire, pages: Pages) -> None:
    """Nesting, durations, tokens and cost; the turn that is clicked is the one whose trace is shown."""
    model.replies = [
        ToolCalls((ToolCall("weather", {"city": "Paris"}),), usage=Usage(100, 20)),
        Text("Sunny.", usage=Usage(200, 30)),
        Text("No.", usage=Usage(1000, 500)),
    ]
    page = await pages.of("weather", **WIDE)
    await ask(page, "Weather?")
    await expect(page.locator(".foot")).to_have_count(1)
    await complete(page)
    rows = page.locator(".waterfall button")
    depths = await rows.evaluate_all("rows => rows.map(row => [row.dataset.depth, row.className])")
    assert depths == [["0", "chain"], ["1", "agent"], ["2", "llm"], ["2", "tool"], ["2", "llm"], ["1", "chain"]]
    assert all(re.fullmatch(r"[\d.]+ m?s", time) for time in await page.locator(".waterfall .time").all_inner_texts())
    found = await figures(page)
    assert (found["Tokens"], found["Cost"]) == ("300 in 50 out", "$0.000075")
    await ask(page, "Rain?")
    await expect(page.locator(".foot")).to_have_count(2)
    await expect(page.locator(".trace .figures")).to_contain_text("1000 in 500 out")
    await expect(page.locator(".trace .sum")).to_contain_text("2 runs · 1,850 tokens · $0.000525")
    await expect(page.locator(".top .totals")).to_contain_text("1,850")
    await page.locator(".foot .figures").first.click()
    await expect(page.locator(".trace .figures")).to_contain_text("300 in 50 out")


async def test_a_span_from_near(model: OpenAIWire, pages: Pages) -> None:
    """Its figures, what went in and came out, its attributes; a second click closes it."""
    model.replies = [Text("A **word**.", thought="Hm.", usage=Usage(100, 20))]
    page = await pages.of(**WIDE)
    await ask(page, "What is it?")
    await complete(page)
    span = page.locator(".span")
    await page.locator(".waterfall button.llm").click()
    await expect(span).to_contain_text("100 in, 20 out")
    await expect(span).to_contain_text("first token")
    await expect(span.locator("details", has_text="input.value")).to_contain_text("What is it?")
    await expect(span.locator("details", has_text="output.value")).to_contain_text("A **word**.")
    await span.locator("summary", has_text="Attributes").click()
    await expect(span.locator("dt", has_text="gen_ai.request.model").first).to_be_visible()
    await page.locator(".waterfall button.llm").click()
    await expect(span).to_have_count(0)


async def test_errors_are_red(model: OpenAIWire, pages: Pages) -> None:
    """The spans that failed, and what the failure was."""
    model.replies = [HttpError(401)]
    page = await pages.of(**WIDE)
    await ask(page, "Please")
    await expect(page.locator(".failure")).to_be_visible()
    failed = page.locator(".waterfall button.error", has_text="chat")
    red = "getComputedStyle(document.querySelector('.waterfall .error .name')).color"
    await expect(failed).to_contain_text("failed")
    assert await page.evaluate(red) == "rgb(179, 38, 30)"
    await failed.click()
    await expect(page.locator(".span .event")).to_contain_text("exception")


async def test_it_is_found_elsewhere(site: Service, model: OpenAIWire, pages: Pages) -> None:
    """By the templates' addresses, with the run's own ids; and as a command that answers with it."""
    page = await pages.of(**WIDE)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ask(page, "Hi")
    await complete(page)
    (run,) = (await site.get(f"/sessions/{page.url.rpartition('=')[2]}/runs"))["items"]
    elsewhere = page.get_by_role("link", name="Trace backend")
    await expect(elsewhere).to_have_attribute("href", f"https://traces.example/{run['trace_id']}")
    (root,) = await site.trace(run)
    session = page.get_by_role("link", name="HoneyHive")
    await expect(session).to_have_attribute(
        "href", f"https://honeyhive.example/{root['attributes']['honeyhive.session_id']}"
    )
    await page.locator(".trace").get_by_role("button", name="Copy as curl").click()
    await expect(page.locator(".trace").get_by_role("button", name="Copied")).to_be_visible()
    copied: str = await page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl '{site.url}/runs/{run['run_id']}/trace'"


async def test_it_is_opened_and_closed(model: OpenAIWire, pages: Pages) -> None:
    """By the keyboard; on a phone it lies over the conversation, and Escape takes it away."""
    page = await pages.of(viewport={"width": 390, "height": 844})
    await ask(page, "Hi")
    await expect(page.locator(".foot")).to_be_visible()
    await expect(page.locator(".trace")).to_be_hidden()
    await page.locator(".foot .figures").click()
    await complete(page)
    await page.keyboard.press("Escape")
    await expect(page.locator(".trace")).to_be_hidden()
    await page.keyboard.press("Alt+KeyT")
    await expect(page.locator(".trace")).to_be_visible()
    await page.get_by_label("Close the trace").click()
    await expect(page.locator(".trace")).to_be_hidden()
