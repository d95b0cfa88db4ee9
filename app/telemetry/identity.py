"""Whose run a span belongs to, on every span of it.

Span attributes do not inherit, and baggage would leak to the model provider and could be set from outside. So
the identity travels under a private key of the OpenTelemetry context, which AutoGen's background tasks copy,
and a span processor writes it on each span as it starts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import orjson
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from app.telemetry.steps import CHAIN, tool_call_of

_KEY = otel_context.create_key("waggle.identity")

_KINDS = {
    operation: {"openinference.span.kind": kind, "honeyhive_event_type": event}
    for operation, kind, event in (
        ("invoke_agent", "AGENT", "chain"),
        ("invoke_workflow", "CHAIN", "chain"),
        ("execute_tool", "TOOL", "tool"),
        ("chat", "LLM", "model"),
    )
}
"""A GenAI operation's span kind for OpenInference, and its event type for HoneyHive."""


@dataclass(frozen=True)
class Identity:
    """Whose run it is."""

    run_id: str
    session_id: str
    agent: str
    tenant: str
    user_id: str | None
    metadata: dict[str, str] = field(default_factory=dict)

    @cached_property
    def attributes(self) -> dict[str, str]:
        """What every span of the run carries: OpenInference's names, the GenAI conventions' and our own."""
        attributes = {
            "session.id": self.session_id,
            "gen_ai.conversation.id": self.session_id,
            "waggle.run.id": self.run_id,
            "waggle.agent": self.agent,
            "waggle.tenant": self.tenant,
        }
        if self.user_id is not None:
            attributes["user.id"] = self.user_id
        if self.metadata:
            attributes["metadata"] = orjson.dumps(self.metadata).decode()
            attributes |= {f"waggle.metadata.{key}": value for key, value in self.metadata.items()}
        return attributes


def identity_of(context: Context | None) -> Identity | None:
    """The identity in that context; in the current one, where it is None."""
    found = otel_context.get_value(_KEY, context)
    return found if isinstance(found, Identity) else None


def with_identity(identity: Identity) -> Context:
    """The current context, with that identity."""
    return otel_context.set_value(_KEY, identity)


@contextmanager
def carrying(identity: Identity) -> Iterator[None]:
    """Every span that starts inside, in this task and in those it starts, carries the identity."""
    token = otel_context.attach(with_identity(identity))
    try:
        yield
    finally:
        otel_context.detach(token)


class IdentityProcessor(SpanProcessor):
    """Writes the identity, and the kinds that follow from a GenAI operation, on each span that starts."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        identity = identity_of(parent_context)
        if identity is None:
            return
        kinds = _KINDS.get(str((span.attributes or {}).get("gen_ai.operation.name")))
        if kinds is None and span.kind is trace.SpanKind.SERVER:
            kinds = CHAIN  # else HoneyHive takes an HTTP span for a tool
        span.set_attributes(identity.attributes if kinds is None else identity.attributes | kinds)
        if span.name.startswith("execute_tool ") and (call := tool_call_of(parent_context)) is not None:
            call.span_starts(span)
