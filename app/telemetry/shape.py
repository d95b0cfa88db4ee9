"""One vocabulary: whatever made a span, what leaves is uniform (GenAI's conventions beside OpenInference's).

A finished span cannot be changed, so what every destination gets is a copy: names and attributes translated,
content let through or not. AutoGen's spans carry names that were given up since, OpenInference's none of GenAI's,
Traceloop's none of OpenInference's.
"""

import sys
from asyncio import CancelledError
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

import orjson
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status, StatusCode

from app.telemetry.content import IDENTITIES, Content
from app.telemetry.pause import PAUSED, REPLAYED, cut, replayed
from app.telemetry.prices import price
from app.telemetry.steps import UNKNOWN_TOOL

_RENAMED = {
    "gen_ai.usage.prompt_tokens": "gen_ai.usage.input_tokens",
    "gen_ai.usage.completion_tokens": "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "gen_ai.usage.cache_write.input_tokens",
}
"""Names that the conventions have given up: the new one takes the value, where it has none."""
_DROPPED = {"gen_ai.system", "gen_ai.usage.total_tokens", "llm.usage.total_tokens"}

_BESIDE = {
    "llm.model_name": "gen_ai.request.model",
    "llm.provider": "gen_ai.provider.name",
    "llm.system": "gen_ai.provider.name",
    "llm.token_count.prompt": "gen_ai.usage.input_tokens",
    "llm.token_count.completion": "gen_ai.usage.output_tokens",
    "llm.token_count.prompt_details.cache_read": "gen_ai.usage.cache_read.input_tokens",
    "llm.token_count.prompt_details.cache_write": "gen_ai.usage.cache_write.input_tokens",
    "llm.token_count.completion_details.reasoning": "gen_ai.usage.reasoning.output_tokens",
    "session.id": "gen_ai.conversation.id",
    "tool.name": "gen_ai.tool.name",
}
"""OpenInference's name and GenAI's for the same thing: whichever is there is told under both names."""

_PROVIDERS = {
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "aws": "aws.bedrock",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""OpenInference's name of a provider, where `gen_ai.provider.name` has another."""

_EVENTS = {"LLM": "model", "TOOL": "tool"}
"""OpenInference's kind of a span and HoneyHive's of an event, which guesses where it is not told; others are chains."""

_TOOL_NAMES = {"gen_ai.tool.name", "tool.name"}
"""Content where there is no such tool: a model made it up."""
_ENCODED = {"url.query", "url.full", "http.target", "http.url"}
"""Percent-encoded, so that no pattern would see what is in them."""


def shaped(span: ReadableSpan, content: Content) -> ReadableSpan:
    """The span as it leaves."""
    attributes: dict[str, Any] = span.attributes.copy()  # type: ignore[union-attr]  # dict() would take one by one
    status = _status(span, attributes)
    if replayed():
        attributes[REPLAYED] = True
    _translate(attributes)
    name = _name(span, attributes)
    if content.policy == "none" and UNKNOWN_TOOL in attributes:
        name, attributes = "execute_tool", {key: attributes[key] for key in attributes if key not in _TOOL_NAMES}
    return ReadableSpan(
        name=content.text(name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_allowed(attributes, content),
        events=[_event(event, content) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(status.status_code, _description(status, attributes, content)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _translate(attributes: dict[str, Any]) -> None:
    for old, new in _RENAMED.items():
        if old in attributes:
            attributes.setdefault(new, attributes[old])
            del attributes[old]
    _tell_kind(attributes)
    if attributes.get("openinference.span.kind") == "LLM":
        attributes.setdefault("gen_ai.operation.name", "chat")
        if "gen_ai.request.model" not in attributes and (asked := _asked_model(attributes)) is not None:
            attributes["gen_ai.response.model"] = attributes.get("llm.model_name", asked)
            attributes["llm.model_name"] = asked
        if "llm.finish_reason" in attributes:
            attributes.setdefault("gen_ai.response.finish_reasons", (attributes["llm.finish_reason"],))
    for openinference, genai in _BESIDE.items():
        if genai in attributes:
            attributes.setdefault(openinference, attributes[genai])
        elif openinference in attributes:
            attributes[genai] = attributes[openinference]
    for name in _DROPPED:
        attributes.pop(name, None)
    if attributes.get("openinference.span.kind") == "LLM":
        _tell_provider_and_cost(attributes)
    if "waggle.run.error" in attributes:  # why the run failed; HTTP's instrumentation has only the status by then
        attributes["error.type"] = attributes["waggle.run.error"]


def _tell_kind(attributes: dict[str, Any]) -> None:
    if "openinference.span.kind" not in attributes and attributes.get("gen_ai.operation.name") == "chat":
        attributes["openinference.span.kind"] = "LLM"
    if "waggle.run.id" in attributes:
        kind = attributes.setdefault("openinference.span.kind", "CHAIN")
        attributes.setdefault("honeyhive_event_type", _EVENTS.get(str(kind), "chain"))


def _tell_provider_and_cost(attributes: dict[str, Any]) -> None:
    """Gemini through OpenAI's SDK is Google's, whatever its instrumentor says; and no instrumentor tells a cost."""
    told, model = (str(attributes.get(f"gen_ai.{name}", "")) for name in ("provider.name", "request.model"))
    of_google = told == "openai" and model.startswith("gemini-")
    provider = "gcp.gemini" if of_google else _PROVIDERS.get(told, told)
    if provider:
        attributes |= dict.fromkeys(("gen_ai.provider.name", "llm.provider", "llm.system"), provider)
    tokens = [attributes.get(f"gen_ai.usage.{kind}_tokens", 0) for kind in ("input", "output", "cache_read.input")]
    if "llm.cost.total" in attributes or not all(isinstance(count, int) for count in tokens):
        return
    if (cost := price(provider, model, *tokens)) is not None:
        attributes["llm.cost.total"] = cost


def _asked_model(attributes: Mapping[str, Any]) -> str | None:
    """OpenInference names the model that answered; the one that was asked is among the parameters."""
    try:
        model = orjson.loads(attributes.get("llm.invocation_parameters", "")).get("model")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return model if isinstance(model, str) else None


def _name(span: ReadableSpan, attributes: Mapping[str, Any]) -> str:
    """An instrumentor's model call is named as ours: `chat {model}`."""
    if attributes.get("gen_ai.operation.name") == "chat" and "gen_ai.request.model" in attributes:
        return f"chat {attributes['gen_ai.request.model']}"
    return span.name


def _status(span: ReadableSpan, attributes: dict[str, Any]) -> Status:
    """A span that a cancellation or a pause ended says so: neither AutoGen nor the SDK marks it."""
    error = sys.exc_info()[1]
    if span.status.status_code is StatusCode.ERROR:
        attributes.setdefault("error.type", _failure(span))
    if span.status.status_code is not StatusCode.UNSET:
        return span.status
    if cut(error):
        attributes[PAUSED] = True
    elif isinstance(error, CancelledError):
        attributes.setdefault("error.type", "CancelledError")
        return Status(StatusCode.ERROR, "CancelledError")
    return span.status


def _failure(span: ReadableSpan) -> str:
    """What a span failed with whose maker tells it by an exception's event alone, or by none."""
    for event in reversed(span.events):
        if (kind := (event.attributes or {}).get("exception.type")) is not None:
            return str(kind).rpartition(".")[2]
    return "_OTHER"


def _description(status: Status, attributes: Mapping[str, Any], content: Content) -> str | None:
    """An exception's text, as a rule: where no content may be told, its type."""
    if content.policy == "none" and status.description is not None:
        return str(attributes.get("error.type", "error"))
    return status.description and content.text(status.description)


def _allowed(attributes: Mapping[str, Any], content: Content) -> dict[str, Any]:
    whole = content.whole
    return {
        name: value
        if isinstance(value, str) and len(value) <= whole and value.isascii()
        else _said(name, value, content)
        for name, value in attributes.items()
        if content.may_show(name)
    }


def _said(name: str, value: Any, content: Content) -> Any:
    if isinstance(value, str):
        value = unquote_plus(value) if name in _ENCODED and content.patterns else value
        return content.text(value, identity=name in IDENTITIES)
    if isinstance(value, tuple | list) and value and isinstance(value[0], str):
        return tuple(content.text(item) for item in value)
    return value


def _event(event: Event, content: Content) -> Event:
    return Event(content.text(event.name), _allowed(event.attributes or {}, content), event.timestamp)
