"""Ollama's chat: newline-delimited JSON.

https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from tests.servers.replies import Asked, Request, Text, ToolCall, ToolCalls, ToolSpec, Usage
from tests.servers.wire import Wire


class OllamaWire(Wire):
    """`POST /api/chat`; `url` is the address. Ollama asks for no key of its own; one behind a proxy does."""

    event_stream: ClassVar[str] = "application/x-ndjson"
    nonsense: ClassVar[bytes] = b"{not json\n"

    def serves(self, path: str) -> bool:
        return path == "/api/chat"

    def credential(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def asked(self, path: str, body: Any) -> Asked:  # noqa: ARG002  # Azure names the model there
        return Asked(
            model=body["model"],
            stream=body.get("stream", True),
            text=_last_user_text(body["messages"]),
            tools=tuple(_tools(body.get("tools") or [])),
            results=_results(body["messages"]),
        )

    def document(self, request: Request, reply: Text | ToolCalls) -> Any:
        match reply:
            case Text(text, thought=thought):
                message: dict[str, Any] = {"role": "assistant", "content": text}
                if thought:
                    message["thinking"] = thought
            case ToolCalls(calls, text):
                message = {"role": "assistant", "content": text, "tool_calls": _calls(calls)}
        return _line(request, message) | _end(reply.usage)

    def frames(self, request: Request, reply: Text | ToolCalls) -> Iterator[bytes]:
        match reply:
            case Text(thought=thought):
                if thought:
                    yield _frame(_line(request, {"role": "assistant", "content": "", "thinking": thought}))
                yield from self.opening(request, reply.pieces)
            case ToolCalls(calls, text):
                yield from self.opening(request, [text] if text else [])
                message = {"role": "assistant", "content": "", "tool_calls": _calls(calls)}
                yield _frame(_line(request, message))
        yield _frame(_line(request, {"role": "assistant", "content": ""}) | _end(reply.usage))

    def opening(self, request: Request, texts: Iterable[str]) -> Iterator[bytes]:
        for text in texts:
            yield _frame(_line(request, {"role": "assistant", "content": text}))

    def error(self, status: int, message: str) -> Any:  # noqa: ARG002  # Ollama has one form
        return {"error": message}


def _line(request: Request, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": request.asked.model,
        "created_at": "2026-01-01T00:00:00Z",
        "message": message,
        "done": False,
    }


def _end(usage: Usage) -> dict[str, Any]:
    """Ollama says `stop` after tool calls too."""
    return {
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": usage.prompt,
        "eval_count": usage.completion,
    }


def _frame(content: Any) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _calls(calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
    return [{"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in calls]


def _tools(tools: list[Any]) -> Iterator[ToolSpec]:
    for tool in tools:
        yield ToolSpec(tool["function"]["name"], tool["function"].get("parameters") or {})


def _last_user_text(messages: list[Any]) -> str:
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")


def _results(messages: list[Any]) -> tuple[str, ...]:
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.append(message["content"])
    return tuple(reversed(results))
