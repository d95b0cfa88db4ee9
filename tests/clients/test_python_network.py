"""The Python client on a network that breaks, and before services that are busy."""

import dataclasses
from typing import Any

import httpx
import pytest

from tests.clients.conftest import Connect
from tests.servers.openai_wire import OpenAIWire
from tests.servers.proxy import Proxy, breaking
from tests.servers.raw import RawServer, answer, chunked
from tests.servers.replies import Text, Usage
from tests.service import Service, serving
from waggle_client import Problem, RateLimited, RunFailed, Unreachable
from waggle_client._calls import FIRST_S, LONGEST_S, Attempts
from waggle_client.errors import problem_of

WORDS = " ".join(f"word{number}" for number in range(60))
BUSY = b'{"type": "urn:waggle:problem:unavailable", "title": "Unavailable", "status": 503, "detail": "Busy."}'
FRAME = 'retry: 1\nid: {run}:1-{seq}\nevent: {type}\ndata: {{"type": "{type}", "run_id": "{run}", "seq": {seq}}}\n\n'


class Whatever(Proxy):
    """Cuts off the answers to what begins a run, and to streams, however they are asked for."""

    last: int | None = None

    def limit(self, request: bytes) -> int | None:
        if b"/run " in request or b"/stream " in request:
            self.requests.append(request)
            self.last = next(self._cuts, None)
        return self.last  # also for a body that comes in a piece of its own


def frame(seq: int, kind: str = "text.delta") -> bytes:
    return FRAME.format(run="r", seq=seq, type=kind).encode()


def busy(*headers: str) -> Any:
    return answer(BUSY, *headers, status="503 Service Unavailable", content_type="application/problem+json")


async def test_a_stream_survives_its_connections(service: Service, openai: OpenAIWire, connect: Connect) -> None:
    """Cut before its first event, then twice in the middle of one: each event comes once, in order, of one run."""
    openai.replies = lambda _: Text(WORDS, usage=Usage(3, 60), interval_s=0.01)  # else they come in few events
    async with breaking([service.url], [40, 3000, 2000], Whatever) as proxy:
        came = await connect(proxy.url)("stream", "assistant", "Hi")
    assert proxy.cut == 3
    assert [request.partition(b" ")[0] for request in proxy.requests] == [b"POST", b"POST", b"GET", b"GET"]
    assert [event["seq"] for event in came] == list(range(1, len(came) + 1))
    assert "".join(event["delta"] for event in came if event["type"] == "text.delta") == WORDS
    assert came[-1]["type"] == "run.completed"
    assert len(openai.requests) == 1


async def test_a_run_whose_answer_was_lost_is_not_run_again(
    service: Service, openai: OpenAIWire, connect: Connect
) -> None:
    """It is asked for with the same key; a key of one's own joins it later too."""
    async with breaking([service.url], [1], Whatever) as proxy:
        waggle = connect(proxy.url)
        run = await waggle("run", "assistant", "Hi", idempotency_key="order-17")
        assert proxy.cut == 1
        assert await waggle("run", "assistant", "Hi", idempotency_key="order-17") == run
    assert len(openai.requests) == 1


async def test_a_rate_is_waited_for(with_openai: dict[str, Any], connect: Connect) -> None:
    """As the service says; not if that is tomorrow."""
    async with serving(**with_openai, rate_limit="1/second") as service:
        waggle = connect(service.url)
        for method in ("run", "stream"):
            await waggle(method, "assistant", "Hi")
    async with serving(**with_openai, rate_limit="1/day") as service:
        waggle = connect(service.url)
        await waggle("run", "assistant", "Hi")
        with pytest.raises(RateLimited):
            await waggle("run", "assistant", "Hi")


async def test_a_busy_service_is_asked_again(connect: Connect) -> None:
    """With the same key, before a stream and when it is come back to."""
    begun = chunked(frame(1), end=False, after="reset")
    ended = chunked(frame(2), frame(3, "run.completed"))
    async with RawServer(busy("retry-after: 0"), begun, busy("retry-after: 0"), ended) as server:
        came = await connect(server.url)("stream", "assistant", "Hi")
    assert [event["seq"] for event in came] == [1, 2, 3]
    first, second, third, fourth = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert third.line == fourth.line == "GET /runs/r/stream HTTP/1.1"
    assert third.headers["last-event-id"] == fourth.headers["last-event-id"] == "r:1-1"


async def test_a_stream_that_gets_nowhere_is_given_up(connect: Connect) -> None:
    """After as many attempts in a row as are allowed; an event begins the count anew."""
    broken = chunked(end=False, after="reset")
    async with RawServer(broken, chunked(frame(1), end=False, after="reset"), broken) as server:
        with pytest.raises(Unreachable) as raised:
            await connect(server.url, max_retries=2)("stream", "assistant", "Hi")
    assert isinstance(raised.value.__cause__, httpx.TransportError)
    assert len(server.requests) == 4


async def test_a_stream_that_the_service_ends_is_come_back_to(connect: Connect) -> None:
    """As often as that is, and however little happened: the run goes on."""
    idle = chunked(b": reconnect with Last-Event-ID: the run goes on\n\n")
    async with RawServer(chunked(frame(1)), idle, idle, idle, chunked(frame(2, "run.failed"))) as server:
        came = await connect(server.url, max_retries=1)("stream", "assistant", "Hi")
    assert [event["type"] for event in came] == ["text.delta", "run.failed"]


@pytest.mark.parametrize("method", ["run", "stream", "agents"])
async def test_what_is_not_waggle_is_said(method: str, connect: Connect) -> None:
    """A page of a proxy's, with a status of success."""
    async with RawServer(answer(b"<html>", content_type="text/html")) as server:
        with pytest.raises(Problem, match=r"no answer of Waggle's"):
            await connect(server.url)(method, *([] if method == "agents" else ["assistant", "Hi"]))


async def test_feedback_that_was_lost_is_not_told_again(connect: Connect) -> None:
    """It might be twice; an answer to a question that is named is."""
    lost = answer(b"", after="reset")
    async with RawServer(dataclasses.replace(lost, pieces=()), answer(b"{}")) as server:
        waggle = connect(server.url)
        with pytest.raises(Unreachable):
            await waggle("runs.feedback", "r", 1)
    async with RawServer(dataclasses.replace(lost, pieces=()), answer(b"{}")) as server:
        await connect(server.url)("runs.input", "r", "red", input_id="i")


def refusal(status: int, kind: str | None = None, **headers: str) -> Problem:
    content = b"<html>" if kind is None else f'{{"type": "urn:waggle:problem:{kind}"}}'.encode()
    request = httpx.Request("POST", "http://waggle/agents/a/run")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return problem_of(httpx.Response(status, headers=named, content=content, request=request))


@pytest.mark.parametrize(
    ("problem", "least_s"),
    [
        pytest.param(refusal(503, "unavailable", retry_after="7"), 7, id="busy"),
        pytest.param(refusal(429, "rate-limited", retry_after="60"), 60, id="limited"),
        pytest.param(refusal(502), 0, id="a proxy's"),
        pytest.param(refusal(429, "budget-spent", retry_after="3600"), None, id="limited for long"),
        pytest.param(refusal(409, "session-busy", retry_after="1"), None, id="a busy session"),
        pytest.param(refusal(503, "model-unavailable"), None, id="waiting does not help"),
        pytest.param(refusal(503, "run-lost", retry_after="5", x_run_id="r"), None, id="a failed run"),
        pytest.param(refusal(500, "internal"), None, id="a fault"),
    ],
)
def test_what_is_tried_again(problem: Problem, least_s: float | None) -> None:
    """After what the service says and a part of the pace; nothing of what would be the same again."""
    if least_s is None:
        with pytest.raises(type(problem)):
            Attempts(3).refused(problem, repeatable=True)
    else:
        assert least_s + FIRST_S / 2 <= Attempts(3).refused(problem, repeatable=True) <= least_s + FIRST_S


def test_pauses_grow_and_end() -> None:
    """Twice as long each, within bounds, at random in the upper half; then it is given up."""
    attempts, error = Attempts(8), httpx.ConnectError("", request=httpx.Request("GET", "http://waggle"))
    for number in range(8):
        most_s = min(FIRST_S * 2**number, LONGEST_S)
        assert most_s / 2 <= attempts.lost(error, repeatable=True) <= most_s
    with pytest.raises(Unreachable):
        attempts.lost(error, repeatable=True)


def test_a_failed_run_is_told_from_a_refusal() -> None:
    assert isinstance(refusal(503, "run-lost", x_run_id="r"), RunFailed)
    assert not isinstance(refusal(503, "unavailable"), RunFailed)
