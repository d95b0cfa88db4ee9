"""A browser whose connection breaks comes back to whichever replica the balancer gives it."""

import random
import re

import httpx
from playwright.async_api import Browser

from tests.browser.test_event_source import WORDS, watched
from tests.replicas.conftest import Replicas
from tests.servers.openai_wire import OpenAIWire
from tests.servers.proxy import breaking
from tests.servers.replies import Text


async def test_an_event_source_goes_on_at_another_replica(
    chromium: Browser, replicas: Replicas, openai: OpenAIWire
) -> None:
    """Each event once, in order, of one run that the provider was asked once for."""
    openai.replies = lambda _: Text(WORDS, interval_s=0.02)
    chance = random.Random(5)  # noqa: S311 points to cut at
    cuts = [chance.randrange(1200, 4000) for _ in range(6)]
    async with breaking([process.url for process in replicas.processes], cuts) as proxy:
        seen = await watched(chromium, f"{proxy.url}/livez", f"{proxy.url}/agents/assistant/stream?task=count")
    run_id = seen[0]["data"]["run_id"]
    for client in replicas.clients:
        whole: httpx.Response = await client.get(f"/runs/{run_id}/stream")
        assert re.findall(r"^id: (.*)$", whole.text, re.MULTILINE) == [event["id"] for event in seen]
    assert proxy.cut == len(cuts)
    assert "".join(event["data"]["delta"] for event in seen if event["type"] == "text.delta") == WORDS
    assert seen[-1]["type"] == "run.completed"
    assert len(openai.requests) == 1
