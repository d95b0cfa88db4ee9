"""What a browser makes of the stream by itself: `EventSource`, without a line of a library."""

import json
import random
import re
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.servers.openai_wire import OpenAIWire
from tests.servers.proxy import breaking
from tests.servers.replies import Text
from tests.service import serving

TYPES = ("run.started", "text.delta", "message", "run.completed", "run.failed", "run.cancelled")
WATCH = """([url, types]) => new Promise((resolve) => {
  const seen = [];
  const source = new EventSource(url);
  for (const type of types) {
    source.addEventListener(type, (event) => seen.push({id: event.lastEventId, type, data: event.data}));
  }
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(seen); };
})"""
"""Every event, once the source has closed itself for good: a 204 does that, while a lost connection does not."""
WORDS = " ".join(f"w{number}" for number in range(120))


async def watched(browser: Browser, page_url: str, url: str) -> list[dict[str, Any]]:
    """What an EventSource on a page of that origin sees until it stops by itself."""
    page = await browser.new_page()
    await page.goto(page_url)
    seen: list[dict[str, Any]] = await page.evaluate(WATCH, [url, TYPES])
    await page.close()
    return [event | {"data": json.loads(event["data"])} for event in seen]


@pytest.mark.parametrize("origin", ["the same", "another"])
async def test_a_lost_connection_loses_nothing(
    origin: str, chromium: Browser, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Cut off again and again, also within an event: each once, in order, of one run; after its end it stops."""
    openai.replies = lambda _: Text(WORDS, interval_s=0.02)
    chance = random.Random(4)  # noqa: S311 points to cut at
    cuts = [chance.randrange(1200, 4000) for _ in range(5)]
    async with serving(**with_openai, cors_origins=[openai.url]) as service, breaking([service.url], cuts) as proxy:
        page_url = f"{proxy.url}/livez" if origin == "the same" else openai.url
        seen = await watched(chromium, page_url, f"{proxy.url}/agents/assistant/stream?task=count")
        whole = await service.client.get(f"/runs/{seen[0]['data']['run_id']}/stream")
    assert proxy.cut == len(cuts)
    assert [event["id"] for event in seen] == re.findall(r"^id: (.*)$", whole.text, re.MULTILINE)
    assert [event["data"]["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert "".join(event["data"]["delta"] for event in seen if event["type"] == "text.delta") == WORDS
    assert (seen[-1]["type"], seen[-1]["data"]["run"]["output"]) == ("run.completed", WORDS)
    assert len(proxy.requests) == len(cuts) + 2  # one that saw the end, and one that was told 204
    assert len(openai.requests) == 1
