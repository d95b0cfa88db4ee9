"""Anthropic's messages.

https://docs.anthropic.com/en/api/messages · https://docs.anthropic.com/en/api/messages-streaming
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from tests.servers.replies import Asked, Request, Text, ToolCall, ToolCalls, ToolSpec
from tests.servers.wire import Wire

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicWire(Wire):
    """`POST /v1/messages`; `url` is the address."""

    nonsense: ClassVar[bytes] = b"event: message_start\ndata: {not json\n\n"

    def serves(self, path: str) -> bool:
        return path == "/v1/messages"

    def credential(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-api-key", "")

    def asked(self, path: str, body: Any) -> Asked:  # noqa: ARG002  # Azure names the model there
        forbidden = (body.get("tool_choice") or {}).get("type") == "none"
        tools = () if forbidden else tuple(_tools(body.get("tools") or []))
        return Asked(
            model=body["model"],
            stream=body.get("stream") or False,
            text=_last_user_text(body["messages"]),
            tools=tools,
            results=_results(body["messages"][-1]["content"]),
        )

    def document(self, request: Request, reply: Text | ToolCalls) -> Any:
        content: list[Any] = []
        match reply:
            case Text(text, thought=thought):
                if thought:
                    content.append({"type": "thinking", "thinking": thought, "signature": "signed"})
                content.append({"type": "text", "text": text})
                reason = "end_turn"
            case ToolCalls(calls, text):
                if text:
                    content.append({"type": "text", "text": text})
                content += self._calls(calls)
                reason = "tool_use"
        usage = {"input_tokens": reply.usage.prompt, "output_tokens": reply.usage.completion}
        return self._message(request, content) | {"stop_reason": reason, "usage": usage}

    def frames(self, request: Request, reply: Text | ToolCalls) -> Iterator[bytes]:
        match reply:
            case Text(thought=thought, usage=usage):
                yield from self._start(request, usage.prompt)
                if thought:
                    yield from _block(0, {"type": "thinking", "thinking": ""}, "thinking", [thought])
                index = 1 if thought else 0
                yield from _block(index, {"type": "text", "text": ""}, "text", reply.pieces)
                reason = "end_turn"
            case ToolCalls(calls, text, usage):
                yield from self._start(request, usage.prompt)
                if text:
                    yield from _block(0, {"type": "text", "text": ""}, "text", [text])
                for index, call in enumerate(self._calls(calls), start=1 if text else 0):
                    arguments = json.dumps(call["input"])
                    half = len(arguments) // 2
                    parts = [arguments[:half], arguments[half:]]
                    yield from _block(index, call | {"input": {}}, "input_json", parts)
                reason = "tool_use"
        delta = {"stop_reason": reason, "stop_sequence": None}
        yield _frame("message_delta", delta=delta, usage={"output_tokens": usage.completion})
        yield _frame("message_stop")

    def opening(self, request: Request, texts: Iterable[str]) -> Iterator[bytes]:
        yield from self._start(request, 11)
        yield _frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for text in texts:
            yield _frame("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def error(self, status: int, message: str) -> Any:
        return {"type": "error", "error": {"type": KINDS.get(status, "api_error"), "message": message}}

    def _calls(self, calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
        return [
            {
                "type": "tool_use",
                "id": call.id or f"toolu_{len(self.requests)}_{index}",
                "name": call.name,
                "input": dict(call.arguments),
            }
            for index, call in enumerate(calls)
        ]

    def _start(self, request: Request, prompt_tokens: int) -> Iterator[bytes]:
        usage = {"input_tokens": prompt_tokens, "output_tokens": 1}
        yield _frame("message_start", message=self._message(request, []) | {"usage": usage})
        yield _frame("ping")

    def _message(self, request: Request, content: list[Any]) -> dict[str, Any]:
        return {
            "id": f"msg_{len(self.requests)}",
            "type": "message",
            "role": "assistant",
            "model": request.asked.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
        }


def _block(index: int, block: dict[str, Any], kind: str, parts: Iterable[str]) -> Iterator[bytes]:
    field = "partial_json" if kind == "input_json" else kind
    yield _frame("content_block_start", index=index, content_block=block)
    for part in parts:
        yield _frame("content_block_delta", index=index, delta={"type": f"{kind}_delta", field: part})
    yield _frame("content_block_stop", index=index)


def _frame(event: str, **content: Any) -> bytes:
    data = json.dumps({"type": event} | content)
    return f"event: {event}\ndata: {data}\n\n".encode()


def _tools(tools: list[Any]) -> Iterator[ToolSpec]:
    for tool in tools:
        yield ToolSpec(tool["name"], tool["input_schema"])


def _last_user_text(messages: list[Any]) -> str:
    users = (m["content"] for m in reversed(messages) if m["role"] == "user")
    return next((text for text in map(_text, users) if text), "")


def _results(content: str | list[Any]) -> tuple[str, ...]:
    if isinstance(content, str):
        return ()
    return tuple(_text(block["content"]) for block in content if block["type"] == "tool_result")


def _text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(block["text"] for block in content if block["type"] == "text")
