"""OpenAI, and who speaks its chat completions: Azure, Gemini, and any server that MODEL_BASE_URL names."""

import asyncio
from abc import ABC
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from autogen_core import CancellationToken
from autogen_core.models import CreateResult, ModelFamily, ModelInfo
from autogen_ext.models.openai import AzureOpenAIChatCompletionClient, OpenAIChatCompletionClient

# AutoGen is pinned; otherwise only the constructor's error would tell whether it knows a model.
from autogen_ext.models.openai._model_info import get_info
from openai import NOT_GIVEN

from app.agents.providers import Endpoint
from app.agents.providers.call import Call
from app.agents.providers.lean.client import LeanClient, lean
from app.agents.providers.shared import Pieces, SharedClient

NO_KEY = "none"
"""The SDK insists on a key; servers that ask for none ignore it."""

OPEN, CLOSE = "<think>", "</think>"
"""Around what AutoGen streams of a `reasoning_content`."""


class _ChatCompletions(SharedClient, ABC):
    """Tells the tokens of streams too."""

    _resolved_model: str | None

    _client: Any

    def __init__(self, *, lean_timeout_s: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        if lean_timeout_s is not None:
            self._client = lean(self._client, lean_timeout_s)
        # Else every answer that names the model differently, as all of Azure's do, is worth a warning.
        self._resolved_model = None

    def create_stream(self, *args: Any, extra_create_args: Mapping[str, Any] | None = None, **options: Any) -> Pieces:
        # Not an argument of the client's: where nothing is streamed, OpenAI refuses `stream_options`.
        counted = {"stream_options": {"include_usage": True}} | dict(extra_create_args or {})
        return super().create_stream(*args, extra_create_args=counted, **options)

    def is_cut_at_once(self, **options: Any) -> bool:
        return isinstance(self._client, LeanClient) and self._client.makes(**options)

    async def _create_stream_chunks(
        self,
        tool_params: list[Any],
        oai_messages: list[Any],
        create_args: dict[str, Any],
        cancellation_token: CancellationToken | None,
    ) -> AsyncGenerator[Any, None]:
        """AutoGen's, but that no task is made for each chunk; should it go, AutoGen's new way is taken."""
        tools = tool_params or NOT_GIVEN
        asking = self._client.chat.completions.create(messages=oai_messages, stream=True, tools=tools, **create_args)
        request = asyncio.ensure_future(asking)
        call = cast("Call", cancellation_token)
        call.link_future(request)
        async for chunk in await request:
            call.heard(chunk)
            yield chunk

    def mended(self, result: CreateResult, said: str) -> CreateResult:
        if result.thought is not None and said.startswith(OPEN):
            # AutoGen takes the tags off with `strip`, and letters of the thought with them.
            thought, _, _ = said.removeprefix(OPEN).partition(CLOSE)
            result = result.model_copy(update={"thought": thought})
        return super().mended(result, said)


class OpenAIClient(_ChatCompletions, OpenAIChatCompletionClient):
    """OpenAI, or who speaks like it."""


class AzureClient(_ChatCompletions, AzureOpenAIChatCompletionClient):
    """Azure."""


def openai(name: str, where: Endpoint) -> OpenAIClient:
    return OpenAIClient(model=name, base_url=where.url, model_info=_info(name), **_common(where))


def gemini(name: str, where: Endpoint) -> OpenAIClient:
    info = _info(name, vision=True)
    return OpenAIClient(model=name, base_url=where.url, model_info=info, **_common(where))


def azure(name: str, where: Endpoint) -> AzureClient:
    """`name` is the deployment's; what its model can do is known if it is called like the model."""
    return AzureClient(
        model=name,
        azure_deployment=name,
        azure_endpoint=where.url,
        api_version=where.api_version,
        model_info=_info(name),
        **_common(where),
    )


def _common(where: Endpoint) -> dict[str, Any]:
    return {
        "api_key": where.key or NO_KEY,
        "timeout": where.timeout_s,
        "max_retries": where.max_retries,
        "lean_timeout_s": where.timeout_s if where.lean else None,
    }


def _info(name: str, *, vision: bool = False) -> ModelInfo:
    try:
        return get_info(name)
    except ValueError:
        return ModelInfo(
            vision=vision,
            function_calling=True,
            json_output=True,
            structured_output=True,
            family=ModelFamily.UNKNOWN,
        )
