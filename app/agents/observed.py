"""The one place that every model call passes, whoever the provider: a thin wrapper around AutoGen's own client.

It makes the call's span (see `app.telemetry.llm`), writes tokens and failures into the run's ledger, and asks no
provider that is down.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal

from autogen_core import CancellationToken, ComponentModel
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from app.agents.bounds import check, checked
from app.agents.breaker import Breaker
from app.agents.halves import whole
from app.agents.ledger import LEDGER, price
from app.agents.provider_errors import classify
from app.agents.providers.call import Overheard
from app.agents.providers.shared import SharedClient
from app.agents.recorded_calls import RecordedCall
from app.agents.shown import answered, shown
from app.agents.thinking import Tags, mark_thoughts
from app.telemetry.llm import ChatRequest, ChatResult, LlmSpan

ToolChoice = Tool | Literal["auto", "required", "none"]


class ObservedClient(ChatCompletionClient):
    """Acts as `inner`, and is seen. `provider` is named as `gen_ai.provider.name` wants it; `ref` as MODEL does."""

    component_type = "model"

    def __init__(
        self,
        inner: ChatCompletionClient,
        provider: str,
        model: str,
        *,
        spans: bool,
        ref: str | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.inner = inner
        self.provider = provider
        self.model = model
        self.ref = ref or f"{provider}:{model}"
        self.owner = ""
        """The agent or team that has it."""
        self._spans = spans
        self._breaker = breaker or Breaker(0, 0, lambda _: None)
        mark_thoughts(inner)

    def owned_by(self, owner: str) -> "ObservedClient":
        """The same for one agent, by whose name its calls are known in a run's journal."""
        owned = object.__new__(type(self))
        owned.__dict__ |= vars(self) | {"owner": owner}
        return owned

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = [],
        tool_choice: ToolChoice = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        record = RecordedCall(self.owner, self.ref, messages, tools, (tool_choice, json_output))
        if record.is_replay and (told := await record.recall()) is not None:
            return told[1]
        token = self._heard(cancellation_token)
        call = self._call(messages, tools, tool_choice, json_output, extra_create_args, stream=False)
        try:
            with record, call.current(), self._breaker.call():
                result = await self.inner.create(
                    messages,
                    tools=tools,
                    tool_choice=tool_choice,
                    json_output=json_output,
                    extra_create_args=extra_create_args,
                    cancellation_token=token,
                )
                result = checked(result)
        except BaseException as error:
            self._failed(call, error)
            raise
        record.answered(result, [])
        self._ended(call, _told(result, token))
        return result

    async def create_stream(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = [],
        tool_choice: ToolChoice = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> AsyncGenerator[str | CreateResult, None]:
        record = RecordedCall(self.owner, self.ref, messages, tools, (tool_choice, json_output))
        if record.is_replay and (recalled := await record.recall()) is not None:
            if recalled[0]:
                yield recalled[0]
            yield recalled[1]
            return
        token = self._heard(cancellation_token)
        call = self._call(messages, tools, tool_choice, json_output, extra_create_args, stream=True)
        stream = self.inner.create_stream(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            json_output=json_output,
            extra_create_args=_counted(self.inner, extra_create_args),
            cancellation_token=token,
        )
        result: CreateResult | None = None
        tags = Tags()
        pieces: list[str | CreateResult] = []
        said = 0
        with record:
            try:
                with self._breaker.call() as breaker:
                    while True:
                        with call.current():
                            piece = await anext(stream, None)
                        if piece is None:
                            break
                        breaker.heard()
                        if isinstance(piece, CreateResult):
                            result = piece = checked(piece)
                            record.answered(result, pieces)
                        else:
                            call.chunk()
                            piece = whole(piece)
                            said += len(piece)
                            check(said)
                        for told in tags.around(piece):
                            pieces.append(told)
                            yield told
            except BaseException as error:
                self._failed(call, error)
                await _close(stream)
                raise
        if result is None:
            self._failed(call, RuntimeError("the stream ended without a result"))
        else:
            self._ended(call, _told(result, token))

    def _call(
        self,
        messages: Sequence[LLMMessage],
        tools: Sequence[Tool | ToolSchema],
        tool_choice: ToolChoice,
        json_output: bool | type[BaseModel] | None,
        extra: Mapping[str, Any],
        *,
        stream: bool,
    ) -> "LlmSpan | _NoSpan":
        if not self._spans:
            return _NoSpan()
        parameters = dict(extra)
        if tools:
            parameters["tool_choice"] = tool_choice if isinstance(tool_choice, str) else tool_choice.name
        if json_output is not None:
            parameters["json_output"] = json_output if isinstance(json_output, bool) else json_output.__name__
        return LlmSpan(
            ChatRequest(
                provider=self.provider,
                model=self.model,
                messages=[part for message in messages for part in shown(message)],
                tools=[dict(tool if isinstance(tool, Mapping) else tool.schema) for tool in tools],
                parameters=parameters,
                stream=stream,
            )
        )

    def _heard(self, token: CancellationToken | None) -> CancellationToken | None:
        """A client of ours tells all that its provider does; what others leave out goes by their token."""
        return token if isinstance(self.inner, SharedClient) else Overheard(token)

    def _ended(self, call: "LlmSpan | _NoSpan", result: CreateResult) -> None:
        cost = price(self.provider, self.model, result.usage, getattr(result, "cached_tokens", None))
        if (ledger := LEDGER.get()) is not None:
            ledger.add(result.usage, cost)
        call.end(answered(result, cost))

    def _failed(self, call: "LlmSpan | _NoSpan", error: BaseException) -> None:
        if (ledger := LEDGER.get()) is not None and (failure := classify(error)) is not None:
            ledger.failure = failure
        call.fail(error)

    async def close(self) -> None:
        await self.inner.close()

    def actual_usage(self) -> RequestUsage:
        return self.inner.actual_usage()

    def total_usage(self) -> RequestUsage:
        return self.inner.total_usage()

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = []) -> int:
        return self.inner.count_tokens(messages, tools=tools)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = []) -> int:
        return self.inner.remaining_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> ModelCapabilities:
        return self.inner.capabilities

    @property
    def model_info(self) -> ModelInfo:
        return self.inner.model_info

    def dump_component(self) -> ComponentModel:
        """The component that a user knows: this wrapper is put on again where it is loaded."""
        return self.inner.dump_component()


class _NoSpan:
    """Where the SDKs' instrumentors make the spans of agents' model calls (LLM_SPANS=openinference)."""

    def current(self) -> "_NoSpan":
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def chunk(self) -> None: ...

    def end(self, result: ChatResult) -> None: ...

    def fail(self, error: BaseException) -> None: ...


def _told(result: CreateResult, token: CancellationToken | None) -> CreateResult:
    return token.told(result) if isinstance(token, Overheard) else result


def _counted(client: ChatCompletionClient, extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """OpenAI's wire tells the tokens of a stream when it is asked to; whoever has decided that is left alone."""
    of_openai = any(kind.__name__ == "BaseOpenAIChatCompletionClient" for kind in type(client).__mro__)
    if not of_openai or "stream_options" in {**getattr(client, "_create_args", {}), **extra}:
        return extra
    return {**extra, "stream_options": {"include_usage": True}}


async def _close(stream: AsyncGenerator[str | CreateResult, None]) -> None:
    """Close the provider's stream, so that it stops writing: within a second, even while being cancelled."""
    try:
        async with asyncio.timeout(1):
            await stream.aclose()
    except (RuntimeError, TimeoutError):
        return  # the generator is running still, in a call that its own cancellation ends
