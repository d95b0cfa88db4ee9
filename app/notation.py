"""How values of settings are written: lists, networks, keys for webhooks."""

import binascii
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches that address or name."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def key_bytes(secret: str) -> int:
    """The length of the key in a `whsec_…`, padded or not; 0 where there is none."""
    encoded = secret.removeprefix("whsec_")
    if encoded == secret:
        return 0
    try:
        return len(binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4), strict_mode=True))
    except ValueError:
        return 0


def parts_of(value: str) -> tuple[str, ...]:
    """What commas part."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def network(value: object) -> IPv4Network | IPv6Network:
    """An address is the network that holds it alone; the bits beyond a network's prefix do not matter."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(str(value), strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is neither an IP address nor a network such as 10.0.0.0/8") from None
