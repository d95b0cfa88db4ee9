"""Clients that hold a connection for nothing: by bytes, as no client library would send them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import pytest
from anyio.abc import SocketStream

from app import connections
from app.api.middleware import BodyLimit
from tests.service import Service

HEAD = b"POST /agents/assistant/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[SocketStream]:
    address = urlsplit(service.url)
    assert address.hostname is not None
    assert address.port is not None
    async with await anyio.connect_tcp(address.hostname, address.port) as stream:
        yield stream


async def everything(stream: SocketStream) -> bytes:
    """What comes until the service closes the connection."""
    received = b""
    with anyio.fail_after(20):
        try:
            while True:
                received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", HEAD, HEAD + b"X-Slow: "], ids=["nothing", "line", "head", "header"]
)
async def test_a_head_that_does_not_come(service: Service, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed; the same on one that has answered before."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.2)
    async with connected(service) as stream:
        if sent:
            await stream.send(sent)
        assert await everything(stream) == b""
    async with connected(service) as stream:
        await stream.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await stream.receive()
        await stream.send(sent or b"G")
        assert b"HTTP/1.1" not in (await everything(stream)).removeprefix(b'{"status":"ok"}')


async def test_a_head_that_is_too_large(service: Service) -> None:
    """In one header without an end, or in many: 431, as long as it comes in pieces."""
    for endless in (b"x" * 1024, b"X-More: yes\r\n" * 80):
        async with connected(service) as stream:
            await stream.send(HEAD + b"X-Long: ")
            with anyio.fail_after(20):
                try:
                    for _ in range(2000):
                        await stream.send(endless)
                        await anyio.lowlevel.checkpoint()
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    pass
            assert b"200" not in await everything(stream)
    async with connected(service) as stream:
        await stream.send(HEAD + b"X-Long: " + b"x" * (connections.MAX_HEAD_BYTES + 1))
        answer = await everything(stream)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"application/problem+json" in answer


async def test_a_body_that_does_not_come(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece now and then is not enough: 408, and the connection is closed."""
    monkeypatch.setattr(BodyLimit, "TIMEOUT_S", 0.3)
    async with connected(service) as stream:
        await stream.send(HEAD + b"Content-Length: 1000\r\n\r\n{")
        answer = await everything(stream)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"urn:waggle:problem:request-timeout" in answer
    assert 'reason="request-timeout"} 1.0' in (await service.client.get("/metrics")).text


async def test_large_bodies_and_heads_that_may_be(service: Service) -> None:
    """Nothing of it concerns an honest client: a head and a body in one piece, and two requests in one."""
    body = b'{"task": "' + b"x" * 200_000 + b'"}'
    async with connected(service) as stream:
        await stream.send(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (await everything(stream)).startswith(b"HTTP/1.1 200 OK\r\n")
    probe = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    async with connected(service) as stream:
        await stream.send(probe + b"\r\n" + probe + b"Connection: close\r\n\r\n")
        assert (await everything(stream)).count(b"HTTP/1.1 200 OK") == 2


async def test_what_a_browser_may_do_with_an_answer(service: Service) -> None:
    """Not frame it, not keep it, not tell of it; event streams as the contract has them."""
    answer = await service.client.get("/agents")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    stream = await service.client.get("/agents/assistant/stream?task=hi")
    assert stream.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["Host", "User-Agent", "traceparent", "X-Request-ID", "X-User-ID"])
async def test_a_header_of_other_bytes_fails_nothing(name: str, service: Service) -> None:
    """Latin-1, and a backslash after it: OpenTelemetry's instrumentation read it as Python would, and failed."""
    answer = await service.client.get("/agents", headers={name.encode(): b"\xe1\\"})
    assert answer.status_code in (200, 421, 422)
    assert answer.headers["x-request-id"]
