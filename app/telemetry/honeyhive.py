"""HoneyHive, behind its own SDK's exporter and nothing else of it.

The SDK's span processor costs 330 µs a span and its session calls block; so its tracer is only asked for the
exporter, which sits behind a plain batch processor, and the few attributes HoneyHive needs are written here.
Sessions are made by the backend from the spans (`honeyhive.session_auto_create`).
"""

import logging
import os
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import requests
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from app.settings import Settings
from app.telemetry.delivery import Delivery
from app.telemetry.identity import Identity, identity_of
from app.telemetry.metrics import Metrics
from app.telemetry.parcels import Post

TIMEOUT_S = 10
"""For one batch: connecting and answering."""


class HoneyHiveProcessor(BatchSpanProcessor):
    """Sends the spans that belong to a run: HoneyHive drops those without a session."""

    def __init__(
        self, exporter: SpanExporter, source: str, mapping: Literal["conversation", "request"] = "conversation"
    ) -> None:
        super().__init__(exporter)
        self._source = source
        self._mapping: Literal["conversation", "request"] = mapping

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        identity = identity_of(parent_context)
        if identity is not None:
            span.set_attributes(self._attributes(identity))

    def on_end(self, span: ReadableSpan) -> None:
        if "honeyhive.session_id" in (span.attributes or {}):
            super().on_end(span)

    def _attributes(self, identity: Identity) -> dict[str, str | bool]:
        attributes: dict[str, str | bool] = {
            "honeyhive.session_id": session_uuid(identity, self._mapping),
            "honeyhive.session_name": identity.agent,
            "honeyhive.session_auto_create": True,
            "honeyhive.source": self._source,
            "honeyhive_metadata.run_id": identity.run_id,
            "honeyhive_user_properties.tenant": identity.tenant,
        }
        attributes |= {f"honeyhive_metadata.{key}": value for key, value in identity.metadata.items()}
        if identity.user_id is not None:
            attributes["honeyhive_user_properties.user_id"] = identity.user_id
        return attributes


def session_uuid(identity: Identity, mapping: Literal["conversation", "request"]) -> str:
    """What is a session to HoneyHive, as the UUID that it asks for: the conversation, or the run alone."""
    if mapping == "request":
        return identity.run_id
    try:
        return str(UUID(identity.session_id))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"waggle:{identity.tenant}:{identity.session_id}"))


def processor(settings: Settings, metrics: Metrics) -> HoneyHiveProcessor:
    """Blocks for the import of the SDK (1.3 s), never for the network: call it in a thread."""
    assert settings.hh_api_key is not None  # noqa: S101 without a key it would post prompts with `Bearer None`
    from honeyhive import HoneyHiveTracer  # noqa: PLC0415 imported by those who use it
    from honeyhive.tracer.lifecycle import unregister_tracer_from_atexit_cleanup  # noqa: PLC0415

    _through_our_logging()
    # Protobuf retries 429 and 503, JSON drops the batch; the SDK ignores the argument of this name.
    os.environ.setdefault("HH_OTLP_PROTOCOL", "http/protobuf")
    tracer: Any = HoneyHiveTracer.init(
        api_key=settings.hh_api_key.get_secret_value(),
        server_url=settings.hh_api_url,
        source=settings.hh_source,
        session_id=str(uuid4()),
        skip_backend_session_creation=True,
        requests_session=_Deadlines(),
    )
    unregister_tracer_from_atexit_cleanup(tracer)  # it would wait for a hanging backend
    delivery = Delivery(Post.of(tracer.otlp_exporter), "honeyhive", metrics)
    return delivery.watched(HoneyHiveProcessor(delivery, settings.hh_source, settings.hh_session))


class _Deadlines(requests.Session):
    """A session that never waits for ever, and tries nothing again: the exporter does, for as long as its timeout."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = TIMEOUT_S
        return super().request(*args, **kwargs)


def _through_our_logging() -> None:
    """The SDK gives each of its loggers, whenever it makes one, a handler that prints JSON on stdout.

    It says nothing at all through a logger without a handler: hence one that does nothing.
    """
    from honeyhive.utils.logger import HoneyHiveLogger  # noqa: PLC0415 imported by those who use it

    def plain(self: Any, name: str, **_: Any) -> None:
        self.logger, self.verbose = logging.getLogger(name), None
        _let_through(self.logger)

    HoneyHiveLogger.__init__ = plain  # type: ignore[method-assign]
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("honeyhive")]:
        _let_through(logging.getLogger(name))


def _let_through(logger: logging.Logger) -> None:
    logger.handlers[:] = [logging.NullHandler()]
    logger.propagate = True
