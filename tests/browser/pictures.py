"""Takes the pictures of the documentation: the real page in a real browser, a real service, a model that says the same.

`python -m tests.browser.pictures [NAME …]` writes them to docs/pictures: all, or those named.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from playwright.async_api import FilePayload, Page, expect

from tests.browser.answers import answer
from tests.chromium import launched
from tests.process import started
from tests.servers.openai_wire import OpenAIWire

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/pictures"
AGENTS = Path(__file__).parent / "agents"
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


async def ask(page: Page, *tasks: str) -> None:
    """Each to its end, and to the end of its trace."""
    for number, task in enumerate(tasks, 1):
        await begin(page, task)
        await expect(page.locator(".foot")).to_have_count(number)
    await settled(page)


async def settled(page: Page) -> None:
    """What comes after a run's end is there: its spans, and the conversation in the list."""
    if await page.locator(".trace").is_visible():
        await expect(page.locator(".waterfall .time").first).to_contain_text("s")
        await expect(page.locator(".waterfall .time", has_text="…")).to_have_count(0)
    await expect(page.locator(".session [aria-current] .first")).not_to_have_text(
        re.compile("^(…|Still running|No answer yet)$")
    )


async def begin(page: Page, task: str) -> None:
    await page.fill("#message", task)
    await page.keyboard.press("Enter")


async def conversation(page: Page) -> None:
    await page.keyboard.press("Alt+KeyT")
    await ask(page, "Why do bees dance?", "And how many live in one hive?")


async def team(page: Page) -> None:
    await ask(page, "How much work is a jar of honey?")


async def tool(page: Page) -> None:
    await ask(page, "What will the weather be in Lisbon tomorrow?")
    await page.locator(".call > summary").click()


async def image(page: Page) -> None:
    sketch = Image.new("RGB", (160, 120), "white")
    ImageDraw.Draw(sketch).regular_polygon((80, 60, 44), 6, rotation=30, outline="black", width=4)
    drawn = BytesIO()
    sketch.save(drawn, "PNG")
    await page.keyboard.press("Alt+KeyT")
    file: FilePayload = {"name": "sketch.png", "mimeType": "image/png", "buffer": drawn.getvalue()}
    await page.set_input_files("#files", file)
    await ask(page, "Paint a whole comb of these")


async def stop(page: Page) -> None:
    await begin(page, "Tell me everything about bees")
    await expect(page.locator(".markdown")).to_contain_text("6.")
    await page.keyboard.press("Escape")
    await expect(page.locator(".stopped")).to_be_visible()
    await settled(page)


async def reconnect(page: Page) -> None:
    await begin(page, "Tell me everything about bees")
    await expect(page.locator(".markdown")).to_contain_text("4.")
    await page.context.set_offline(offline=True)
    await expect(page.get_by_text("Reconnecting")).to_be_visible()


async def feedback(page: Page) -> None:
    await ask(page, "Why do bees dance?")
    await page.get_by_label("Good answer").click()
    await page.get_by_placeholder("Tell why").fill("Short, and the code helps.")


async def question(page: Page) -> None:
    await begin(page, "My order A-1017 came broken")
    await page.get_by_role("button", name="Approve").wait_for()
    await page.get_by_label("Reason").fill("Seen the photo, it is broken.")


async def trace(page: Page) -> None:
    await ask(page, "What will the weather be in Lisbon tomorrow?")
    await page.locator(".waterfall button.llm").first.click()


async def dark(page: Page) -> None:
    await ask(page, "I have paid my invoice twice")


async def phone(page: Page) -> None:
    await ask(page, "Why do bees dance?")


async def keyboard(page: Page) -> None:
    await page.keyboard.press("Alt+Slash")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows, and how the page is brought there."""

    play: Callable[[Page], Awaitable[None]]
    agent: str
    options: dict[str, Any]


SCENES = {
    "conversation": Scene(conversation, "assistant", DESK),
    "team": Scene(team, "research", DESK),
    "tool": Scene(tool, "weather", DESK),
    "image": Scene(image, "painter", DESK),
    "stop": Scene(stop, "assistant", DESK),
    "reconnect": Scene(reconnect, "assistant", DESK),
    "feedback": Scene(feedback, "assistant", DESK),
    "question": Scene(question, "refunds", DESK),
    "trace": Scene(trace, "weather", DESK),
    "dark": Scene(dark, "support", DESK | {"color_scheme": "dark"}),
    "phone": Scene(phone, "assistant", PHONE),
    "keyboard": Scene(keyboard, "assistant", DESK),
}


async def take(names: Iterable[str], folder: Path) -> None:
    """Each in a page of its own, one after the other."""
    async with serving() as url, launched() as browser:
        for name in names:
            scene = SCENES[name]
            page = await browser.new_page(**scene.options)
            await page.goto(f"{url}/#agent={scene.agent}")
            await page.locator(".welcome h2", has_text=scene.agent).wait_for()
            await scene.play(page)
            write(await page.screenshot(animations="disabled"), folder / f"playground-{name}.png")
            await page.close()


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """The catalog's agents, and those beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        async with OpenAIWire(answer) as wire:
            variables = {
                "AGENTS_DIR": str(AGENTS),
                "MODEL": "openai:gpt-4o-mini",
                "MODEL_BASE_URL": f"{wire.url}/v1",
                "OPENAI_API_KEY": "sk-none",
            }
            async with started(Path(folder), variables) as process:
                yield process.url


def write(screenshot: bytes, path: Path) -> None:
    """With a palette, which takes a third of the bytes and is not seen."""
    with Image.open(BytesIO(screenshot)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1:] or SCENES, FOLDER))
