"""A model provider and trace backends that cost next to nothing: canned answers over keep-alive HTTP/1.1.

`python bench/upstream.py` prints its port. A model named `tokens-200` answers with 200 tokens, streamed at once.
Whatever is posted elsewhere is a batch of spans, and is taken.
"""

import asyncio
import json
import re
from functools import cache


@cache
def stream(tokens: int) -> bytes:
    """A whole event stream of OpenAI's, with its head."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": f"tokens-{tokens}"}
    pieces = [{"index": 0, "delta": {"role": "assistant", "content": "word "}, "finish_reason": None}] * tokens
    pieces.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks = [head | {"choices": [piece]} for piece in pieces]
    chunks.append(head | {"choices": [], "usage": usage(tokens)})
    body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"
    return answer(body, b"text/event-stream")


@cache
def whole(tokens: int) -> bytes:
    """The same as one JSON document."""
    message = {"role": "assistant", "content": "word " * tokens}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    document = {"id": "c", "object": "chat.completion", "created": 1, "model": f"tokens-{tokens}"}
    return answer(json.dumps(document | {"choices": [choice], "usage": usage(tokens)}).encode(), b"application/json")


def usage(tokens: int) -> dict[str, int]:
    """Tokens, as OpenAI counts them."""
    return {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}


def answer(body: bytes, media_type: bytes) -> bytes:
    """A response with its head."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (media_type, len(body), body)


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            length = re.search(rb"content-length: (\d+)", head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < size:
                return
            body, self._received = self._received[end + 4 : size], self._received[size:]
            self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if b"/chat/completions" not in head.split(b"\r\n", 1)[0]:
            return answer(b"", b"application/x-protobuf")
        found = re.search(rb"tokens-(\d+)", body)
        tokens = int(found[1]) if found else 50
        return (stream if re.search(rb'"stream": ?true', body) else whole)(tokens)


async def main() -> None:
    """Serve on a free port of loopback, until killed."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
