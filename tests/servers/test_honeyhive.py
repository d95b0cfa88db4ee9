from uuid import uuid4

import pytest
from honeyhive import HoneyHive as Client
from honeyhive._generated.api_config import HTTPException
from honeyhive.models import UpdateEventRequest
from honeyhive.tracer.processing.otlp_exporter import HoneyHiveOTLPExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.servers.honeyhive import HoneyHive
from tests.servers.trees import tree


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
def test_the_sdks_exporter_reaches_it(honeyhive: HoneyHive, protocol: str) -> None:
    """Spans arrive in both of the SDK's formats; of those without a session id HoneyHive keeps nothing."""
    exporter = HoneyHiveOTLPExporter(
        protocol=protocol,
        endpoint=f"{honeyhive.url}/opentelemetry/v1/traces",
        headers={"Authorization": f"Bearer {honeyhive.api_key}"},
        timeout=5,
    )
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with (
        tracer.start_as_current_span("run", attributes={"honeyhive.session_id": str(uuid4()), "n": 2**60}),
        tracer.start_as_current_span("stray"),
    ):
        pass
    provider.shutdown()

    assert tree(honeyhive.spans()) == "run\n  stray"
    assert [(span.name, span.attributes["n"]) for span in honeyhive.kept()] == [("run", 2**60)]
    assert {request.is_json for request in honeyhive.requests} == {protocol == "http/json"}


def test_the_sdks_client_starts_a_session_and_updates_an_event(honeyhive: HoneyHive) -> None:
    """Both endpoints understand the SDK's bodies, and it understands their answers."""
    client = Client(api_key=honeyhive.api_key, base_url=honeyhive.url)
    started = client.sessions.start({"session": {"session_name": "chat", "source": "test"}})
    client.events.update(UpdateEventRequest(event_id=started.session_id, feedback={"rating": 1}))
    assert [(session["session_name"], session["session_id"]) for session in honeyhive.sessions] == [
        ("chat", started.session_id)
    ]
    assert honeyhive.updates == [{"event_id": started.session_id, "feedback": {"rating": 1}}]


def test_another_key_is_refused(honeyhive: HoneyHive) -> None:
    """`Bearer None`, which the SDK sends without a key, included."""
    client = Client(api_key="None", base_url=honeyhive.url)
    with pytest.raises(HTTPException, match="401"):
        client.sessions.start({"session": {"session_name": "chat"}})
    assert honeyhive.sessions == []
