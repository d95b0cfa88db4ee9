"""Server-sent events, as far as a model's stream uses them: their data.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""


class Frames:
    """Takes bytes as they come, cut anywhere. An event that has not ended with the stream is dropped."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        """Of a line that has not ended."""
        self._data: list[bytes] = []
        """The lines of an event that has not ended."""
        self._after_return = False

    def feed(self, received: bytes) -> list[bytes]:
        """The data of the events that these bytes end."""
        if b"\r" in received or self._after_return:
            received = self._newlines(received)
        if b"\n" not in received:
            self._line.append(received)
            return []
        self._line.append(received)
        *lines, rest = b"".join(self._line).split(b"\n")
        self._line = [rest]
        return self._events(lines)

    def _newlines(self, received: bytes) -> bytes:
        r"""Each `\r\n` and `\r` as the `\n` that it stands for; the two may come apart."""
        if self._after_return:
            received = received.removeprefix(b"\n")
        self._after_return = received.endswith(b"\r")
        return received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data: "):
                self._data.append(line[6:])
            elif line.startswith(b"data:") or line == b"data":
                self._data.append(line[5:])
        return events
