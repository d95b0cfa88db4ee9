"""Pictures that are sent, and pictures that are answered with."""

import base64

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Pages, ask
from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import picture
from tests.servers.replies import Text

GIVE = """([kind, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], "given.png", { type: "image/png" }));
  const options = { bubbles: true, cancelable: true, [kind === "paste" ? "clipboardData" : "dataTransfer"]: given };
  const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
  document.querySelector("#message").dispatchEvent(event);
}"""
"""A paste or a drop, as the browser tells of it."""


async def test_an_image(model: OpenAIWire, pages: Pages) -> None:
    """It is attached, sent, and shown; the model gets it."""
    model.replies = [Text("A pixel.")]
    page = await pages.of()
    await page.set_input_files("#files", {"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    await expect(page.locator(".attached img")).to_be_visible()
    await ask(page, "What is it?")
    await expect(page.locator(".foot")).to_be_visible()
    await expect(page.locator(".task img")).to_be_visible()
    assert "data:image/" in str(model.requests[0].json)


@pytest.mark.parametrize("kind", ["paste", "drop"])
async def test_an_image_is_given(kind: str, model: OpenAIWire, pages: Pages) -> None:
    """By pasting, or by dropping it; of two, one is taken away again; without words it is a task too."""
    page = await pages.of()
    for shade in ("RGB", "L"):
        given = base64.b64encode(picture(mode=shade, width=40, height=30)).decode()
        await page.evaluate(GIVE, [kind, given])
    await expect(page.locator(".attached img")).to_have_count(2)
    await page.get_by_label("Remove image 1").click()
    await expect(page.locator(".attached img")).to_have_count(1)
    await page.get_by_label("Send", exact=True).click()
    await expect(page.locator(".foot")).to_be_visible()
    (part,) = model.requests[0].json["messages"][-1]["content"]
    assert part["image_url"]["url"].startswith("data:image/png")


async def test_what_is_no_image_is_refused(pages: Pages) -> None:
    """Before it is sent, in words."""
    page = await pages.of()
    await page.set_input_files("#files", {"name": "a.svg", "mimeType": "image/svg+xml", "buffer": b"<svg/>"})
    await expect(page.get_by_role("alert")).to_contain_text("Only PNG, JPEG, GIF and WebP")
    await expect(page.locator(".attached")).to_have_count(0)


async def test_an_image_is_answered(pages: Pages) -> None:
    """It is shown as large as it is, with the words beside it, after a reload too."""
    page = await pages.of("painter")
    await ask(page, "Paint")
    for _ in range(2):
        await expect(page.locator(".item .words")).to_have_text("A honeycomb, as you wished:")
        image = page.locator(".item img")
        await expect(image).to_be_visible()
        assert await image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [320, 180]
        await page.reload()
