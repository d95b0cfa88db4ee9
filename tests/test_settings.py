"""Settings whose mistakes would otherwise show when it is too late."""

import base64
from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings


def key(length: int) -> str:
    return "whsec_" + base64.b64encode(b"\xfb" * length).decode()


def refused(**values: Any) -> str:
    """What the one error says, as the command line prints it."""
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, **values)
    [error] = caught.value.errors()
    return error["msg"].removeprefix("Value error, ")


def test_networks_are_parsed() -> None:
    """Addresses are networks of one; what is beyond a prefix does not matter."""
    settings = Settings(_env_file=None, webhook_allow="10.1.2.3/8, 127.0.0.1,fd00::/8,")
    assert settings.webhook_allow == tuple(map(ip_network, ("10.0.0.0/8", "127.0.0.1/32", "fd00::/8")))


@pytest.mark.parametrize("network", ["localhost", "10.0.0.0/33", "http://10.0.0.1", "10.0.0", "*"])
def test_what_is_no_network_is_named(network: str) -> None:
    """The error quotes the part that is wrong."""
    assert refused(webhook_allow=f"127.0.0.1,{network}") == (
        f"{network!r} is neither an IP address nor a network such as 10.0.0.0/8"
    )


@pytest.mark.parametrize("secret", [key(24), key(64), key(25), key(25).rstrip("=")])
def test_a_secret_of_the_standard_is_taken(secret: str) -> None:
    """24 to 64 bytes, padded or not."""
    settings = Settings(_env_file=None, webhook_secret=secret)
    assert settings.webhook_secret is not None
    assert settings.webhook_secret.get_secret_value() == secret


@pytest.mark.parametrize(
    "secret",
    [
        key(23),
        key(65),
        key(32).removeprefix("whsec_"),
        "whsec_",
        "whsec_" + base64.urlsafe_b64encode(b"\xfb" * 32).decode(),
        "whsec_" + "é" * 32,
        key(32) + "\n",
        "correct horse battery staple",
    ],
)
def test_a_secret_that_is_none_is_not_quoted(secret: str) -> None:
    """Neither is one that is too short, too long, or spelled otherwise than every library decodes it."""
    said = refused(webhook_secret=secret)
    assert said.startswith("It must be `whsec_` and the base64 of 24 to 64 random bytes")
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, webhook_secret=secret)
    assert secret.removeprefix("whsec_") == "" or repr(secret) not in str(caught.value)
