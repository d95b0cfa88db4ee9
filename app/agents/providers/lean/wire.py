"""One provider's address: requests go there as the SDK's do, and are made again when the SDK would.

Proxies and certificates come from the environment, as they do for the SDK's HTTP library. Cookies are not kept: they
would tie the calls of all callers together.
"""

import asyncio
from functools import cache
from ssl import SSLContext
from urllib.request import getproxies, proxy_bypass

import httpx2
from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from openai import APIConnectionError, APIStatusError, AsyncOpenAI
from openai._models import FinalRequestOptions
from yarl import URL

from app.agents.providers.lean.errors import as_the_sdk, refusal
from app.agents.providers.lean.reading import Reader

KEEP_ALIVE_S = 5
"""Seconds that an idle connection is kept, as the SDK's HTTP library does: less than servers keep theirs."""
REDIRECTS = 20
"""At most, as the SDK's HTTP library follows."""
PHASES = 3
"""To connect, to send and to be answered may each take as long as the timeout: aiohttp has none for sending."""


class Wire:
    """Sends what the SDK would; `sdk` sends nothing, and is asked how."""

    def __init__(self, sdk: AsyncOpenAI, timeout_s: float) -> None:
        self._sdk = sdk
        self.timeout_s = timeout_s
        url = httpx2.URL(f"{sdk.base_url}chat/completions", params=sdk.default_query or None)
        self._url = URL(str(url), encoded=True)
        self._proxy = _proxy(self._url)
        self._session: ClientSession | None = None

    @property
    def reaches(self) -> bool:
        """Whether aiohttp goes all the ways that the SDK's HTTP library would: not through SOCKS, for instance."""
        plain = not (self._sdk.base_url.userinfo or self._sdk.base_url.query)
        return plain and (self._proxy is None or URL(self._proxy).scheme in ("http", "https"))

    async def post(self, body: bytes, *, whole: bool) -> tuple[ClientResponse, bytes]:
        """An answer, and its content where that is wanted whole; else the answer is to be closed.

        Raises the SDK's errors.
        """
        left = self._sdk.max_retries
        while True:
            refused = None
            try:
                response = await self._send(body, self._sdk.max_retries - left)
                if response.status < 300:
                    return response, await Reader(response, self.timeout_s).content() if whole else b""
            except APIConnectionError:
                if not left:
                    raise
            else:
                refused = refusal(response)
                if not left or not self._sdk._should_retry(refused):  # noqa: SLF001  # as often, and as late
                    raise await self._refused(response)
                response.close()
            await asyncio.sleep(self._pause_s(left, refused))
            left -= 1

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _send(self, body: bytes, retries: int) -> ClientResponse:
        if self._session is None:
            await asyncio.to_thread(self._look)
            self._session = self._session or self._opened()
        retried = {"x-stainless-retry-count": str(retries)}
        try:
            async with asyncio.timeout(PHASES * self.timeout_s):
                return await self._session.post(self._url, data=body, headers=retried, max_redirects=REDIRECTS)
        except (ClientError, OSError) as error:
            raise as_the_sdk(error, self._url) from error

    async def _refused(self, response: ClientResponse) -> APIStatusError:
        told = refusal(response, await Reader(response, self.timeout_s).content())
        return self._sdk._make_status_error_from_response(told)  # noqa: SLF001  # and in its words

    def _pause_s(self, left: int, refused: httpx2.Response | None) -> float:
        options = FinalRequestOptions(method="post", url="")
        headers = None if refused is None else refused.headers
        return self._sdk._calculate_retry_timeout(left, options, headers)  # noqa: SLF001  # as the SDK waits

    def _look(self) -> None:
        """What keeps the event loop waiting, once: the SDK asks which system this is, and certificates are read."""
        self._sdk.platform_headers()
        if self._url.scheme == "https":
            _certificates()

    def _opened(self) -> ClientSession:
        """With the first request: aiohttp wants the event loop to run."""
        every = self._sdk.auth_headers | self._sdk.default_headers | {"x-stainless-read-timeout": str(self.timeout_s)}
        headers = {name: value for name, value in every.items() if isinstance(value, str)}
        return ClientSession(
            connector=TCPConnector(
                limit=0,  # streams are many, and would wait in silence
                keepalive_timeout=KEEP_ALIVE_S,
                ssl=_certificates() if self._url.scheme == "https" else True,
            ),
            headers=headers,
            timeout=ClientTimeout(total=None, connect=self.timeout_s, sock_read=self.timeout_s),
            cookie_jar=DummyCookieJar(),
            proxy=self._proxy,
            middlewares=(self._keeping_the_key,) if "api-key" in headers else (),
        )

    async def _keeping_the_key(self, request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        """Redirects to somebody else do not take Azure's key along; the others' is left out by aiohttp."""
        if request.url.origin() != self._url.origin():
            request.headers.pop("api-key", None)
        return await send(request)


def _proxy(url: URL) -> str | None:
    """The one that the environment names."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return None if proxy is None or proxy_bypass(f"{url.host}:{url.port}") else proxy


@cache
def _certificates() -> SSLContext:
    return httpx2.create_ssl_context()
