from ipaddress import ip_network

import pytest

from app.runs.receivers import MAX_LENGTH, Receiver, UrlRefused, origin_of, receiver_of

INSIDE = (ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8"), ip_network("::1"))

REFUSED = {
    "loopback": "https://127.0.0.1/",
    "loopback elsewhere": "https://127.8.9.10/",
    "decimal": "http://2130706433/",
    "decimal over TLS": "https://2130706433/",
    "hex": "https://0x7f000001/",
    "hex, short": "http://0x7f.1/",
    "octal": "https://0177.0.0.1/",
    "octal, whole": "https://017700000001/",
    "short": "https://127.1/",
    "too many parts": "https://1.2.3.4.5/",
    "beyond a byte": "https://256.256.256.256/",
    "unspecified": "https://0.0.0.0/",
    "zero": "https://0/",
    "private 10": "https://10.1.2.3/",
    "private 172": "https://172.16.0.1/",
    "private 192": "https://192.168.1.1:8443/",
    "carrier's": "https://100.64.0.1/",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "broadcast": "https://255.255.255.255/",
    "multicast": "https://224.0.0.1/",
    "documentation": "https://192.0.2.1/",
    "IPv6 loopback": "https://[::1]/",
    "IPv6 loopback, at length": "https://[0:0:0:0:0:0:0:1]/",
    "IPv6 unspecified": "https://[::]/",
    "IPv4 in IPv6": "https://[::ffff:127.0.0.1]/",
    "IPv4 in IPv6, hex": "https://[::ffff:7f00:1]/",
    "IPv4 compatible": "https://[::127.0.0.1]/",
    "IPv6 unique local": "https://[fd00:ec2::254]/",
    "IPv6 link local": "https://[fe80::1]/",
    "IPv6 with a zone": "https://[fe80::1%25eth0]/",
    "IPv6 6to4": "https://[2002:7f00:1::]/",
    "IPv6 NAT64": "https://[64:ff9b::a9fe:a9fe]/",
    "IPv6 no brackets": "https://::1/",
    "IPv6 of the future": "https://[v1.fe80::a]/",
    "IPv6 bracket open": "https://[::1/",
    "IPv6 nonsense": "https://[:::]/",
    "localhost": "https://localhost/",
    "localhost, absolute": "http://localhost.",
    "localhost, loud": "https://LOCALHOST:8080/",
    "localhost, below": "https://a.localhost/",
    "in the clear": "http://hooks.example/",
    "in the clear, public": "http://1.1.1.1/",
    "private by name, in the clear": "http://127.0.0.1.nip.io/",
    "credentials": "https://user:secret@hooks.example/",
    "a user": "https://127.0.0.1@hooks.example/",
    "no user": "https://@hooks.example/",
    "a backslash": "https://hooks.example\\@127.0.0.1/",
    "fragment": "https://hooks.example/#part",
    "empty fragment": "https://hooks.example/#",
    "file": "file:///etc/passwd",
    "gopher": "gopher://hooks.example/_GET",
    "ftp": "ftp://hooks.example/",
    "unix": "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "data": "data:text/plain,hello",
    "no scheme": "hooks.example/runs",
    "no scheme, slashes": "//hooks.example/runs",
    "one slash": "https:/hooks.example/",
    "nothing": "",
    "no host": "https:///runs",
    "no host, port": "https://:443/",
    "CRLF": "https://hooks.example/\r\nX-Evil: 1",
    "CRLF in the host": "https://hooks.example\r\nHost: evil/",
    "newline at the end": "https://hooks.example/\n",
    "tab": "https://hooks\t.example/",
    "space": "https://hooks.example /",
    "space before": " https://hooks.example/",
    "NUL": "https://hooks.example\x00.evil/",
    "circled digits": "https://①②⑦.0.0.1/",
    "wide digits": "https://１２７.0.0.1/",
    "Arabic digits": "https://١٢٧.0.0.1/",
    "an ideographic stop": "https://127。0。0。1/",
    "an umlaut": "https://bücher.example/",
    "host in percents": "https://%31%32%37.0.0.1/",
    "half a percent": "https://hooks.example/%zz",
    "port 0": "https://hooks.example:0/",
    "port beyond": "https://hooks.example:65536/",
    "port of words": "https://hooks.example:https/",
    "port below": "https://hooks.example:-1/",
    "port in Arabic": "https://hooks.example:٤٤٣/",
    "no port": "https://hooks.example:/",
    "two ports": "https://hooks.example:80:443/",
    "an empty label": "https://hooks..example/",
    "a dot first": "https://.hooks.example/",
    "a dot last": "https://hooks.example./",
    "a hyphen first": "https://-hooks.example/",
    "a long label": f"https://{'a' * 64}.example/",
    "a long name": f"https://{'a.' * 127}example/",
    "too long": "https://hooks.example/".ljust(MAX_LENGTH + 1, "x"),
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED.keys())
def test_refused(url: str) -> None:
    """With a reason that quotes none of it."""
    with pytest.raises(UrlRefused) as caught:
        receiver_of(url, ())
    assert str(caught.value).endswith(".")
    assert "hooks" not in str(caught.value)


TAKEN = {
    "https://hooks.example": Receiver("https", "hooks.example", None, "/"),
    "HTTPS://Hooks.Example:8443/a/B?c=D&e=%2F": Receiver("https", "hooks.example", 8443, "/a/B?c=D&e=%2F"),
    "https://hooks.example?key=1": Receiver("https", "hooks.example", None, "/?key=1"),
    "https://xn--bcher-kva.example/@x:y": Receiver("https", "xn--bcher-kva.example", None, "/@x:y"),
    "https://127.0.0.1.nip.io/": Receiver("https", "127.0.0.1.nip.io", None, "/"),  # until it is connected to
    "https://1.1.1.1/": Receiver("https", "1.1.1.1", None, "/"),
    "https://[2606:4700:4700::1111]:443/": Receiver("https", "2606:4700:4700::1111", 443, "/"),
    "https://a_b.example/": Receiver("https", "a_b.example", None, "/"),
    "https://hooks.example/".ljust(MAX_LENGTH, "x"): Receiver(
        "https", "hooks.example", None, "/".ljust(MAX_LENGTH - 21, "x")
    ),
}


@pytest.mark.parametrize(("url", "receiver"), TAKEN.items())
def test_taken(url: str, receiver: Receiver) -> None:
    """As it will be connected to."""
    assert receiver_of(url, ()) == receiver


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3:8080/hook",
        "https://10.1.2.3/hook",
        "http://127.0.0.1/",
        "http://[::1]:80/",
        "http://[::ffff:10.0.0.1]/",
        "http://localhost:3000/",
        "http://receiver.internal/",
    ],
)
def test_taken_where_the_network_is_listed(url: str) -> None:
    """WEBHOOK_ALLOW lets private addresses be reached, and in the clear; a name's are looked at when it connects."""
    with pytest.raises(UrlRefused):
        receiver_of(url, ())
    assert receiver_of(url, INSIDE).authority == url.split("/")[2].replace("[::ffff:10.0.0.1]", "[::ffff:a00:1]")


@pytest.mark.parametrize("url", ["https://192.168.0.1/", "http://1.1.1.1/", "http://2130706433/", "https://[fd00::1]/"])
def test_others_stay_refused(url: str) -> None:
    """What is listed opens no other network, no other spelling, and no clear text on the internet."""
    with pytest.raises(UrlRefused):
        receiver_of(url, INSIDE)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://hooks.example/services/T0/s3cret?key=s3cret", "https://hooks.example"),
        ("https://ann:s3cret@hooks.example:8443?key=s3cret", "https://hooks.example:8443"),
        ("no URL", "?"),
    ],
)
def test_lines_name_the_origin_alone(url: str, origin: str) -> None:
    """Path, query and credentials may be secrets."""
    assert origin_of(url) == origin
