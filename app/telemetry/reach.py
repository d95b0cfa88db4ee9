"""Whether a trace backend answers: one empty batch, sent as its exporter would send a full one. For `waggle doctor`.

It is sent with `requests`, as the exporters do: proxies, certificates and .netrc count for both alike.
"""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import BadStatusLine, RemoteDisconnected
from typing import Literal
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import LocationParseError

from app.settings import Settings
from app.telemetry import otlp

TIMEOUT_S = 5
"""For connecting, and for every wait after that."""

Outcome = Literal[
    "reached",
    "rejected",  # 4xx to an empty batch: the real one will tell
    "unauthorised",
    "no such path",
    "redirected",
    "web page",
    "busy",
    "failing",
    "malformed",
    "unknown host",
    "nobody listens",
    "unreachable",
    "silent",
    "not http",
    "hung up",
    "tls",
    "proxy",
    "no certificate file",
]


@dataclass(frozen=True, slots=True)
class Backend:
    """Where traces are to go."""

    name: Literal["otlp", "honeyhive"]
    url: str
    headers: Mapping[str, str] = field(repr=False)
    certificate: str = ""
    """A file of authorities to trust instead of the usual ones."""

    @property
    def shown(self) -> str:
        """The address without credentials or query."""
        try:
            parts = urlsplit(self.url)
            where = parts.hostname or ""
            where += f":{parts.port}" if parts.port else ""
        except ValueError:
            return "an address that is none"
        return f"{parts.scheme}://{where}{parts.path}" if parts.scheme and where else parts.path


@dataclass(frozen=True, slots=True)
class Contact:
    """How an attempt ended; `status` where there was an answer."""

    outcome: Outcome
    status: int | None = None


def backends(settings: Settings, variables: Mapping[str, str]) -> list[Backend]:
    """Those that are switched on; `variables` may name OpenTelemetry's certificate files."""
    found = []
    endpoint = otlp.endpoint(
        "traces", settings.otel_exporter_otlp_traces_endpoint, settings.otel_exporter_otlp_endpoint
    )
    if endpoint is not None:
        headers = otlp.headers(settings.otel_exporter_otlp_traces_headers, settings.otel_exporter_otlp_headers)
        certificate = next(filter(None, map(variables.get, _CERTIFICATES)), "")
        found.append(Backend("otlp", endpoint, headers, certificate))
    if settings.hh_api_key is not None:
        key = settings.hh_api_key.get_secret_value()
        url = settings.hh_api_url.rstrip("/") + "/opentelemetry/v1/traces"
        found.append(Backend("honeyhive", url, {"Authorization": f"Bearer {key}"}))
    return found


_CERTIFICATES = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")


def contact(backend: Backend) -> Contact:
    """Blocks, for some TIMEOUT_S or longer: a slow name server has no deadline of ours."""
    try:
        answer = requests.post(
            backend.url,
            data=b"",
            headers={"Content-Type": "application/x-protobuf", **backend.headers},
            timeout=TIMEOUT_S,
            allow_redirects=False,
            verify=backend.certificate or True,
        )
    except (ValueError, LocationParseError):  # what `requests` raises for addresses and headers that are none
        return Contact("malformed")
    except requests.RequestException as error:
        return Contact(_failure(error))
    except OSError:
        return Contact("no certificate file")
    return Contact(_answered(answer), answer.status_code)


def _answered(answer: requests.Response) -> Outcome:
    html = answer.headers.get("Content-Type", "").startswith("text/html")
    match answer.status_code:
        case status if 200 <= status < 300:
            return "web page" if html else "reached"
        case status if 300 <= status < 400:
            return "redirected"
        case 401 | 403:
            return "unauthorised"
        case 404 | 405:
            return "no such path"
        case 429 | 503:
            return "busy"
        case status if status < 500:
            return "rejected"
        case _:
            return "failing"


def _failure(error: requests.RequestException) -> Outcome:
    match error:
        case requests.exceptions.ProxyError():
            return "proxy"
        case requests.exceptions.SSLError():
            return "tls"
        case requests.Timeout():
            return "silent"
    causes = list(_causes(error))
    for kind, outcome in _BY_CAUSE:
        if any(isinstance(cause, kind) for cause in causes):
            return outcome
    return "unreachable"


_BY_CAUSE: tuple[tuple[type[BaseException], Outcome], ...] = (
    (socket.gaierror, "unknown host"),
    (ConnectionRefusedError, "nobody listens"),
    (RemoteDisconnected, "hung up"),
    (BadStatusLine, "not http"),
    (ConnectionResetError, "hung up"),
    (TimeoutError, "silent"),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """It, what it was raised from or amid, and what it carries."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        each = todo.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
