"""The page as people use it: a real service, a scripted provider, a real Chromium."""

import re

from playwright.async_api import expect

from tests.browser.conftest import Pages, ask
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError, Text, ToolCall, ToolCalls
from tests.service import Service


async def test_a_first_conversation_with_the_keyboard_alone(site: Service, model: OpenAIWire, pages: Pages) -> None:
    """The message has the focus; the answer is markdown; the conversation is there again, and its feedback is told."""
    model.replies = [Text("Hello **you**.\n\n```python\nprint(1)\n```")]
    page = await pages.of()
    await expect(page.locator("#message")).to_be_focused()
    await page.keyboard.type("Hi")
    await page.keyboard.press("Enter")
    await expect(page.locator(".markdown strong")).to_have_text("you")
    await expect(page.locator(".hljs-number, .hljs-built_in").first).to_be_visible()
    await page.get_by_label("Good answer").focus()
    await page.keyboard.press("Enter")
    await page.get_by_placeholder("Tell why").fill("Kind.")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("You said: Kind.")).to_be_visible()
    await expect(page.locator(".sessions .first").first).to_have_text("Hi")
    await page.reload()
    await expect(page.locator(".task")).to_contain_text("Hi")
    await expect(page.locator(".markdown strong")).to_have_text("you")
    await expect(page.get_by_text("You said: Kind.")).to_be_visible()
    await expect(page.get_by_label("Good answer")).to_have_attribute("aria-pressed", "true")


async def test_a_tool_call_and_its_trace(model: OpenAIWire, pages: Pages) -> None:
    """The call is folded with its arguments and result; the spans are beside it, and open on a click."""
    model.replies = [ToolCalls((ToolCall("weather", {"city": "Paris"}),)), Text("Sunny.")]
    page = await pages.of("weather", viewport={"width": 1400, "height": 900})
    await ask(page, "Weather?")
    await page.locator(".call > summary").click()
    await expect(page.locator(".call")).to_contain_text("Paris, France")
    await expect(page.locator(".waterfall")).to_contain_text("execute_tool weather")
    await page.locator(".waterfall button.llm").first.click()
    await expect(page.locator(".span")).to_contain_text("chat gpt-4o-mini")


async def test_a_tool_that_fails_is_seen(model: OpenAIWire, pages: Pages) -> None:
    """In the conversation, folded, and among the spans."""
    model.replies = [ToolCalls((ToolCall("weather", {"city": "Nowhere"}),)), Text("I do not know.")]
    page = await pages.of("weather", viewport={"width": 1400, "height": 900})
    await ask(page, "Weather?")
    await expect(page.locator(".call .state")).to_have_text("failed")
    await expect(page.locator(".waterfall button.error .name")).to_contain_text(["execute_tool weather"])


async def test_a_team(model: OpenAIWire, pages: Pages) -> None:
    """Each member is named where it speaks."""
    model.replies = [Text("A draft."), Text("A critique.")]
    page = await pages.of("research")
    await ask(page, "Write")
    await expect(page.locator(".foot")).to_be_visible()
    await expect(page.locator(".speaker")).to_contain_text(["researcher", "writer"])


async def test_a_handoff(model: OpenAIWire, pages: Pages) -> None:
    """It is told once: neither as a call of a tool, nor as a message."""
    model.replies = [ToolCalls((ToolCall("transfer_to_billing", {}),)), Text("Paid back.")]
    page = await pages.of("support")
    await ask(page, "I paid twice")
    await expect(page.locator(".foot")).to_be_visible()
    assert re.sub(r"\s+", " ", await page.locator(".item").first.inner_text()).strip() == "reception billing"
    await expect(page.locator(".item")).to_have_count(2)
    await expect(page.locator(".speaker")).to_contain_text(["billing"])


async def test_structured_output_is_a_tree(model: OpenAIWire, pages: Pages) -> None:
    """It is folded open, and so it is after a reload; the agent's schema can be looked at."""
    model.replies = [Text('{"category": "billing", "urgent": true, "summary": "Paid twice."}')]
    page = await pages.of("ticket")
    await page.get_by_role("button", name="answers in a schema").click()
    await expect(page.get_by_role("dialog")).to_contain_text("The customer cannot wait until tomorrow.")
    await page.keyboard.press("Escape")
    await ask(page, "I paid twice!")
    for _ in range(2):
        await expect(page.locator(".card .leaf")).to_have_text(["categorybilling", "urgenttrue", "summaryPaid twice."])
        await page.reload()


async def test_a_stop(model: OpenAIWire, pages: Pages) -> None:
    """Escape cancels the run, and so does the button; what was asked is the conversation's name all the same."""
    model.replies = [Drip(), Drip()]
    page = await pages.of()
    await ask(page, "Go on")
    await expect(page.locator(".markdown")).to_contain_text("tick")
    await page.keyboard.press("Escape")
    await expect(page.locator(".stopped")).to_be_visible()
    await ask(page, "Again")
    await expect(page.locator(".markdown")).to_have_count(2)
    await page.get_by_label("Stop", exact=True).click()
    await expect(page.locator(".stopped")).to_have_count(2)
    await page.reload()
    await expect(page.locator(".stopped")).to_have_count(2)
    await expect(page.locator(".sessions .first").first).to_have_text("Go on")


async def test_a_failure_and_a_retry(model: OpenAIWire, pages: Pages) -> None:
    """What went wrong is said in words; the same is asked again, in the same conversation."""
    model.replies = [HttpError(401), Text("Now.")]
    page = await pages.of()
    await ask(page, "Please")
    await expect(page.locator(".failure")).to_contain_text("provider")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator(".markdown")).to_have_text("Now.")
    await expect(page.locator(".task .words")).to_have_text(["Please", "Please"])


async def test_a_session_is_found_again(model: OpenAIWire, pages: Pages) -> None:
    """By what was asked in it; Ctrl K is where to search. Removed, it is gone, once that was confirmed."""
    model.replies = [Text("Yes."), Text("No.")]
    page = await pages.of()
    await ask(page, "Are there zebras?")
    await expect(page.locator(".foot")).to_be_visible()
    await page.keyboard.press("Alt+KeyN")
    await ask(page, "Are there quaggas?")
    await expect(page.locator(".foot")).to_be_visible()
    await page.keyboard.press("Control+KeyK")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("ZEBRA")
    await expect(page.locator(".sessions .first")).to_have_text(["Are there zebras?"])
    await page.locator(".sessions .first").click()
    await expect(page.locator(".markdown")).to_have_text("Yes.")
    await page.fill("#search", "nothing of the kind")
    await expect(page.get_by_text("Nothing is found.")).to_be_visible()
    await page.fill("#search", "zebra")
    page.once("dialog", lambda dialog: dialog.dismiss())
    await page.get_by_label("Remove “Are there zebras?”").click()
    await expect(page.locator(".sessions .first")).to_have_text(["Are there zebras?"])
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_label("Remove “Are there zebras?”").click()
    await expect(page.get_by_text("Nothing is found.")).to_be_visible()
    await expect(page.locator(".welcome")).to_be_visible()


async def test_a_session_that_is_gone(site: Service, model: OpenAIWire, pages: Pages) -> None:
    """It is said, and the page is ready for a new conversation; deleted elsewhere, one begins anew under its name."""
    page = await pages.at("session=never-was")
    await expect(page.get_by_role("alert")).to_contain_text("never-was")
    await expect(page.locator(".welcome h2")).to_have_text("assistant")
    await ask(page, "Hi")
    await expect(page.locator(".foot")).to_be_visible()
    session_id = page.url.rpartition("=")[2]
    assert (await site.client.delete(f"/sessions/{session_id}")).status_code == 204
    await page.get_by_label("Good answer").click()
    await expect(page.get_by_role("alert")).to_contain_text("There is no run")
    await ask(page, "Still here?")
    await expect(page.locator(".foot")).to_have_count(2)
    assert (await site.get(f"/sessions/{session_id}"))["turns"] == 1


async def test_earlier_turns_are_loaded(site: Service, pages: Pages) -> None:
    """A long conversation begins with its last turns."""
    for number in range(22):
        await site.run("assistant", f"n{number}", session_id="long")
    page = await pages.at("session=long")
    await expect(page.locator(".task .words")).to_have_text([f"n{number}" for number in range(2, 22)])
    await page.get_by_role("button", name="Earlier turns").click()
    await expect(page.locator(".task .words")).to_have_text([f"n{number}" for number in range(22)])


async def test_an_agent_is_looked_at(pages: Pages) -> None:
    """Its tools with their schemas, and a team's members."""
    page = await pages.of("weather")
    await page.get_by_label("About this agent").click()
    dialog = page.get_by_role("dialog")
    await dialog.locator("summary", has_text="The usual weather").click()
    await expect(dialog).to_contain_text("The city's English name")
    await dialog.get_by_label("Close").click()
    await expect(dialog).to_have_count(0)
    await page.locator(".agents button", has_text="support").click()
    await page.get_by_label("About this agent").click()
    await expect(dialog.locator("li")).to_contain_text(["Receives the customer.", "money", "faults"])


async def test_the_theme_is_kept(pages: Pages) -> None:
    """The system's at first, then what was chosen, from the first paint on."""
    page = await pages.of(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.get_by_label("Dark or light").click()
    light = await page.evaluate(ground)
    assert (dark, light) == ("rgb(19, 19, 18)", "rgb(255, 255, 255)")
    await page.reload()
    assert await page.evaluate(ground) == light
