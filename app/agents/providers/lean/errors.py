"""The SDK's errors for what happens on aiohttp's connections: callers catch and classify these."""

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


def request(url: URL) -> httpx2.Request:
    """What the SDK's errors hold of a request, without its headers: a key is among them."""
    return httpx2.Request("POST", str(url))


def refusal(response: ClientResponse, content: bytes = b"") -> httpx2.Response:
    """An answer that is none, as the SDK's errors hold it; aiohttp has taken its encoding off."""
    headers = [(name, value) for name, value in response.headers.items() if name.lower() != "content-encoding"]
    return httpx2.Response(response.status, headers=headers, content=content, request=request(response.url))
