"""Problems in the words of another protocol than Waggle's own, wherever they come from: the gate, a limit, a route."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import MEDIA_TYPE

Words = Callable[[Mapping[str, Any]], tuple[int, bytes, Mapping[str, str]]]
"""A problem's status, body and further headers in a protocol."""


class Worded:
    """Pure ASGI: under a path that begins so, problems are worded so."""

    def __init__(self, app: ASGIApp, words: Mapping[str, Words]) -> None:
        self._app = app
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        words = next((words for prefix, words in self._words.items() if path.startswith(prefix)), None)
        if words is None:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["words"] = words  # for what fails outside of this
        await self._app(scope, receive, _Answer(words, send).send)


class _Answer:
    """Passed on as it comes, unless it is a problem: those come whole."""

    def __init__(self, words: Words, send: Send) -> None:
        self._words = words
        self._send = send
        self._problem: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and MutableHeaders(scope=message).get("content-type") == MEDIA_TYPE:
            self._problem = message
        elif self._problem is None:
            await self._send(message)
        else:
            status, body, more = self._words(orjson.loads(message["body"]))
            self._problem["status"] = status
            headers = MutableHeaders(scope=self._problem)
            headers.update({"Content-Type": "application/json", "Content-Length": str(len(body)), **more})
            await self._send(self._problem)
            await self._send({"type": "http.response.body", "body": body})
