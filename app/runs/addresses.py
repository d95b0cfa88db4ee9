"""Connections to public addresses alone, for URLs that a caller chose.

A name is looked up here, and what is connected to is an address that was looked at, never the name: one that means a
public address when it is checked and a private one a moment later (DNS rebinding) gains nothing. TLS and `Host` still
have the name. Refusing names and spellings of addresses beforehand (see `receivers`) is a courtesy to the caller; the
barrier is here.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore
from anyio import to_thread

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host's port, the best first; raises OSError when there are none."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""What IANA has given out (ipv6-address-space); `is_global` knows the exceptions within, not all of those around it."""
NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052; its last 32 bits are the IPv4 address that a gateway connects to."""
ADDRESSES_EACH = 2
"""How many IPv4, and how many IPv6 addresses of a name are tried."""


class AddressRefused(httpcore.ConnectError):
    """A host has no address that may be connected to."""


def is_public(address: Address) -> bool:
    """Whether the internet has it, whatever it is wrapped in."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if (inner := _embedded(address)) is not None:
        return is_public(inner)
    return address in GLOBAL_UNICAST and address.is_global


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """An IPv4 address within IPv6 (`::ffff:10.0.0.1`) is what it says: the kernel connects to that."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in networks)


async def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver, in a thread that nobody waits for longer than the attempt lasts."""
    found = await to_thread.run_sync(
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), abandon_on_cancel=True
    )
    return [str(where[0]) for *_, where in found]


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """TCP to addresses that `permits` says yes to."""

    def __init__(self, permits: Callable[[Address], bool], resolve: Resolve) -> None:
        self._permits = permits
        self._resolve = resolve
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """To the first address that answers; they share the time. Raises ConnectError or ConnectTimeout."""
        addresses = await self._addresses(host, port)
        share = timeout and timeout / len(addresses)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._tcp.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or AddressRefused("no address")

    async def sleep(self, seconds: float) -> None:
        await self._tcp.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """Those that are permitted, as numbers."""
        try:
            found = [ip_address(address) for address in await self._found(host, port)]
        except OSError as error:
            raise httpcore.ConnectError("the host's name is unknown") from error
        permitted = [address for address in found if self._permits(address)]
        if not permitted:
            raise AddressRefused("the host has no address that may be connected to")
        four = [address for address in permitted if address.version == 4][:ADDRESSES_EACH]
        six = [address for address in permitted if address.version == 6][:ADDRESSES_EACH]
        return [address for address in permitted if address in four or address in six]

    async def _found(self, host: str, port: int) -> Sequence[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            return await self._resolve(host, port)


def checked_backends(allowed: Sequence[Network], resolve: Resolve) -> dict[str, CheckedBackend]:
    """By scheme: over TLS to whatever is public or allowed, in the clear to what is allowed alone."""
    return {
        "https": CheckedBackend(lambda address: is_public(address) or is_within(address, allowed), resolve),
        "http": CheckedBackend(lambda address: is_within(address, allowed), resolve),
    }


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one end up at."""
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
