"""Which addresses are connected to, on real sockets."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_address, ip_network

import httpcore
import pytest

from app.runs.addresses import AddressRefused, CheckedBackend, Resolve, is_public, is_within, resolve

PUBLIC = [
    "1.1.1.1",
    "100.63.255.255",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::808:808",
]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 nobody binds it
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "4000::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """What the internet has, also where it is wrapped."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    """Whatever is special, and whatever wraps it."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    ("address", "within"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("::ffff:10.0.0.1", True), ("fd00::1", True), ("64:ff9b::a00:1", False)],
)
def test_within(address: str, within: bool) -> None:
    """A mapped address is what it says; what a gateway would make of one is not known here."""
    assert is_within(ip_address(address), (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))) is within


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def came(listener: socket.socket) -> bool:
    """Whether somebody has connected."""
    with ExitStack() as stack:
        try:
            stack.enter_context(listener.accept()[0])
        except BlockingIOError:
            return False
        return True


class Names:
    """A resolver that answers in turn, the last for ever, and counts the questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def connect(listener: socket.socket, resolve: Resolve, *allowed: str, host: str = "hooks.example") -> None:
    networks = [ip_network(network) for network in allowed]
    backend = CheckedBackend(lambda address: is_within(address, networks), resolve)
    stream = await backend.connect_tcp(host, listener.getsockname()[1], timeout=5)
    await stream.aclose()


async def test_a_name_of_a_private_address_is_not_connected_to(listener: socket.socket) -> None:
    """As that of 127.0.0.1.nip.io, and as numbers that got this far."""
    for host, names in {"127.0.0.1.nip.io": Names(["127.0.0.1"]), "127.0.0.1": Names(["1.1.1.1"])}.items():
        with pytest.raises(AddressRefused):
            await connect(listener, names, host=host)
    with pytest.raises(AddressRefused):
        await connect(listener, resolve, host="localhost")
    assert not came(listener)


async def test_what_is_checked_is_what_is_connected_to(listener: socket.socket) -> None:
    """A name is looked up once a connection: one that means another address a moment later is never asked again."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    await connect(listener, names, "127.0.0.1")
    assert came(listener)
    assert names.asked == 1
    with pytest.raises(AddressRefused):
        await connect(listener, names, "127.0.0.1")
    assert names.asked == 2
    assert not came(listener)


async def test_the_others_of_a_name_are_left_out(listener: socket.socket) -> None:
    """One that may be connected to is found among those that may not, and behind one where nobody listens."""
    await connect(listener, Names(["169.254.169.254", "::1", "127.0.0.2", "127.0.0.1"]), "127.0.0.0/8")
    assert came(listener)


async def test_a_name_that_nobody_knows_is_a_failure_of_connecting(listener: socket.socket) -> None:
    """Whatever the system's resolver calls it."""
    with pytest.raises(httpcore.ConnectError) as caught:
        await connect(listener, resolve, "127.0.0.1", host="no-such-host.invalid")
    assert not isinstance(caught.value, AddressRefused)


async def test_no_address_is_refused(listener: socket.socket) -> None:
    """A resolver that answers with nothing."""
    with pytest.raises(AddressRefused):
        await connect(listener, Names([]), "127.0.0.1")
