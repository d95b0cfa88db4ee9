"""What went over the wire, as a text that can be compared: kept in `snapshots`, ids and times replaced.

A changed protocol is seen in the difference. `SNAPSHOTS=write` has the files written anew.
"""

import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

FOLDER = Path(__file__).parent / "snapshots"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TRACE = re.compile(r"\b[0-9a-f]{32}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_SECONDS = re.compile(r'("(?:created|created_at|completed_at)": )\d+(\.\d+)?')
_PORT = re.compile(r"127\.0\.0\.1:\d+")
_PING = re.compile(r": ping.*\n\n")


class Recording(httpx.AsyncBaseTransport):
    """A transport of httpx that keeps what was sent and what came."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self.exchanges: list[list[bytes]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        head = f"> {request.method} {request.url.raw_path.decode()}\n".encode() + await request.aread()
        told = [head, f"\n< {response.status_code} {response.headers.get('content-type', '')}\n".encode()]
        self.exchanges.append(told)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=_Told(response.stream, told), request=request
        )

    async def aclose(self) -> None:
        await self._inner.aclose()

    def text(self, about: str = "") -> str:
        """Every exchange, or those whose request has these words."""
        return "\n\n".join(told for each in self.exchanges if about in (told := b"".join(each).decode().strip())) + "\n"


class _Told(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, told: list[bytes]) -> None:
        self._stream = stream
        self._told = told

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._told.append(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def normal(text: str) -> str:
    """Ids are numbered as they come, so that two that are the same still are."""
    known: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"id-{len(known) + 1}")

    text = "\n".join(map(_sorted, _PING.sub("", text.replace("\r\n", "\n")).split("\n")))
    text = _SECONDS.sub(r"\1time", text)
    text = _TRACE.sub("trace", _TIME.sub("time", _PORT.sub("127.0.0.1", text)))
    return _UUID.sub(numbered, text)


def _sorted(line: str) -> str:
    """JSON's fields in one order: protobuf has its maps in any."""
    head, brace, rest = line.partition("{")
    if not brace or head not in ("", "data: "):
        return line
    try:
        return head + json.dumps(json.loads(brace + rest), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return line


def same_as(name: str, text: str) -> None:
    """The text is what the snapshot of that name has."""
    path, text = FOLDER / f"{name}.txt", normal(text)
    if os.environ.get("SNAPSHOTS") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
