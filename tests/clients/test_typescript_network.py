"""Streams of clients/typescript over connections that end in every way, and whoever leaves them."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.cli.test_run import Posted
from tests.clients.project import SCRIPTS, compiled, does, installed, script
from tests.servers.openai_wire import OpenAIWire
from tests.servers.proxy import breaking
from tests.servers.raw import RawAnswer, RawServer, answer, chunked
from tests.servers.replies import Drip, Text, Usage
from tests.service import Service, events_of, serving
from tests.wire.node import bundled

__all__ = ["installed", "script"]

WORDS = " ".join(f"word{number}" for number in range(60))


async def test_a_network_that_drops_loses_and_doubles_nothing(
    usage: Path, openai: OpenAIWire, service: Service
) -> None:
    """Cut before the first event, and twice in the middle: it comes back to the same run."""
    openai.replies = lambda _: Text(WORDS, usage=Usage(3, 60), interval_s=0.01)  # else they come in few events
    async with breaking([service.url], [10, 3000, 4000], Posted) as proxy:
        events = (await does(usage, "stream", proxy.url))["events"]
    assert proxy.cut == 3
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert "".join(event["delta"] for event in events if event["type"] == "text.delta") == WORDS
    assert events[-1]["type"] == "run.completed"
    assert [b"last-event-id" in request.lower() for request in proxy.requests] == [False, False, True, True]
    assert len(openai.requests) == 1


@pytest.mark.parametrize("way", ["abort", "leave"])
async def test_who_leaves_leaves_the_run(
    way: str, usage: Path, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """By a signal, which is thrown, or out of the loop: the connection is closed, and the run cancelled."""
    openai.replies = lambda _: Drip()
    async with serving(**with_openai | {"disconnect_grace_s": 0.05}) as service:
        said = await does(usage, way, service.url)
        assert said.get("name") == ("AbortError" if way == "abort" else None)
        [event] = [event async for event in _end(service, said["run"])]
    assert event == "run.cancelled"


async def _end(service: Service, run_id: str) -> AsyncIterator[str]:
    async with service.client.stream("GET", f"/runs/{run_id}/stream", headers={"X-User-ID": "ann"}) as response:
        async for event in events_of(response):
            if event.type.startswith("run.") and event.type != "run.started":
                yield event.type


def frame(seq: int, kind: str = "text.delta") -> bytes:
    return b'id: run:1-%d\ndata: {"type": "%b", "seq": %d}\n\n' % (seq, kind.encode(), seq)


def refused(status: str, kind: str, *headers: str) -> RawAnswer:
    body = {"type": f"urn:waggle:problem:{kind}", "title": kind, "status": int(status[:3]), "detail": "No."}
    return answer(json.dumps(body).encode(), *headers, status=status, content_type="application/problem+json")


async def test_it_comes_back_whatever_ended_a_connection(usage: Path) -> None:
    """A reset, silence, a service that is full for now, a proxy's own error, and a stream that asks to come back."""
    tried = (
        chunked(b"retry: 10\n" + frame(1), end=False, after="reset"),
        chunked(frame(2), end=False, after="hang"),
        refused("503 Service Unavailable", "unavailable", "retry-after: 1"),
        answer(b"<h1>Bad gateway</h1>", status="502 Bad Gateway", content_type="text/html"),
        chunked(b": reconnect with Last-Event-ID: the run goes on\n\n"),
        refused("429 Too Many Requests", "rate-limited", "retry-after: 1"),
        chunked(frame(3) + frame(4, "run.completed")),
    )
    async with RawServer(*tried) as server:
        assert await does(usage, "trials", server.url, "sk-none", "4") == {"events": [1, 2, 3, 4]}
    assert {request.headers["idempotency-key"] for request in server.requests} == {"key"}
    seen = [request.headers.get("last-event-id") for request in server.requests]
    assert seen == [None, "run:1-1", *["run:1-2"] * 5]


@pytest.mark.parametrize(
    ("answered", "requests", "said"),
    [
        pytest.param(chunked(), 2, "The stream ended 2 times without a sign of life.", id="nothing"),
        pytest.param(chunked(end=False, after="reset"), 2, "terminated", id="cut"),
        pytest.param(refused("409 Conflict", "session-busy", "retry-after: 1"), 1, "session-busy: No.", id="busy"),
        pytest.param(refused("503 Service Unavailable", "agent-invalid"), 1, "agent-invalid: No.", id="for good"),
        pytest.param(
            refused("503 Service Unavailable", "unavailable", "retry-after: 1"), 2, "unavailable: No.", id="full"
        ),
    ],
)
async def test_it_gives_up(answered: RawAnswer, requests: int, said: str, usage: Path) -> None:
    """At once where another attempt would find the same, else after so many."""
    async with RawServer(answered) as server:
        told = await does(usage, "trials", server.url, "sk-none", "2")
    assert (told["events"], told["message"]) == ([], said)
    assert len(server.requests) == requests


async def test_a_service_that_is_not_there_is_given_up(usage: Path) -> None:
    """After so many attempts; the error is `fetch`'s own."""
    assert (await does(usage, "trials", "http://127.0.0.1:9", "sk-none", "2"))["name"] == "TypeError"


async def test_a_browser(
    project: Path, chromium: Browser, openai: OpenAIWire, service: Service, tmp_path: Path
) -> None:
    """Chromium, over a network that drops."""
    openai.replies = lambda _: Text(WORDS, usage=Usage(3, 60), interval_s=0.01)
    await compiled(project, "page.ts", (SCRIPTS / "page.ts").read_text(encoding="utf-8"))
    bundle = await bundled(project / "page.js", tmp_path / "page.js")
    async with breaking([service.url], [3000, 4000], Posted) as proxy:
        page = await chromium.new_page()
        await page.goto(f"{proxy.url}/livez")
        await page.add_script_tag(path=bundle)
        await expect(page).to_have_title(re.compile(r"(\d+) of \1"), timeout=30_000)
        await expect(page.locator("main")).to_have_text(WORDS)
        await page.close()
    assert proxy.cut == 2
