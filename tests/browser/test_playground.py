"""The page as people use it: a real service, a scripted provider, a real Chromium; nothing that a model writes runs."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.servers.openai_wire import OpenAIWire
from tests.servers.proxy import breaking
from tests.servers.replies import Drip, Text, ToolCall, ToolCalls
from tests.service import Service, serving

AXE = Path(__file__).parents[2] / "clients/playground/node_modules/axe-core/axe.min.js"
AGENT = '''
from autogen_agentchat.agents import AssistantAgent

async def get_weather(city: str) -> str:
    """The weather of a city."""
    return "21 degrees in " + city

def build(context):
    """Tells the weather."""
    return AssistantAgent("weather", model_client=context.model(), model_client_stream=True, tools=[get_weather],
                          reflect_on_tool_use=True)
'''
TEAM = '''
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat

def build(context):
    """Two who talk."""
    names = ["writer", "critic"]
    members = [AssistantAgent(name, model_client=context.model(), model_client_stream=True) for name in names]
    return RoundRobinGroupChat(members, termination_condition=MaxMessageTermination(3))
'''
HOSTILE = "\n\n".join(
    [
        '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script><svg onload="window.hurt=1">',
        "[run](javascript:window.hurt=1) [data](data:text/html,<script>window.hurt=1</script>)",
        "![out](https://elsewhere.example/pixel.png)",
        "safe \u202egnp.exe\u202c",
        "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n|" + "b|" * 300,
        ">" * 3000 + " deep",
        "the end",
    ]
)
WORDS = " ".join(f"w{number}" for number in range(120))
WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));"""


@pytest.fixture
async def service(with_openai: dict[str, Any], tmp_path: Path) -> AsyncIterator[Service]:
    """One with an agent that has a tool, and a team."""
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "weather.py").write_text(AGENT)
    (folder / "pair.py").write_text(TEAM)
    async with serving(**with_openai, agents_dir=folder) as service:
        yield service


async def opened(browser: Browser, url: str, agent: str = "assistant", **options: Any) -> Page:
    page = await browser.new_page(**options)
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    await page.add_init_script(WATCH)
    await page.goto(f"{url}/#agent={agent}")
    await page.locator(".welcome h2", has_text=agent).wait_for()
    return page


async def ask(page: Page, text: str) -> None:
    await page.fill("#message", text)
    await page.keyboard.press("Enter")


async def test_a_first_conversation_with_the_keyboard_alone(
    service: Service, openai: OpenAIWire, chromium: Browser
) -> None:
    """The message has the focus; the answer is markdown; the conversation is there again, and its feedback is told."""
    openai.replies = [Text("Hello **you**.\n\n```python\nprint(1)\n```")]
    page = await opened(chromium, service.url)
    await expect(page.locator("#message")).to_be_focused()
    await page.keyboard.type("Hi")
    await page.keyboard.press("Enter")
    await expect(page.locator(".markdown strong")).to_have_text("you")
    await expect(page.locator(".hljs-number, .hljs-built_in").first).to_be_visible()
    await page.get_by_label("Good answer").focus()
    await page.keyboard.press("Enter")
    await page.get_by_placeholder("Tell why").fill("Kind.")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Thank you.")).to_be_visible()
    await expect(page.locator(".sessions .first")).to_have_text("Hi")
    await page.reload()
    await expect(page.locator(".task")).to_contain_text("Hi")
    await expect(page.locator(".markdown strong")).to_have_text("you")


async def test_a_tool_call_and_its_trace(service: Service, openai: OpenAIWire, chromium: Browser) -> None:
    """The call is folded with its arguments and result; the spans are beside it, and open on a click."""
    openai.replies = [ToolCalls((ToolCall("get_weather", {"city": "Paris"}),)), Text("Sunny.")]
    page = await opened(chromium, service.url, "weather", viewport={"width": 1400, "height": 900})
    await ask(page, "Weather?")
    await page.locator(".call > summary").click()
    await expect(page.locator(".call")).to_contain_text("21 degrees in Paris")
    await expect(page.locator(".waterfall")).to_contain_text("execute_tool get_weather")
    await page.locator(".waterfall button.llm").first.click()
    await expect(page.locator(".span")).to_contain_text("chat gpt-4o-mini")


async def test_a_team(service: Service, openai: OpenAIWire, chromium: Browser) -> None:
    """Each member is named where it speaks."""
    openai.replies = [Text("A draft."), Text("A critique.")]
    page = await opened(chromium, service.url, "pair")
    await ask(page, "Write")
    await expect(page.locator(".foot")).to_be_visible()
    await expect(page.locator(".speaker")).to_contain_text(["writer", "critic"])


async def test_an_image(service: Service, openai: OpenAIWire, chromium: Browser) -> None:
    """It is attached, sent, and shown; the model gets it."""
    openai.replies = [Text("A pixel.")]
    page = await opened(chromium, service.url)
    await page.set_input_files("#files", Path(__file__).parents[2] / "docs/pictures/dashboard.png")
    await expect(page.locator(".attached img")).to_be_visible()
    await ask(page, "What is it?")
    await expect(page.locator(".foot")).to_be_visible()
    await expect(page.locator(".task img")).to_be_visible()
    assert "data:image/" in str(openai.requests[0].json)


async def test_a_stop(service: Service, openai: OpenAIWire, chromium: Browser) -> None:
    """Escape cancels the run."""
    openai.replies = [Drip()]
    page = await opened(chromium, service.url)
    await ask(page, "Go on")
    await expect(page.locator(".markdown")).to_contain_text("tick")
    await page.keyboard.press("Escape")
    await expect(page.locator(".stopped")).to_be_visible()


async def test_a_network_that_breaks_loses_no_token(service: Service, openai: OpenAIWire, chromium: Browser) -> None:
    """It is cut off again and again while it is read anew after a reload; each word is there once."""
    openai.replies = [Text(WORDS, interval_s=0.02)]
    async with breaking([service.url], [1500, 2200, 3100]) as proxy:
        page = await opened(chromium, proxy.url)
        await ask(page, "Count")
        await expect(page.locator(".markdown")).to_contain_text("w3")
        await page.reload()
        await expect(page.locator(".foot")).to_be_visible()
        assert (await page.locator(".markdown").inner_text()).split() == WORDS.split()
        assert proxy.cut == 3
    assert len(openai.requests) == 1


async def test_hostile_words_execute_nothing(service: Service, openai: OpenAIWire, chromium: Browser) -> None:
    """Neither script nor link nor request; the page is still usable."""
    openai.replies = [Text(HOSTILE, chunks=(HOSTILE,)), Text("x" * 300_000, chunks=("x" * 300_000,))]
    page = await opened(chromium, service.url)
    await ask(page, "Hurt me")
    await expect(page.locator(".foot")).to_be_visible()
    links: list[str] = await page.locator(".markdown a").evaluate_all("links => links.map(link => link.protocol)")
    assert set(links) <= {"https:", "http:", "mailto:"}
    assert await page.evaluate("[window.hurt, window.violations]") == [None, []]
    await ask(page, "A long line")
    await expect(page.locator(".foot")).to_have_count(2)
    width: list[int] = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]


async def test_a_key_is_asked_for(with_openai: dict[str, Any], chromium: Browser) -> None:
    """The page is for everybody, and knows nothing until it has a key."""
    async with serving(**with_openai, api_keys="acme:sk-a-long-enough-secret-key-0123456789") as service:
        page = await chromium.new_page()
        await page.goto(service.url)
        await page.get_by_label("API key or token").fill("sk-a-long-enough-secret-key-0123456789")
        await page.keyboard.press("Enter")
        await expect(page.locator(".welcome h2")).to_be_visible()
        assert (await service.client.get("/playground.json")).status_code == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
async def test_axe_finds_nothing_serious(
    scheme: Any, width: int, service: Service, openai: OpenAIWire, chromium: Browser
) -> None:
    """On a phone and on a desk, in both themes."""
    if not AXE.exists():
        pytest.skip("axe is not installed: npm ci in clients/playground")
    openai.replies = [
        ToolCalls((ToolCall("get_weather", {"city": "Paris"}),)),
        Text("*Sunny*: [more](https://a.example)"),
    ]
    page = await opened(
        chromium, service.url, "weather", color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
    )
    await ask(page, "Weather?")
    await expect(page.locator(".foot")).to_be_visible()
    await page.locator(".call > summary").click()
    await page.add_script_tag(path=AXE)
    found: list[Any] = await page.evaluate("axe.run().then(result => result.violations)")
    serious = [
        (f["id"], [n["html"][:200] for n in f["nodes"]]) for f in found if f["impact"] in ("serious", "critical")
    ]
    assert serious == []


async def test_the_script_is_small_and_kept(service: Service) -> None:
    """All that the page loads at first, uncompressed by the server; the ETag answers 304; nothing is from elsewhere."""
    folder = Path(__file__).parents[2] / "app/playground"
    scripts = [*folder.glob("*.js"), *(folder / "vendor").glob("*.js")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) < 100_000
    page = await service.client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    again = await service.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("settings", [{"playground": False}, {"role": "worker"}], ids=["off", "worker"])
async def test_there_may_be_no_page(settings: dict[str, Any], with_openai: dict[str, Any]) -> None:
    """Where it is not wanted."""
    async with serving(**with_openai, **settings) as service:
        assert (await service.client.get("/")).status_code == 404
        assert (await service.client.get("/static/main.js")).status_code == 404
