"""Each trace backend: whether it answers, and takes who we are."""

from dataclasses import dataclass

from app.doctor.result import Result, Status, skipped
from app.doctor.threads import apart
from app.telemetry.reach import Backend, Contact, Outcome, contact

SWITCH = {"otlp": "OTEL_EXPORTER_OTLP_ENDPOINT", "honeyhive": "HH_API_KEY"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an outcome means, and what to do about it at an OTLP endpoint, and at HoneyHive."""

    said: str
    otlp: str
    honeyhive: str


PORT = "OTLP over HTTP is port 4318; 4317 is gRPC, which Waggle does not speak"
OFF = {name: f"or unset {variable} to send no traces there" for name, variable in SWITCH.items()}
INSIDE = "in a container, localhost is the container itself"

MEANINGS: dict[Outcome, Meaning] = {
    "rejected": Meaning(
        "does not take an empty batch",
        "Look at otlp-delivery: whether it takes a full one.",
        "Look at honeyhive-delivery: whether it takes a full one.",
    ),
    "unauthorised": Meaning(
        "refuses the credentials",
        "Set OTEL_EXPORTER_OTLP_HEADERS to what the backend asks for: name=value, with %20 for a blank, as in "
        "Authorization=Bearer%20key.",
        "Set HH_API_KEY to a key of the project that is wanted, and HH_API_URL to where the project is.",
    ),
    "no such path": Meaning(
        "has nothing at that path",
        "OTEL_EXPORTER_OTLP_ENDPOINT gets /v1/traces appended; where the backend's path is another, write the whole "
        "address into OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.",
        "Set HH_API_URL to the address of HoneyHive's API, without a path.",
    ),
    "redirected": Meaning(
        "sends elsewhere, where a batch may not arrive",
        "Write the address it leads to into OTEL_EXPORTER_OTLP_ENDPOINT.",
        "Write the address it leads to into HH_API_URL.",
    ),
    "web page": Meaning(
        "answers with a web page, and keeps no spans",
        f"Set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port, not to its web page's: {PORT}.",
        "Set HH_API_URL to the address of HoneyHive's API, not of its web page.",
    ),
    "busy": Meaning(
        "is busy; batches are tried again, then dropped",
        "Try again; raise the collector's limits if it stays so.",
        "Try again; ask for higher limits if it stays so.",
    ),
    "failing": Meaning(
        "fails",
        "Look into the collector's own log; spans are dropped until it recovers.",
        "HoneyHive's status page may know more; spans are dropped until it recovers.",
    ),
    "malformed": Meaning(
        "is not an address that can be called",
        "Write OTEL_EXPORTER_OTLP_ENDPOINT with its scheme, as in http://host:4318, and no line breaks in its headers.",
        "Write HH_API_URL with its scheme, as in https://api.honeyhive.ai, and HH_API_KEY without line breaks.",
    ),
    "unknown host": Meaning(
        "names a host that is not known",
        f"Correct the host in OTEL_EXPORTER_OTLP_ENDPOINT, {OFF['otlp']}.",
        f"Correct the host in HH_API_URL, {OFF['honeyhive']}.",
    ),
    "nobody listens": Meaning(
        "has nobody listening",
        f"Start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT ({PORT}; {INSIDE}), {OFF['otlp']}.",
        f"Correct HH_API_URL ({INSIDE}), {OFF['honeyhive']}.",
    ),
    "unreachable": Meaning(
        "cannot be reached",
        f"Correct OTEL_EXPORTER_OTLP_ENDPOINT, or the network between, {OFF['otlp']}.",
        f"Let this machine reach it (HTTPS_PROXY names a proxy), or correct HH_API_URL, {OFF['honeyhive']}.",
    ),
    "silent": Meaning(
        "does not answer",
        f"Correct OTEL_EXPORTER_OTLP_ENDPOINT, or look why the collector hangs, {OFF['otlp']}.",
        f"Let this machine reach it (HTTPS_PROXY names a proxy), or correct HH_API_URL, {OFF['honeyhive']}.",
    ),
    "not http": Meaning(
        "does not speak HTTP there, as a gRPC port does not",
        f"Set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's HTTP port: {PORT}.",
        "Correct HH_API_URL.",
    ),
    "hung up": Meaning(
        "hangs up without an answer, as gRPC ports and TLS ports do",
        f"Set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's HTTP port ({PORT}), with https:// where it has TLS.",
        "Correct HH_API_URL: https:// where it has TLS, http:// where it has none.",
    ),
    "tls": Meaning(
        "fails at TLS",
        "If its certificate is of your own authority, name the authority's file in OTEL_EXPORTER_OTLP_CERTIFICATE; if "
        "it speaks plain HTTP, write http:// in OTEL_EXPORTER_OTLP_ENDPOINT.",
        "If its certificate is of your own authority, or a proxy's, name its file in REQUESTS_CA_BUNDLE; if it "
        "speaks plain HTTP, write http:// in HH_API_URL.",
    ),
    "proxy": Meaning(
        "cannot be reached through the proxy",
        "Correct HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY.",
        "Correct HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY.",
    ),
    "no certificate file": Meaning(
        "cannot be called: the file of certificates cannot be read",
        "Correct OTEL_EXPORTER_OTLP_CERTIFICATE.",
        "Correct REQUESTS_CA_BUNDLE.",
    ),
}
UNCERTAIN = {"rejected", "redirected", "busy"}
"""The delivery of the probe's spans will tell."""


def switched_off(name: str) -> Result:
    return skipped(name, f"{SWITCH[name]} is not set: no traces go there")


async def reached(backend: Backend) -> Result:
    """One empty batch, and what came back."""
    return _told(backend, await apart(lambda: contact(backend)))


def hangs(backend: Backend) -> Result:
    return _told(backend, Contact("silent"))


def _told(backend: Backend, found: Contact) -> Result:
    status = f" ({found.status})" if found.status else ""
    if found.outcome == "reached":
        return Result(backend.name, "ok", f"{backend.shown} answers{status}")
    meaning = MEANINGS[found.outcome]
    advice = meaning.otlp if backend.name == "otlp" else meaning.honeyhive
    severity: Status = "warn" if found.outcome in UNCERTAIN else "fail"
    return Result(backend.name, severity, f"{backend.shown} {meaning.said}{status}", advice)
