"""The thoughts in Anthropic's streams, put in tags.

AutoGen streams the pieces of a thought and those of the answer alike, so that nobody can tell them apart before the
end. The SDK's events do: there the pieces of a thought are marked, and AutoGen hands the marked ones on.
"""

import time
from collections.abc import Iterator
from typing import Any

from autogen_core.models import ChatCompletionClient, CreateResult

from app.agents.streams import CLOSE, OPEN


class _ThoughtPiece(str):
    """A piece of a thought."""

    __slots__ = ()


def mark_thoughts(client: ChatCompletionClient) -> None:
    """Have an Anthropic client of AutoGen's mark the thoughts it streams; another one is left as it is."""
    if not any(kind.__name__ == "BaseAnthropicChatCompletionClient" for kind in type(client).__mro__):
        return
    messages = client._client.messages  # type: ignore[attr-defined]  # noqa: SLF001 AutoGen is pinned

    async def create(**arguments: Any) -> Any:
        # The class's own at each call: instrumentors put theirs there.
        answer = await type(messages).create(messages, **arguments)
        return _Marked(answer) if arguments.get("stream") else answer

    messages.create = create


class _Marked:
    """The SDK's stream of events. Its first one tells the model, and what was taken from the cache."""

    model: str | None = None
    usage: Any = None
    first_at: float | None = None
    """When it came, by `time.perf_counter`."""

    def __init__(self, events: Any) -> None:
        self._events = events

    def __aiter__(self) -> "_Marked":
        return self

    async def __anext__(self) -> Any:
        event = await anext(self._events)
        if event.type == "content_block_delta":
            if event.delta.type == "thinking_delta":
                event.delta.thinking = _ThoughtPiece(event.delta.thinking)
        elif event.type == "message_start":
            self.first_at = time.perf_counter()
            self.model, self.usage = event.message.model, event.message.usage
        return event

    async def close(self) -> None:
        await self._events.close()


class Tags:
    """Puts the tags around the marked pieces of one stream.

    A thought after the first words is not streamed: there, tags would be words. AutoGen's result has it.
    """

    def __init__(self) -> None:
        self._thinking = False
        self._spoke = False

    def around(self, piece: str | CreateResult) -> Iterator[str | CreateResult]:
        if isinstance(piece, _ThoughtPiece):
            if not self._spoke:
                yield str(piece) if self._thinking else OPEN + piece
                self._thinking = True
            return
        if self._thinking:
            yield CLOSE
            self._thinking = False
        self._spoke = True
        yield piece
