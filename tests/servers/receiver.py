"""A receiver of webhooks: real HTTP, or HTTPS, on loopback, that answers what a test says."""

import ssl
from collections import deque
from typing import Literal

from tests.servers.otlp import Answer, Collector, Request

OK = Answer(204)

Reply = Answer | Literal["close", "hang"]
"""`close` ends the connection without a word, `hang` keeps it open without one."""


class Receiver(Collector):
    """Answers with `replies`, in turn, and 204 after the last; `requests` are those that came, `names` TLS's."""

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        super().__init__(host=host)
        self.replies = deque(replies)
        self.names: list[str | None] = []
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def receive(self, request: Request) -> Answer | None:
        with self._condition:
            self._requests.append(request)
            reply = self.replies.popleft() if self.replies else OK
            self._condition.notify_all()
        if reply == "hang":
            self._closed.wait()
        return reply if isinstance(reply, Answer) else None
