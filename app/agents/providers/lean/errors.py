"""The SDK's errors for what happens on aiohttp's connections: callers catch and classify these."""

import httpx2
from aiohttp import ClientError, ClientResponse
from openai import APIConnectionError, APITimeoutError
from yarl import URL


def as_the_sdk(error: ClientError | OSError, url: URL) -> APIConnectionError:
    """The SDK's error for it; that of a timeout is one of a connection."""
    asked = request(url)
    return APITimeoutError(asked) if isinstance(error, TimeoutError) else APIConnectionError(request=asked)


def request(url: URL) -> httpx2.Request:
    """What the SDK's errors hold of a request, without its headers: a key is among them."""
    return httpx2.Request("POST", str(url))


def refusal(response: ClientResponse, body: bytes = b"") -> httpx2.Response:
    """An answer that is none, as the SDK's errors hold it; aiohttp has taken its encoding off."""
    headers = [(name, value) for name, value in response.headers.items() if name.lower() != "content-encoding"]
    return httpx2.Response(response.status, headers=headers, content=body, request=request(response.url))
