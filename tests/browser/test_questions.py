"""A run that waits for a person, answered on the page."""

import json

from playwright.async_api import Page, expect

from tests.browser.conftest import Pages, ask
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text, ToolCall, ToolCalls

REFUND = ToolCalls((ToolCall("refund", {"order": "A-1017", "euros": 40}),))


async def asked(page: Page, agent: str) -> None:
    await expect(page.locator(".question .asks")).to_have_text(f"{agent} asks")
    await expect(page.get_by_text("Reconnecting")).to_have_count(0)


async def test_a_tool_is_allowed(model: OpenAIWire, pages: Pages) -> None:
    """The call waits; a reload asks again; once it is approved its result is folded in, and the answer follows."""
    model.replies = [REFUND, Text("Paid back.")]
    page = await pages.of("refunds")
    await ask(page, "It came broken")
    await asked(page, "refunds")
    await expect(page.locator(".call .state")).to_have_text("waiting")
    await page.reload()
    await asked(page, "refunds")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".markdown")).to_have_text("Paid back.")
    await expect(page.locator(".call .state")).to_have_text("done")
    await expect(page.locator(".call")).to_contain_text("40.00 euros were paid back")
    await expect(page.locator(".question")).to_have_count(0)
    await expect(page.locator(".task")).to_have_count(1)


async def test_a_tool_is_allowed_with_other_arguments(model: OpenAIWire, pages: Pages) -> None:
    """They begin as the model's; what is no JSON object cannot be approved."""
    model.replies = [REFUND, Text("Paid back.")]
    page = await pages.of("refunds")
    await ask(page, "It came broken")
    await asked(page, "refunds")
    await page.get_by_text("Change the arguments").click()
    arguments = page.get_by_label("Arguments", exact=True)
    assert json.loads(await arguments.input_value()) == {"order": "A-1017", "euros": 40}
    await arguments.fill("[40]")
    await expect(page.get_by_role("button", name="Approve")).to_be_disabled()
    await arguments.fill('{"order": "A-1017", "euros": 25}')
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".markdown")).to_have_text("Paid back.")
    await expect(page.locator(".call")).to_contain_text("25.00 euros were paid back")


async def test_a_tool_is_denied(model: OpenAIWire, pages: Pages) -> None:
    """With the keyboard alone; the model is told why."""
    model.replies = [REFUND, Text("I may not.")]
    page = await pages.of("refunds")
    await ask(page, "It came broken")
    await asked(page, "refunds")
    await page.get_by_label("Reason").focus()
    await page.keyboard.type("It was glued.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".markdown")).to_have_text("I may not.")
    await expect(page.locator(".call .state")).to_have_text("failed")
    assert "It was glued." in json.dumps(model.requests[-1].json)


async def test_a_schema_is_a_form(model: OpenAIWire, pages: Pages) -> None:
    """Each field by its type; what is missing is not sent. Then a person is asked in words."""
    model.replies = [ToolCalls((ToolCall("book", {"city": "Ghent"}),))]
    page = await pages.of("journeys")
    await ask(page, "To Ghent")
    await asked(page, "book")
    await page.get_by_role("button", name="Answer", exact=True).click()
    assert await page.get_by_label("When").evaluate("field => !field.checkValidity()")
    await page.get_by_label("When").fill("1 May")
    await page.get_by_label("Travellers").fill("2")
    await page.get_by_label("By").select_option("bicycle")
    await page.get_by_label("There and back").check()
    await page.get_by_role("button", name="Answer", exact=True).click()
    await asked(page, "traveller")
    await page.locator(".call > summary").click()
    answered = await page.locator(".call pre, .call .value").all_inner_texts()
    assert "bicycle" in str(answered)
    assert "'travellers': 2" in str(answered).replace('"', "'")
    await page.get_by_label("Answer").fill("Fine.\nThank you.")
    await page.get_by_role("button", name="Answer", exact=True).click()
    await expect(page.locator(".item", has_text="Thank you.")).to_be_visible()
    await expect(page.locator(".foot")).to_be_visible()


async def test_an_answer_that_was_given_elsewhere(model: OpenAIWire, pages: Pages) -> None:
    """Two pages of one conversation: the second goes on with the first's answer."""
    model.replies = [REFUND, Text("Paid back.")]
    first = await pages.of("refunds")
    await ask(first, "It came broken")
    await asked(first, "refunds")
    second = await pages.at(first.url.partition("#")[2])
    await asked(second, "refunds")
    await first.get_by_role("button", name="Approve").click()
    await expect(second.locator(".markdown")).to_have_text("Paid back.")
    await expect(second.locator(".question")).to_have_count(0)


async def test_a_question_is_stopped(model: OpenAIWire, pages: Pages) -> None:
    """Escape takes it back."""
    model.replies = [REFUND]
    page = await pages.of("refunds")
    await ask(page, "It came broken")
    await asked(page, "refunds")
    await page.keyboard.press("Escape")
    await expect(page.locator(".stopped")).to_be_visible()
    await expect(page.locator(".question")).to_have_count(0)
