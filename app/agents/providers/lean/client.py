"""What AutoGen's client is given in the SDK's place."""

from collections.abc import Mapping
from typing import Any

import orjson
from openai import AsyncOpenAI, NotGiven, Omit
from pydantic import BaseModel

from app.agents.providers.lean.stream import Stream
from app.agents.providers.lean.values import parsed, told
from app.agents.providers.lean.wire import Wire

OF_THE_SDK = frozenset({"extra_body", "extra_headers", "extra_query"})
"""Arguments of a call that are none of the provider's: with one of them it is made by the SDK."""


class LeanClient:
    """Completes chats. What else the SDK can do, structured output for one, is left to it."""

    def __init__(self, sdk: AsyncOpenAI, wire: Wire) -> None:
        self._sdk = sdk
        self._wire = wire
        self.beta = sdk.beta

    @property
    def chat(self) -> "LeanClient":
        """As the SDK has it: `client.chat.completions.create`."""
        return self

    @property
    def completions(self) -> "LeanClient":
        return self

    def makes(
        self, extra_create_args: Mapping[str, Any] = {}, json_output: bool | type[BaseModel] | None = None, **_: Any
    ) -> bool:
        """Whether such a call of AutoGen's is made here, not by the SDK."""
        structured = isinstance(json_output, type) or isinstance(extra_create_args.get("response_format"), type)
        return not structured and (OF_THE_SDK | {"timeout"}).isdisjoint(extra_create_args)

    async def create(self, *, stream: bool, **asked: Any) -> Any:
        """A `Stream`, or a whole answer as `Told`."""
        timeout_s = asked.pop("timeout", self._wire.timeout_s)
        if timeout_s != self._wire.timeout_s or not OF_THE_SDK.isdisjoint(asked):
            return await self._sdk.chat.completions.create(stream=stream, timeout=timeout_s, **asked)
        response, content = await self._wire.post(_body(asked | {"stream": stream}), whole=not stream)
        return Stream(response, self._wire.timeout_s) if stream else told(parsed(content))

    async def close(self) -> None:
        await self._wire.close()
        await self._sdk.close()


def lean(sdk: AsyncOpenAI, timeout_s: float) -> LeanClient | AsyncOpenAI:
    """A client that acts as the SDK's, where it is known to; else the SDK's."""
    wire = Wire(sdk, timeout_s)
    return LeanClient(sdk, wire) if wire.reaches else sdk


def _body(asked: dict[str, Any]) -> bytes:
    given = {name: value for name, value in asked.items() if not isinstance(value, NotGiven | Omit)}
    return orjson.dumps(given, default=_jsonable, option=orjson.OPT_NON_STR_KEYS)


def _jsonable(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True)
    raise TypeError(f"{type(value).__name__} is no JSON")
