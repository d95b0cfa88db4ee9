"""A local HoneyHive: what its SDK and its exporters send to, with a key that is checked.

It answers `POST /opentelemetry/v1/traces` (JSON and protobuf), `POST /session/start`, `POST /events` and
`PUT /events`. It knows nothing of the vendor's enrichment beyond what the SDK's own endpoints show.
"""

import json
from typing import Any
from uuid import UUID, uuid4

from tests.servers.otlp import Answer, Collector, Request
from tests.servers.trees import Span


class HoneyHive(Collector):
    """A `Collector` under HoneyHive's paths; `HH_API_URL` is its `url`, `HH_API_KEY` its `api_key`."""

    traces_path = "/opentelemetry/v1/traces"

    def __init__(self, *, api_key: str = "hh_test_key", host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host=host, port=port)
        self.api_key = api_key
        self._sessions: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._updates: list[dict[str, Any]] = []

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """The session of each `POST /session/start`."""
        with self._condition:
            return list(self._sessions)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event of each `POST /events`."""
        with self._condition:
            return list(self._events)

    @property
    def updates(self) -> list[dict[str, Any]]:
        """The body of each `PUT /events`: `event_id`, and what is to change."""
        with self._condition:
            return list(self._updates)

    def kept(self) -> list[Span]:
        """The spans that HoneyHive stores: those with a session id, a UUID. It drops the others."""
        return [span for span in self.spans() if _is_uuid(span.attributes.get("honeyhive.session_id"))]

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return Answer(401, b'{"error":"invalid api key"}')
        path = request.path.rstrip("/")
        try:
            match request.method, path:
                case "POST", "/session/start":
                    return self._start_session(request.json)
                case "POST", "/events":
                    self._events.append(request.json["event"])
                    return _json({"event_id": request.json["event"].get("event_id") or str(uuid4()), "success": True})
                case "PUT", "/events":
                    self._updates.append(dict(request.json))
                    return _json({})
                case _:
                    return super().answer(request)
        except (ValueError, KeyError, TypeError) as error:
            return Answer(400, json.dumps({"error": repr(error)}).encode())

    def _start_session(self, body: Any) -> Answer:
        session = dict(body["session"])
        session_id = session.setdefault("session_id", str(uuid4()))
        self._sessions.append(session)
        belongs_to = {"org_id": "org", "workspace_id": "workspace", "project_id": "project"}
        return _json(session | belongs_to | {"event_id": session_id})


def _json(body: dict[str, Any]) -> Answer:
    return Answer(200, json.dumps(body).encode())


def _is_uuid(value: Any) -> bool:
    try:
        UUID(value)
    except (ValueError, TypeError, AttributeError):
        return False
    return True
