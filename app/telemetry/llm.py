"""The span of one model call, the same for every provider.

Attributes follow the GenAI semantic conventions (open-telemetry/semantic-conventions-genai) and, beside them,
OpenInference's, which HoneyHive and Phoenix read. A stream's span costs the same however many tokens it has.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import orjson
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from app.telemetry.pause import PAUSED, cut

TRACER = "waggle"
SPREAD = 600
"""Attributes that a call's messages may have, which OpenInference spreads over four and more each: a span has 1,024,
and drops its oldest ones, the operation's name first, to make room."""
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"

Attributes = dict[str, str | bool | int | float | Sequence[str]]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call that a model asks for."""

    id: str
    name: str
    arguments: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message to or from a model."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thought: str | None = None
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a model is asked."""

    provider: str
    """As `gen_ai.provider.name` has it."""
    model: str
    messages: Sequence[ChatMessage]
    tools: Sequence[Mapping[str, Any]] = ()
    """Their JSON schemas: `name`, `description`, `parameters`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What a model answered."""

    message: ChatMessage
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    model: str | None = None
    """The one that answered, as it names itself."""
    cached_tokens: int | None = None
    """Of the input's."""
    reasoning_tokens: int | None = None
    """Of the output's."""
    first_chunk_at: float | None = None
    """When a stream of which no piece was handed on began to come, by `time.perf_counter`."""


class LlmSpan:
    """One model call, from request to result; it ends once, whatever happens.

    Inside `current` the call's own SDK sees the span as its parent and the SDKs' instrumentors are silent.
    A generator enters it around each step: a context kept over a `yield` is lost when another task goes on.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._span = trace.get_tracer(TRACER).start_span(
            f"chat {request.model}", kind=SpanKind.CLIENT, attributes=_request_attributes(request)
        )
        self._outside: Context | None = None
        self._inside = Context()
        self._started = self._last = time.perf_counter()
        self._chunks = 0
        self._first = self._longest_gap = 0.0

    def current(self) -> Self:
        """A context manager, entered once for each piece: by itself, it is half the price of a generator."""
        return self

    def __enter__(self) -> None:
        outside = otel_context.get_current()
        if outside is not self._outside:
            inside = trace.set_span_in_context(self._span, outside)
            self._inside = otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True, inside)
            self._outside = outside
        self._token = otel_context.attach(self._inside)

    def __exit__(self, *_: object) -> None:
        otel_context.detach(self._token)

    def chunk(self) -> None:
        """A piece of the answer has come."""
        now = time.perf_counter()
        gap, self._last = now - self._last, now
        self._chunks += 1
        if self._chunks == 1:
            self._first = gap
        elif gap > self._longest_gap:
            self._longest_gap = gap

    def end(self, result: ChatResult) -> None:
        self._span.set_attributes(_result_attributes(result))
        if not self._chunks and result.first_chunk_at is not None:
            self._span.set_attribute(FIRST_CHUNK, result.first_chunk_at - self._started)
        self._time(result.output_tokens)
        self._span.set_status(Status(StatusCode.OK))
        self._span.end()

    def fail(self, error: BaseException) -> None:
        self._time(0)
        fail(self._span, error)
        self._span.end()

    def _time(self, tokens: int) -> None:
        """How the stream went: seconds to the first chunk, the longest gap after it, tokens a second after it."""
        if not self._chunks:
            return
        self._span.set_attribute(FIRST_CHUNK, self._first)
        self._span.set_attribute("waggle.stream.chunks", self._chunks)
        self._span.set_attribute("waggle.stream.longest_gap_s", self._longest_gap)
        if tokens > 1 and (writing := self._last - self._started - self._first) > 0:
            self._span.set_attribute("waggle.stream.tokens_per_second", (tokens - 1) / writing)


def fail(span: Span, error: BaseException) -> None:
    """Mark the span as failed; a cancelled call is told apart by its `error.type`. One cut by a pause is neither."""
    if cut(error):
        span.set_attribute(PAUSED, value=True)
        return
    span.set_attribute("error.type", type(error).__name__)
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, type(error).__name__))


def _request_attributes(request: ChatRequest) -> Attributes:
    messages = [_genai(message) for message in request.messages]
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": request.provider,
        "gen_ai.request.model": request.model,
        "gen_ai.request.stream": request.stream,
        "gen_ai.input.messages": as_json(messages),
        "waggle.context.messages": len(messages),
        "waggle.context.characters": sum(len(message.content) for message in request.messages),
        "openinference.span.kind": "LLM",
        "llm.provider": request.provider,
        "llm.system": request.provider,
        "llm.model_name": request.model,
        "llm.invocation_parameters": as_json(request.parameters),
        "input.value": as_json({"messages": messages}),
        "input.mime_type": "application/json",
    }
    for index, message in enumerate(_latest(request.messages)):
        _openinference(attributes, f"llm.input_messages.{index}.message", message)
    for index, tool in enumerate(request.tools):
        attributes[f"llm.tools.{index}.tool.json_schema"] = as_json(tool)
    if request.tools:
        attributes["gen_ai.tool.definitions"] = as_json([{"type": "function", **tool} for tool in request.tools])
    return attributes


def _result_attributes(result: ChatResult) -> Attributes:
    output = _genai(result.message) | {"finish_reason": result.finish_reason}
    attributes: Attributes = {
        "gen_ai.response.finish_reasons": [result.finish_reason],
        "gen_ai.output.messages": as_json([output]),
        "gen_ai.usage.input_tokens": result.input_tokens,
        "gen_ai.usage.output_tokens": result.output_tokens,
        "llm.token_count.prompt": result.input_tokens,
        "llm.token_count.completion": result.output_tokens,
        "llm.token_count.total": result.input_tokens + result.output_tokens,
        "output.value": result.message.content or as_json(output["parts"]),
        "output.mime_type": "text/plain" if result.message.content else "application/json",
    }
    for name, value in (
        ("llm.cost.total", result.cost_usd),
        ("gen_ai.response.model", result.model),
        ("gen_ai.usage.cache_read.input_tokens", result.cached_tokens),
        ("gen_ai.usage.reasoning.output_tokens", result.reasoning_tokens),
    ):
        if value is not None:
            attributes[name] = value
    _openinference(attributes, "llm.output_messages.0.message", result.message)
    return attributes


def _genai(message: ChatMessage) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if message.thought:
        parts.append({"type": "reasoning", "content": message.thought})
    if message.tool_call_id is not None:
        parts.append({"type": "tool_call_response", "id": message.tool_call_id, "response": message.content})
    elif message.content:
        parts.append({"type": "text", "content": message.content})
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return {"role": message.role, "parts": parts}


def _openinference(attributes: Attributes, prefix: str, message: ChatMessage) -> None:
    attributes[f"{prefix}.role"] = message.role
    if message.content:
        attributes[f"{prefix}.content"] = message.content
    if message.tool_call_id is not None:
        attributes[f"{prefix}.tool_call_id"] = message.tool_call_id
    if message.name is not None:
        attributes[f"{prefix}.name"] = message.name
    for index, call in enumerate(message.tool_calls):
        attributes[f"{prefix}.tool_calls.{index}.tool_call.id"] = call.id
        attributes[f"{prefix}.tool_calls.{index}.tool_call.function.name"] = call.name
        attributes[f"{prefix}.tool_calls.{index}.tool_call.function.arguments"] = call.arguments


def _latest(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """The last ones that there is room for, as the conversation's end is what is read; all are in the JSON."""
    room = SPREAD
    for index in range(len(messages) - 1, -1, -1):
        room -= 4 + 3 * len(messages[index].tool_calls)
        if room < 0:
            return messages[index + 1 :]
    return messages


def as_json(value: Any) -> str:
    """For a span's attribute."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half a character, or nested beyond orjson's depth: telling it must not end the run
        return json.dumps(value, default=str, skipkeys=True)
