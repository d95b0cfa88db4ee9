"""The URL of a webhook's receiver, taken apart once: what is checked here is what is connected to.

Only what RFC 3986 spells out is read, by no lenient parser: what two programs could read differently is refused, with
the reason. Whether a name's addresses are public is known only when it is connected to (see `addresses`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from app.runs.addresses import Address, Network, is_public, is_within

MAX_LENGTH = 2048
LOOPBACK: Sequence[Address] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<target>.*)")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"(?!.{254})(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""What resolvers may read as an IPv4 address: `2130706433`, `0x7f.1`, `127.1` (WHATWG URL, "ends in a number")."""


class UrlRefused(Exception):
    """The message says what is wrong with the URL, and quotes none of it: it may hold a secret."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """An HTTP endpoint that may be sent to, as far as can be told without looking its name up."""

    scheme: str
    host: str
    """A name in lower case, or an address without brackets."""
    port: int | None
    """None: the scheme's own."""
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def receiver_of(url: str, allowed: Sequence[Network]) -> Receiver:
    """Raises UrlRefused. `allowed` are the private networks that may be reached, and reached in the clear."""
    if len(url) > MAX_LENGTH:
        raise UrlRefused(f"A URL has at most {MAX_LENGTH} characters.")
    if not _CHARACTERS.fullmatch(url):
        raise UrlRefused("A URL has ASCII characters alone, the others percent-encoded; a host's name in Punycode.")
    parts = _PARTS.fullmatch(url)
    if parts is None or (scheme := parts["scheme"].lower()) not in {"https", "http"}:
        raise UrlRefused("It must begin with https:// and have a host.")
    if "#" in url:
        raise UrlRefused("It must not have a fragment.")
    if "@" in parts["authority"]:
        raise UrlRefused("It must not hold credentials: verify the signature instead.")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise UrlRefused("It must have a host, which is a name or an IP address, and may have a port.")
    port = None if authority["port"] is None else int(authority["port"])
    if port is not None and not 0 < port < 65_536:
        raise UrlRefused("A port is a number from 1 to 65535.")
    host = _host(authority["host"].lower(), scheme, allowed)
    target = parts["target"]
    return Receiver(scheme, host, port, target if target.startswith("/") else f"/{target}")


def origin_of(url: str) -> str:
    """For log lines: credentials, paths and queries hold secrets as often as not."""
    parts = _PARTS.fullmatch(url)
    return "?" if parts is None else f"{parts['scheme']}://{parts['authority'].rpartition('@')[2]}"


def _host(host: str, scheme: str, allowed: Sequence[Network]) -> str:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return _name(host, scheme, allowed)
    if is_within(address, allowed):
        return str(address)
    if not is_public(address):
        raise UrlRefused("That address is not public; WEBHOOK_ALLOW may list its network.")
    _refuse_clear_text(scheme)
    return str(address)


def _name(host: str, scheme: str, allowed: Sequence[Network]) -> str:
    if _NUMBER.fullmatch(host) or ":" in host:
        raise UrlRefused("An IPv4 address is four decimal numbers, an IPv6 address is in brackets.")
    if not _NAME.fullmatch(host):
        raise UrlRefused("The host's name is not one.")
    is_local = host == "localhost" or host.endswith(".localhost")
    if is_local and not any(is_within(address, allowed) for address in LOOPBACK):
        raise UrlRefused("localhost is not public; WEBHOOK_ALLOW may list 127.0.0.1.")
    if not allowed:  # else its addresses decide, which are not known yet
        _refuse_clear_text(scheme)
    return host


def _refuse_clear_text(scheme: str) -> None:
    if scheme != "https":
        raise UrlRefused("It must be https; http is for the networks in WEBHOOK_ALLOW alone.")
