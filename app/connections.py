"""Connections that cannot be held for nothing: uvicorn bounds neither how long a request's head takes, nor its size.

Of a body the same is bounded by `app.api.middleware.BodyLimit`, and of an answer by `app.api.streams`.
"""

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 10.0
"""From the connection, or a request's first byte, to the end of its head."""
MAX_HEAD_BYTES = 32 * 1024
"""Of a request's line and headers; what comes in one piece may be up to 256 KiB more."""

_TOO_LARGE = {
    "type": "about:blank",
    "title": "Request Header Fields Too Large",
    "status": 431,
    "detail": f"The request's line and headers are larger than {MAX_HEAD_BYTES} bytes.",
}


class Connection(HttpToolsProtocol):
    """One that is silent before a request is whole is closed without a word, as there is nobody to read one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse()

    def on_header(self, name: bytes, value: bytes) -> None:
        """What is no UTF-8 is Latin-1 (RFC 9110, section 5.5), and told so on: OpenTelemetry fails at other bytes."""
        try:
            value.decode()
        except UnicodeDecodeError:
            value = value.decode("latin-1").encode()
        super().on_header(name, value)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _head_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self) -> None:
        self._head_came()
        body = orjson.dumps(_TOO_LARGE)
        head = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + head.encode() + body)
        self.transport.close()
