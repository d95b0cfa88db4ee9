"""Networks that break and processes that die while the page watches: no token is lost, and none is there twice."""

import random
import signal
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Pages, ask
from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.proxy import Proxy, breaking
from tests.servers.replies import Drip, Text
from tests.service import Service

WORDS = " ".join(f"w{number}" for number in range(120))


class LiveProxy(Proxy):
    """One that cuts off the `POST` of a stream too, whose body may come in a piece of its own."""

    def __init__(self, upstreams: Iterable[str], cuts: Iterable[int]) -> None:
        super().__init__(upstreams, cuts)
        self._posted: int | None = None

    def limit(self, request: bytes) -> int | None:
        if request.startswith(b"{"):
            return self._posted
        if not request.startswith(b"POST"):
            return super().limit(request)
        self._posted = super().limit(b"GET" + request.removeprefix(b"POST"))
        return self._posted


async def said(page: Page) -> list[str]:
    """The words of the answer, once it is complete."""
    await expect(page.locator(".foot")).to_be_visible(timeout=20_000)
    return (await page.locator(".markdown").inner_text()).split()


async def test_a_network_that_breaks_loses_no_token(site: Service, model: OpenAIWire, pages: Pages) -> None:
    """It is cut off again and again while it is read anew after a reload; each word is there once."""
    model.replies = [Text(WORDS, interval_s=0.02)]
    async with breaking([site.url], [1500, 2200, 3100]) as proxy:
        page = await pages.of(url=proxy.url)
        await ask(page, "Count")
        await expect(page.locator(".markdown")).to_contain_text("w3")
        await page.reload()
        assert await said(page) == WORDS.split()
        assert proxy.cut == 3
    assert len(model.requests) == 1


async def test_the_live_request_is_cut_off(site: Service, model: OpenAIWire, pages: Pages) -> None:
    """Before its first byte, in its head, in the middle of an event, and in the streams that go on: it is one run."""
    model.replies = [Text(WORDS, interval_s=0.02)]
    chance = random.Random(7)  # noqa: S311 points to cut at
    cuts = [1, 120, *(chance.randrange(700, 4000) for _ in range(4))]
    async with breaking([site.url], cuts, LiveProxy) as proxy:
        page = await pages.of(url=proxy.url)
        await ask(page, "Count")
        assert await said(page) == WORDS.split()
        assert proxy.cut == len(cuts)
    assert len(model.requests) == 1
    await expect(page.locator(".task")).to_have_count(1)


async def test_the_browser_is_offline(model: OpenAIWire, pages: Pages) -> None:
    """It says so at once, although the connection still stands, and goes on as soon as the network is back."""
    model.replies = [Text(WORDS, interval_s=0.02)]
    page = await pages.of()
    await ask(page, "Count")
    await expect(page.locator(".markdown")).to_contain_text("w9")
    await page.context.set_offline(offline=True)
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    await page.context.set_offline(offline=False)
    assert await said(page) == WORDS.split()
    await expect(page.get_by_text("Reconnecting")).to_have_count(0)
    assert len(model.requests) == 1


async def test_a_connection_that_says_nothing_is_given_up(model: OpenAIWire, pages: Pages) -> None:
    """Neither an end nor a byte comes, as with a phone that has changed its network: after a while it asks anew."""
    model.replies = [Drip()]
    page = await pages.of(bypass_csp=True)  # the wait below is evaluated
    await page.clock.install()
    await page.evaluate("""() => {
      window.fetch = new Proxy(window.fetch, { apply: async (ask, self, [path, options]) => {
        const answer = await ask.call(self, path, options);
        if (!path.endsWith("/stream") || window.silent) return answer;
        window.silent = true;
        const body = new ReadableStream({ start(stream) {
          options.signal.addEventListener("abort", () => stream.error(options.signal.reason));
        } });
        return new Response(body, { headers: answer.headers });
      } });
    }""")
    await ask(page, "Count")
    await page.wait_for_function("window.silent")
    await expect(page.locator(".working")).to_be_visible()
    await page.clock.run_for(41_000)
    await page.clock.run_for(5_000)
    await expect(page.locator(".markdown")).to_contain_text("tick")
    await page.keyboard.press("Escape")
    await page.clock.run_for(5_000)
    await expect(page.locator(".stopped")).to_be_visible()


async def test_events_that_are_gone(site: Service, model: OpenAIWire, pages: Pages) -> None:
    """410 in the middle of a run: it is told again from its start, and nothing is there twice."""
    model.replies = [Text(WORDS, interval_s=0.02)]
    gone: list[str] = []

    async def refuse(route: Route) -> None:
        if "last-event-id" in route.request.headers and not gone:
            gone.append(route.request.url)
            await route.fulfill(status=410, content_type="application/problem+json", body='{"title": "Gone"}')
        else:
            await route.continue_()

    async with breaking([site.url], [1500], LiveProxy) as proxy:
        page = await pages.of(url=proxy.url)
        await page.route("**/runs/*/stream", refuse)
        await ask(page, "Count")
        assert await said(page) == WORDS.split()
    assert len(gone) == 1
    await expect(page.locator(".task")).to_have_count(1)


async def test_a_process_that_was_killed(wire: OpenAIWire, model: OpenAIWire, pages: Pages, tmp_path: Path) -> None:
    """A run of the background begins anew with the next process, and what was shown of it is not there twice.

    One that the page itself had begun has failed: it says so, and offers to ask again.
    """
    variables = {"MODEL": "openai:m", "MODEL_BASE_URL": f"{wire.url}/v1", "OPENAI_API_KEY": "sk-test"}
    model.replies = lambda _: Drip()
    async with started(tmp_path, variables) as process, process.client() as client:
        await client.post("/agents/assistant/runs", json={"task": "Go on", "session_id": "s"})
        background = await pages.at("session=s", process.url)
        live = await pages.of(url=process.url)
        await ask(live, "Go on too")
        for page in (background, live):
            await expect(page.locator(".markdown")).to_contain_text("tick")
        port = str(urlsplit(process.url).port)
        await process.end(signal.SIGKILL)
    await expect(background.get_by_text("Reconnecting")).to_be_visible()
    model.replies = lambda _: Text("Once.")
    async with started(tmp_path, variables | {"PORT": port}):
        await expect(background.locator(".foot")).to_be_visible(timeout=30_000)
        assert await background.locator(".markdown").all_inner_texts() == ["Once."]
        await expect(background.locator(".task .words")).to_have_text(["Go on"])
        await expect(live.locator(".failure")).to_be_visible(timeout=30_000)
        await live.get_by_role("button", name="Retry").click()
        await expect(live.locator(".markdown").last).to_have_text("Once.")
