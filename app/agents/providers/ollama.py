"""Ollama."""

import random
from dataclasses import replace
from typing import Any
from uuid import uuid4

import anyio
import httpx
from autogen_core.models import CreateResult, ModelFamily, ModelInfo
from autogen_ext.models.ollama import OllamaChatCompletionClient

# AutoGen is pinned; otherwise only the constructor's error would tell whether it knows a model.
from autogen_ext.models.ollama._model_info import get_info
from ollama import AsyncClient, ResponseError

from app.agents.providers import Endpoint
from app.agents.providers.shared import SharedClient

LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
"""As the other SDKs have it; with httpx's 100 connections further streams would wait in silence."""

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
FIRST_PAUSE_S = 0.5
"""Seconds before the first retry; each further one waits twice as long, less up to a quarter, as the other SDKs do:
callers that failed together are not to come back together."""
PATIENCE_S = 60
"""Seconds that a server may ask us to wait."""

INFO = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=True,
    structured_output=True,
    family=ModelFamily.UNKNOWN,
)
"""Of a model that AutoGen does not know."""


class OllamaClient(SharedClient, OllamaChatCompletionClient):
    """Mends AutoGen's: parallel calls of tools share no id, and an answer of one chunk is not lost."""

    def __init__(self, client: AsyncClient, model: str, info: ModelInfo) -> None:
        # Past the constructor that builds an Ollama client itself, with no timeout, and never closes it.
        super(OllamaChatCompletionClient, self).__init__(client, create_args={"model": model}, model_info=info)
        self._raw_config = {"model": model, "model_info": info}
        self._resolved_model = None  # else a server that names its model differently is worth a warning

    async def create(self, *args: Any, **options: Any) -> CreateResult:
        try:
            return await super().create(*args, **options)
        except ConnectionError as error:  # Python's own, which says nothing of who was called
            raise ResponseError(str(error), 503) from error

    def mended(self, result: CreateResult, said: str) -> CreateResult:
        if isinstance(result.content, str):
            mended = result
        elif result.content:
            calls = [replace(call, id=f"call_{uuid4().hex}") for call in result.content]
            mended = result.model_copy(update={"content": calls, "finish_reason": "function_calls"})
        else:
            text = said or result.thought or ""
            mended = result.model_copy(update={"content": text, "thought": None})
        return super().mended(mended, said)

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]


class Retrying(httpx.AsyncBaseTransport):
    """Sends a request that was not answered, or refused for the moment, again; Ollama's SDK does not."""

    def __init__(self, retries: int, inner: httpx.AsyncBaseTransport) -> None:
        self._retries = retries
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for attempt in range(self._retries):
            try:
                response = await self._inner.handle_async_request(request)
            except httpx.TransportError:
                pause = _pause(attempt)
            else:
                if response.status_code not in RETRIED:
                    return response
                await response.aclose()
                pause = _told(response.headers) or _pause(attempt)
            await anyio.sleep(pause)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def ollama(name: str, where: Endpoint) -> OllamaClient:
    client = AsyncClient(
        host=where.url,
        timeout=where.timeout_s,
        headers={"Authorization": f"Bearer {where.key}"} if where.key else None,
        transport=Retrying(where.max_retries, httpx.AsyncHTTPTransport(limits=LIMITS)),
    )
    return OllamaClient(client, name, _info(name))


def _pause(attempt: int) -> float:
    longest: float = FIRST_PAUSE_S * 2**attempt
    return longest * (1 - random.random() / 4)  # noqa: S311 no secret  # nosec B311


def _told(headers: httpx.Headers) -> float | None:
    """The seconds of `Retry-After`, unless it is a date or longer than anybody waits."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 < seconds <= PATIENCE_S else None


def _info(name: str) -> ModelInfo:
    try:
        return get_info(name)
    except KeyError:
        return INFO
