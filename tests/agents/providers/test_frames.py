"""Events are found whatever the cuts between the bytes, and as the SDK finds them."""

import pytest
from openai._streaming import SSEDecoder

from app.agents.providers.lean.frames import Frames
from tests.agents.providers.recorded import STREAMS, WORDS, events

READABLE = {name: body for name, body in STREAMS.items() if name not in ("not UTF-8", "nothing at all")}


def found(*pieces: bytes) -> list[bytes]:
    """The data of the events."""
    frames = Frames()
    return [event for piece in pieces for event in frames.feed(piece)]


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE)
def test_every_split(body: bytes) -> None:
    """In one piece, in two at each place, and byte by byte."""
    expected = [event.data.encode() for event in SSEDecoder().iter_bytes(iter([body]))]
    assert found(body) == expected
    assert found(*(body[at : at + 1] for at in range(len(body)))) == expected
    for at in range(len(body)):
        assert found(body[:at], body[at:]) == expected, body[:at]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_every_end_of_a_line(end: bytes) -> None:
    """Also where its two halves come apart."""
    lines = (
        b"\xef\xbb\xbfdata: 0",
        b"",
        b"",
        b": a comment",
        b"data:1",
        b"data:  2",
        b"data",
        b"event: x",
        b"",
        b"data: 3",
        b"",
    )
    body = end.join((*lines, b""))
    for at in range(len(body)):
        assert found(body[:at], body[at:]) == [b"1\n 2\n", b"3"]


@pytest.mark.parametrize("line", [b"event: ping", b"id: 7", b"retry: 3000", b"unknown", b"dataset: 1"])
def test_an_event_without_data(line: bytes) -> None:
    """It is none, the specification says; the SDK takes its missing data for JSON, and fails."""
    assert found(line + b"\n\n" + events(*WORDS)) == found(events(*WORDS))


def test_a_long_line_in_many_pieces() -> None:
    """What has come of it is not copied for every piece."""
    pieces = 100_000
    assert found(b"data: ", *[b"0123456789"] * pieces, b"\n\n") == [b"0123456789" * pieces]
