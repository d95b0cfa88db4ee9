"""What a model writes is shown, and never executed; it can neither break the page nor make it lie."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Pages, ask
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text, ToolCall, ToolCalls
from tests.service import Service

HTML = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script><svg onload="window.hurt=1">'
OVERRIDE = "safe \u202egnp.exe\u202c and \u2066this\u2069"
HOSTILE = {
    "html": HTML,
    "links": "[run](javascript:window.hurt=1) [data](data:text/html,<script>window.hurt=1</script>) "
    "[vb](vbscript:x) [entity](&#106;avascript:window.hurt=1) <javascript:window.hurt=1> [file](file:///etc/passwd)",
    "picture": "![out](https://elsewhere.example/pixel.png) ![svg](data:image/svg+xml;base64,PHN2Zy8+)",
    "attributes": '[a](https://a.example "\\" onmouseover=window.hurt=1 x=\\"")\n\n![" onerror="window.hurt=1](x)',
    "form": '<form action="https://elsewhere.example"><input name=q autofocus onfocus="window.hurt=1"></form>',
    "style": "<style>*{display:none}</style><link rel=stylesheet href=https://elsewhere.example/a.css>",
    "base": '<base href="https://elsewhere.example/"><meta http-equiv=refresh content="0;url=https://elsewhere.example">',
    "code": f"```html\n{HTML}\n```\n\n```<img src=x onerror=window.hurt=1>\nx\n```",
    "table": "|" + "a|" * 300 + "\n|" + "-|" * 300 + ("\n|" + "b|" * 300) * 50,
    "deep": ">" * 3000 + " deep\n\n" + "[" * 3000 + "\n\n" + "* " * 300 + "x",
    "long line": "x" * 1_000_000,
    "long words": "\n\n".join(["# " + "x" * 5000, "`" + "y" * 5000 + "`", "**" + "z" * 5000 + "**"]),
    "combining": "a" + "\u0301" * 5000,
    "clobbering": '<form id="message"><input name="focus"></form><a id="files" name="search">x</a>',
}


async def unhurt(page: Page) -> None:
    """Nothing ran, nothing is wider than the screen, and the next message can be written."""
    assert await page.evaluate("window.hurt") is None
    width: list[int] = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    box = await page.locator("main").bounding_box()
    assert box is not None
    assert box["width"] <= width[1]
    links: list[str] = await page.locator("main a[href]").evaluate_all("links => links.map(link => link.protocol)")
    assert set(links) <= {"https:", "http:", "mailto:"}
    assert await page.locator(".conversation :is(script, style, iframe, object, form, base, meta, link)").count() == 0
    await expect(page.locator("#message")).to_be_visible()
    await page.fill("#message", "still here")


@pytest.mark.parametrize("name", HOSTILE)
async def test_words_execute_nothing(name: str, model: OpenAIWire, pages: Pages) -> None:
    """Neither script, nor link, nor request; on a phone's width too."""
    words = HOSTILE[name]
    model.replies = [Text(words, chunks=(words,))]
    page = await pages.of()
    await ask(page, "Hurt me")
    await expect(page.locator(".foot")).to_be_visible()
    await unhurt(page)
    await page.set_viewport_size({"width": 390, "height": 844})
    await unhurt(page)


async def test_words_that_read_otherwise_than_they_are(site: Service, model: OpenAIWire, pages: Pages) -> None:
    """Overrides of the direction are shown as signs: in words, arguments, results, titles, spans. Arabic is not."""
    model.replies = [ToolCalls((ToolCall("weather", {"city": OVERRIDE}),)), Text(f"{OVERRIDE}\n\nمرحبا")]
    page = await pages.of("weather", viewport={"width": 1400, "height": 900})
    await ask(page, OVERRIDE)
    await expect(page.locator(".foot")).to_be_visible()
    await expect(page.locator(".sessions .first").first).to_contain_text("⟨U+202E⟩")
    await page.locator(".call > summary").click()
    await page.locator(".waterfall button", has_text="execute_tool").click()
    await page.locator(".span summary", has_text="Attributes").click()
    shown = await page.locator("body").inner_text()
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert await page.locator(".markdown p").last.evaluate("words => getComputedStyle(words).unicodeBidi") != "normal"
    await expect(page.locator(".markdown p").last).to_have_text("مرحبا")


async def test_a_tools_words_execute_nothing(model: OpenAIWire, pages: Pages) -> None:
    """The arguments of a call, its failure, its spans, and what is asked of a person."""
    model.replies = [ToolCalls((ToolCall("refund", {"order": HTML, "euros": 1, HTML: {"__proto__": [HTML]}}),))]
    page = await pages.of("refunds", viewport={"width": 1400, "height": 900})
    await ask(page, HTML)
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator(".foot")).to_be_visible()
    await page.locator(".call > summary").click()
    await page.locator(".waterfall button.llm").first.click()
    await unhurt(page)


async def test_an_answer_that_streams_in_pieces(model: OpenAIWire, pages: Pages) -> None:
    """What is no tag yet becomes none."""
    pieces = tuple(HTML)
    model.replies = [Text(HTML, chunks=pieces)]
    page = await pages.of()
    await ask(page, "Hurt me")
    await expect(page.locator(".foot")).to_be_visible()
    assert await page.locator(".markdown").inner_text() == HTML
    await unhurt(page)
