"""For everybody: what axe finds, and a conversation without a mouse."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Pages, ask
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import HttpError, Reply, Text, ToolCall, ToolCalls

AXE = Path(__file__).parents[2] / "clients/playground/node_modules/axe-core/axe.min.js"
DESK = {"width": 1400, "height": 900}
PHONE = {"width": 390, "height": 844}
WEATHER: list[Reply] = [
    ToolCalls((ToolCall("weather", {"city": "Paris"}),)),
    Text(
        "*Sunny*: [more](https://a.example)\n\n```python\nx = 1  # a comment\n```\n\n"
        "| a | b |\n|-|-|\n| 1 | 2 |\n\n- [x] done"
    ),
]


@pytest.fixture(autouse=True)
def needs_axe(request: pytest.FixtureRequest) -> None:
    if "axe" not in request.function.__name__ or AXE.exists():
        return
    assert not os.environ.get("CI"), "axe is needed: npm ci in clients/playground"
    pytest.skip("axe is not installed: `make test` does that where there is node")


async def serious(page: Page) -> list[Any]:
    """What axe finds of weight, each with where."""
    if not await page.evaluate("'axe' in window"):
        await page.add_script_tag(path=AXE)
    found: list[Any] = await page.evaluate("axe.run().then((result) => result.violations)")
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


async def every_view(page: Page, model: OpenAIWire) -> dict[str, list[Any]]:
    """The page from empty to full, and what was found in each."""
    found = {"empty": await serious(page)}
    for label in ("About this agent", "Copy as code"):
        await page.get_by_label(label).click()
        found[label] = await serious(page)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("Alt+Slash")
    found["shortcuts"] = await serious(page)
    await page.keyboard.press("Escape")
    model.replies = WEATHER
    await ask(page, "Weather?")
    await expect(page.locator(".foot")).to_have_count(1)
    await page.locator(".call > summary").click()
    await page.get_by_label("Bad answer").click()
    found["conversation"] = await serious(page)
    model.replies = [HttpError(401)]
    await ask(page, "Fail")
    await expect(page.locator(".failure")).to_be_visible()
    await page.locator(".foot .figures").first.click()
    await page.locator(".waterfall button.llm").first.click()
    await page.locator(".span summary", has_text="Attributes").click()
    found["trace"] = await serious(page)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_axe_finds_nothing_serious(size: Any, scheme: Any, model: OpenAIWire, pages: Pages) -> None:
    """On a phone and on a desk, in both themes: the empty page, each dialog, a conversation, and its trace."""
    page = await pages.of("weather", color_scheme=scheme, viewport=size, bypass_csp=True)
    found = await every_view(page, model)
    if size == PHONE:
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Conversations", exact=True).click()
        await expect(page.locator(".sidebar")).to_be_visible()
        found["sidebar"] = await serious(page)
    assert {view: issues for view, issues in found.items() if issues} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_questions(scheme: Any, model: OpenAIWire, pages: Pages) -> None:
    """A form, and an approval."""
    page = await pages.of("journeys", color_scheme=scheme, bypass_csp=True)
    model.replies = [ToolCalls((ToolCall("book", {"city": "Ghent"}),))]
    await ask(page, "To Ghent")
    await expect(page.locator(".question")).to_be_visible()
    assert await serious(page) == []
    model.replies = [ToolCalls((ToolCall("refund", {"order": "A", "euros": 4}),))]
    await page.locator(".agents button", has_text="refunds").click()
    await ask(page, "Broken")
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()
    assert await serious(page) == []


NAME = """(({ ariaLabel, labels, innerText, tagName }) => tagName === "BODY" ? "" :
  ariaLabel || labels?.[0]?.innerText || innerText)(document.activeElement)"""


async def reach(page: Page, label: str) -> None:
    """Tab, until that has the focus, which can be seen."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if label in await page.evaluate(NAME):
            ring = "getComputedStyle(document.activeElement).outlineStyle"
            assert await page.evaluate(ring) != "none", f"the focus on {label!r} is not seen"
            return
    pytest.fail(f"{label!r} is not reached")


async def test_a_whole_conversation_without_a_mouse(model: OpenAIWire, pages: Pages) -> None:
    """Choose, ask, look into a call, vote and say why, see a span, copy as code, stop, go back: by the keyboard."""
    model.replies = WEATHER
    page = await pages.of(viewport=DESK)
    press = page.keyboard.press
    await reach(page, "Skip to the message")
    await reach(page, "Search conversations")
    await reach(page, "Knows the usual weather")
    await press("Enter")
    await expect(page.locator(".welcome h2")).to_have_text("weather")
    await expect(page.locator("#message")).to_be_focused()
    await page.keyboard.type("Weather?")
    await press("Enter")
    await expect(page.locator(".foot")).to_be_visible()
    await page.locator(".conversation").focus()
    await reach(page, "weather")
    await press("Enter")
    await expect(page.locator(".call h3").first).to_be_visible()
    await reach(page, "Good answer")
    await press("Enter")
    await expect(page.get_by_placeholder("Tell why")).to_be_focused()
    await page.keyboard.type("Short.")
    await press("Enter")
    await expect(page.get_by_text("You said: Short.")).to_be_visible()
    await reach(page, "chat gpt-4o-mini")
    await press("Enter")
    await expect(page.locator(".span")).to_be_visible()
    await press("Alt+KeyC")
    await expect(page.get_by_role("dialog")).to_contain_text("curl -N")
    await press("Escape")
    await press("Alt+KeyN")
    await expect(page.locator("#message")).to_be_focused()
    await press("Control+KeyK")
    await page.keyboard.type("Weather?")
    await reach(page, "Weather?")
    await press("Enter")
    await expect(page.locator(".markdown")).to_contain_text("Sunny")


async def test_a_phone(model: OpenAIWire, pages: Pages) -> None:
    """By touch: choose, ask, look at the trace, go back to an earlier conversation; everything fits."""
    model.replies = WEATHER
    page = await pages.of(viewport=PHONE, has_touch=True, is_mobile=True)
    await page.get_by_role("button", name="Conversations", exact=True).tap()
    await page.locator(".agents button", has_text="weather").tap()
    await expect(page.locator(".sidebar")).to_be_hidden()
    await page.locator("#message").tap()
    await page.keyboard.type("Weather?")
    await page.get_by_label("Send", exact=True).tap()
    await expect(page.locator(".foot")).to_be_visible()
    await page.locator(".foot .figures").tap()
    await expect(page.locator(".waterfall button").first).to_be_visible()
    await page.get_by_label("Close the trace").tap()
    await page.get_by_role("button", name="Conversations", exact=True).tap()
    await page.locator(".new").tap()
    await page.get_by_role("button", name="Conversations", exact=True).tap()
    await page.locator(".sessions .first", has_text="Weather?").first.tap()
    await expect(page.locator(".markdown")).to_contain_text("Sunny")
    width: list[int] = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    small = await page.locator("main :is(button, input, textarea):visible").evaluate_all(
        "parts => parts.filter(part => part.getBoundingClientRect().height < 24).map(part => part.outerHTML)"
    )
    assert small == []
