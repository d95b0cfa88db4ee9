"""OpenAI's chat completions, also as Azure and as Gemini offer them.

https://platform.openai.com/docs/api-reference/chat
https://learn.microsoft.com/azure/ai-services/openai/reference
https://ai.google.dev/gemini-api/docs/openai
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from tests.servers.replies import Asked, Request, Text, ToolCall, ToolCalls, ToolSpec, Usage
from tests.servers.wire import Wire

PATHS = re.compile(
    r"/v1/chat/completions"
    r"|/openai/deployments/(?P<deployment>[^/]+)/chat/completions"
    r"|/v1beta/openai/chat/completions"
)

DATED = {"gpt-4o": "gpt-4o-2024-08-06", "gpt-4o-mini": "gpt-4o-mini-2024-07-18"}
"""An answer names the snapshot that an alias stands for."""

KINDS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


class OpenAIWire(Wire):
    """Chat completions; `url` + `/v1`, `/openai/deployments/…` or `/v1beta/openai` is the address."""

    nonsense: ClassVar[bytes] = b"data: {not json\n\n"

    def serves(self, path: str) -> bool:
        return PATHS.fullmatch(path) is not None

    def credential(self, headers: Mapping[str, str]) -> str:
        return headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    def asked(self, path: str, body: Any) -> Asked:
        where = PATHS.fullmatch(path)
        deployment = where and where["deployment"]
        return Asked(
            model=deployment or body["model"],
            stream=body.get("stream") or False,
            text=_last_user_text(body["messages"]),
            tools=() if body.get("tool_choice") == "none" else tuple(_tools(body.get("tools") or [])),
            results=_results(body["messages"]),
        )

    def document(self, request: Request, reply: Text | ToolCalls) -> Any:
        match reply:
            case Text(text, thought=thought):
                message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
                if thought:
                    message["reasoning_content"] = thought
                reason = "stop"
            case ToolCalls(calls, text):
                message = {"role": "assistant", "content": text or None, "tool_calls": self._calls(calls)}
                reason = "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        return self._envelope(request, "chat.completion", [choice]) | {"usage": _usage(reply.usage)}

    def frames(self, request: Request, reply: Text | ToolCalls) -> Iterator[bytes]:
        match reply:
            case Text(thought=thought):
                yield from self.opening(request, reply.pieces, thought)
                reason = "stop"
            case ToolCalls(calls, text):
                yield from self.opening(request, [text] if text else [])
                for index, call in enumerate(self._calls(calls)):
                    yield from self._call_frames(request, index, call)
                reason = "tool_calls"
        yield self._chunk(request, {}, reason)
        if (request.json.get("stream_options") or {}).get("include_usage"):
            usage = {"usage": _usage(reply.usage)}
            yield _frame(self._envelope(request, "chat.completion.chunk", []) | usage)
        yield b"data: [DONE]\n\n"

    def opening(self, request: Request, texts: Iterable[str], thought: str = "") -> Iterator[bytes]:
        yield self._chunk(request, {"role": "assistant", "content": ""})
        if thought:
            yield self._chunk(request, {"reasoning_content": thought})
        for text in texts:
            yield self._chunk(request, {"content": text})

    def error(self, status: int, message: str) -> Any:
        kind, code = KINDS.get(status, ("server_error", None))
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def _calls(self, calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
        return [
            {
                "id": call.id or f"call_{len(self.requests)}_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_json},
            }
            for index, call in enumerate(calls)
        ]

    def _call_frames(self, request: Request, index: int, call: dict[str, Any]) -> Iterator[bytes]:
        """The name first, then the arguments in two halves, as OpenAI sends them."""
        arguments: str = call["function"]["arguments"]
        begun = call | {"index": index, "function": call["function"] | {"arguments": ""}}
        yield self._chunk(request, {"tool_calls": [begun]})
        half = len(arguments) // 2
        for part in (arguments[:half], arguments[half:]):
            yield self._chunk(request, {"tool_calls": [{"index": index, "function": {"arguments": part}}]})

    def _chunk(self, request: Request, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return _frame(self._envelope(request, "chat.completion.chunk", [choice]))

    def _envelope(self, request: Request, kind: str, choices: list[Any]) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{len(self.requests)}",
            "object": kind,
            "created": 1_700_000_000,
            "model": DATED.get(request.asked.model, request.asked.model),
            "choices": choices,
        }


def _frame(content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }


def _tools(tools: list[Any]) -> Iterator[ToolSpec]:
    for tool in tools:
        yield ToolSpec(tool["function"]["name"], tool["function"].get("parameters") or {})


def _last_user_text(messages: list[Any]) -> str:
    return next((_text(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")


def _results(messages: list[Any]) -> tuple[str, ...]:
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.append(_text(message["content"]))
    return tuple(reversed(results))


def _text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")
