"""Reading, with the SDK's errors for what happens on aiohttp's connections: callers catch and classify these."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from aiohttp import ClientError, ClientResponse
from openai import APIConnectionError, APITimeoutError
from yarl import URL


@contextmanager
def failing_as_the_sdk(url: URL) -> Iterator[None]:
    """Raises APITimeoutError or APIConnectionError where aiohttp or the system say that it was one."""
    try:
        yield
    except TimeoutError as error:
        raise APITimeoutError(request(url)) from error
    except (ClientError, OSError) as error:
        raise APIConnectionError(request=request(url)) from error


async def received(response: ClientResponse, timeout_s: float) -> bytes:
    """What has come of an answer; nothing at its end. Raises the SDK's errors, and then it is closed.

    aiohttp's own timeout ends with its connection, and aiohttp (3.14) tells nobody that it has closed that where the
    framing was broken.
    """
    try:
        with failing_as_the_sdk(response.url):
            async with asyncio.timeout(timeout_s):
                return await response.content.readany()
    except BaseException:
        response.close()
        raise


async def content(response: ClientResponse, timeout_s: float) -> bytes:
    """All of an answer."""
    parts = []
    while part := await received(response, timeout_s):
        parts.append(part)
    return b"".join(parts)


def request(url: URL) -> httpx2.Request:
    """What the SDK's errors hold of a request, without its headers: a key is among them."""
    return httpx2.Request("POST", str(url))


def refusal(response: ClientResponse, body: bytes = b"") -> httpx2.Response:
    """An answer that is none, as the SDK's errors hold it; aiohttp has taken its encoding off."""
    headers = [(name, value) for name, value in response.headers.items() if name.lower() != "content-encoding"]
    return httpx2.Response(response.status, headers=headers, content=body, request=request(response.url))
