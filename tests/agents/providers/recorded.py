"""Streams and answers as providers that speak OpenAI's wire send them, byte for byte in their framing."""

import json
from typing import Any


def events(*contents: Any, done: bool = True, end: bytes = b"\n\n") -> bytes:
    """Each as an event's data."""
    frames = b"".join(b"data: " + json.dumps(content).encode() + end for content in contents)
    return frames + (b"data: [DONE]" + end if done else b"")


def chunk(delta: Any = None, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk with one choice, whose delta this is."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m-2025"}
    return head | {"system_fingerprint": "fp_1", "choices": [choice]} | fields


def usage(**details: Any) -> dict[str, Any]:
    return {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18} | details


def call(index: int, name: str | None = None, arguments: str = "", id: str | None = None) -> dict[str, Any]:  # noqa: A002
    """A piece of a tool's call."""
    function = ({"name": name} if name else {}) | {"arguments": arguments}
    begun = {"id": id, "type": "function"} if id else {}
    return {"index": index, **begun, "function": function}


WORDS = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Grüß "}), chunk({"content": "Gott 👋"})]
DETAILS = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3}}
LOGPROB = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}
CHOICE = {"index": 0, "delta": {"content": "B"}, "finish_reason": None}

STREAMS: dict[str, bytes] = {
    "openai": events(*WORDS, chunk({}, "stop"), chunk(choices=[], usage=usage(**DETAILS))),
    "azure, its filter first": events(
        {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [],
            "prompt_filter_results": [{"prompt_index": 0}],
        },
        *WORDS,
        chunk({}, "stop")
        | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "content_filter_results": {}}]},
        chunk(choices=[], usage=usage()),
    ),
    "azure, the filter stops it": events(*WORDS, chunk({}, "content_filter")),
    "gemini, usage in every chunk": events(
        chunk({"role": "assistant", "content": "One"}, usage=usage(completion_tokens=1)),
        chunk({"role": "assistant", "content": " two"}, "stop", usage=usage()),
    ),
    "gemini, a whole call at once": events(
        chunk({"role": "assistant", "tool_calls": [call(0, "weather", '{"city":"Rome"}', "c1")]}, "tool_calls"),
    ),
    "gemini, calls without an index": events(
        chunk({"tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": "{}"}, "type": "function"}]}),
        chunk({}, "tool_calls"),
    ),
    "vllm, reasoning": events(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Let me "}),
        chunk({"reasoning_content": "think."}),
        chunk({"content": "Yes."}),
        chunk({"content": ""}, "stop", stop_reason=None),
        chunk(choices=[], usage=usage()),
    ),
    "deepseek, reasoning that is null or empty": events(
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"content": None, "reasoning_content": "Hm"}),
        chunk({"content": None, "reasoning_content": ""}),
        chunk({"content": "No.", "reasoning_content": None}),
        chunk({"content": "", "reasoning_content": None}, "stop", usage=usage(prompt_cache_hit_tokens=2)),
    ),
    "reasoning that is empty amid the words": events(
        chunk({"content": "", "reasoning_content": "Hm"}),
        chunk({"content": "So", "reasoning_content": ""}),
        chunk({"content": "me ", "reasoning_content": ""}),
        chunk({"content": "wo", "reasoning_content": None}),
        chunk({"content": "rds"}),
        chunk({}, "stop"),
    ),
    "deepseek, reasoning before a call": events(
        chunk({"reasoning_content": "A tool."}),
        chunk({"tool_calls": [call(0, "weather", "", "c1")]}),
        chunk({"tool_calls": [call(0, arguments="{}")]}),
        chunk({}, "tool_calls"),
    ),
    "llama.cpp": events(
        chunk({"role": "assistant", "content": None}),
        chunk({"content": "Hi"}, timings={"predicted_per_second": 3.5}),
        chunk({}, "stop"),
        chunk(choices=[], usage=usage(), timings={}),
    ),
    "ollama": events(
        chunk({"role": "assistant", "content": "Hi"}),
        chunk({"role": "assistant", "content": ""}, "stop"),
        chunk(choices=[], usage=usage()),
    ),
    "groq": events(*WORDS, chunk({}, "stop", x_groq={"id": "r", "usage": usage(queue_time=0.1)})),
    "mistral": events(*WORDS, chunk({"content": ""}, "stop", usage=usage()), done=True),
    "mistral, content in parts": events(chunk({"content": [{"type": "thinking", "thinking": []}]}), chunk({}, "stop")),
    "openrouter, comments": b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
    + events(
        *WORDS, chunk({}, "stop", provider="Somebody", native_finish_reason="STOP"), chunk(choices=[], usage=usage())
    ),
    "openrouter, an error in the middle": events(
        *WORDS, chunk({}, "error", error={"code": 502, "message": "Provider disconnected"}), done=False
    ),
    "litellm, usage beside the reason": events(
        *WORDS, chunk({"content": None}, "stop"), chunk({}, None, usage=usage())
    ),
    "an error alone": events({"error": {"message": "overloaded", "type": "server_error"}}, done=False),
    "an error without words": events(*WORDS, {"error": "no"}, done=False),
    "an error that is none": events(*(each | {"error": None} for each in WORDS), chunk({}, "stop")),
    "two calls in turn": events(
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [call(0, "weather", "", "c1")]}),
        chunk({"tool_calls": [call(1, "time", "", "c2")]}),
        chunk({"tool_calls": [call(0, arguments='{"ci')]}),
        chunk({"tool_calls": [call(1, arguments='{"a"'), call(0, arguments='ty":1}')]}),
        chunk({"tool_calls": [call(1, arguments=":2}")]}),
        chunk({}, "tool_calls"),
        chunk(choices=[], usage=usage()),
    ),
    "words before a call": events(
        *WORDS, chunk({"tool_calls": [call(0, "weather", "{}", "c1")]}), chunk({}, "tool_calls")
    ),
    "a call whose function is null": events(
        chunk({"tool_calls": [call(0, "weather", "{}", "c1"), {"index": 0, "function": None}]}), chunk({}, "tool_calls")
    ),
    "an old call of a function": events(
        chunk({"function_call": {"name": "weather", "arguments": "{}"}}), chunk({}, "function_call")
    ),
    "a refusal": events(
        chunk({"role": "assistant", "content": "", "refusal": ""}), chunk({"refusal": "No."}), chunk({}, "stop")
    ),
    "cut at its greatest length": events(*WORDS, chunk({}, "length")),
    "logprobs": events(
        chunk(choices=[CHOICE | {"logprobs": {"content": [LOGPROB | {"top_logprobs": [LOGPROB]}], "refusal": None}}]),
        chunk(choices=[CHOICE | {"delta": {}, "logprobs": {"content": [LOGPROB | {"top_logprobs": []}]}}]),
        chunk({}, "stop"),
    ),
    "two choices": events(chunk(choices=[CHOICE, CHOICE | {"index": 1}]), chunk({}, "stop")),
    "eleven chunks of nothing": events(*[chunk(choices=[])] * 11, *WORDS, chunk({}, "stop")),
    "nothing at all": b"",
    "nothing but the end": events(),
    "no end": events(*WORDS, chunk({}, "stop"), done=False),
    "no end, and a last event that is not over": events(*WORDS, chunk({}, "stop"), done=False) + b'data: {"id": "',
    "after the end": events(*WORDS, chunk({}, "stop")) + events(chunk({"content": "more"})),
    "CRLF": events(*WORDS, chunk({}, "stop"), end=b"\r\n\r\n"),
    "CR": events(*WORDS, chunk({}, "stop"), end=b"\r\r"),
    "no space": events(*WORDS, chunk({}, "stop")).replace(b"data: ", b"data:"),
    "data in lines": b'event: message\nid: 7\ndata: {"model": "m",\ndata: "choices": []}\n\n'
    + events(*WORDS, done=False)[:-1]
    + b"\n",
    "half characters": events(chunk({"content": "\ud83d"}), chunk({"content": "\ude00"}), chunk({}, "stop")),
    "not a number": events(chunk({"content": "Hi"}, score=float("nan")), chunk({}, "stop")),
    "broken JSON": events(*WORDS, done=False) + b"data: {not json\n\n",
    "not UTF-8": events(*WORDS, done=False) + b'data: {"model": "\xff"}\n\n',
    "a list": events(*WORDS, [1, 2]),
    "a number": events(*WORDS, 7),
    "null": events(*WORDS, None),
    "an empty object": events(*WORDS, {}),
    "choices that are null": events(*WORDS, chunk(choices=None)),
    "choices of strings": events(*WORDS, chunk(choices=["no"])),
    "a delta that is null": events(*WORDS, chunk(choices=[{"index": 0, "delta": None, "finish_reason": "stop"}])),
    "no delta": events(*WORDS, chunk(choices=[{"index": 0, "finish_reason": "stop"}])),
    "no model": events(chunk({"content": "Hi"}, model=None), chunk({}, "stop", model=None)),
    "usage without numbers": events(*WORDS, chunk({}, "stop"), chunk(choices=[], usage={"prompt_tokens": None})),
    "HTML": b"<!doctype html>\n<html><body>Welcome</body></html>\n\n",
    "JSON that is no stream": json.dumps({"choices": [{"message": {"content": "Hi"}}]}).encode(),
}


def document(message: Any, reason: str = "stop", **fields: Any) -> bytes:
    """A whole answer."""
    choice = {"index": 0, "message": {"role": "assistant"} | message, "logprobs": None, "finish_reason": reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m-2025"}
    return json.dumps(head | {"choices": [choice], "usage": usage(**DETAILS)} | fields).encode()


WEATHER = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}

DOCUMENTS: dict[str, bytes] = {
    "openai": document({"content": "Grüß Gott 👋", "refusal": None, "annotations": []}),
    "a call": document({"content": None, "tool_calls": [WEATHER]}, "tool_calls"),
    "two calls, and words": document({"content": "So.", "tool_calls": [WEATHER, WEATHER | {"id": "c2"}]}, "tool_calls"),
    "a call with another reason": document({"content": None, "tool_calls": [WEATHER]}, "stop"),
    "a call with arguments as an object": document(
        {"content": "", "tool_calls": [WEATHER | {"function": {"name": "we.ather", "arguments": {"a": 1}}}]},
        "tool_calls",
    ),
    "no calls": document({"content": "Hi", "tool_calls": []}),
    "an old call of a function": document({"content": None, "function_call": {"name": "f", "arguments": "{}"}}),
    "reasoning": document({"content": "Yes.", "reasoning_content": "Hm."}),
    "reasoning that is null": document({"content": "Yes.", "reasoning_content": None}),
    "a refusal": document({"content": None, "refusal": "No."}),
    "cut at its greatest length": document({"content": "Grüß"}, "length"),
    "the filter stops it": document({"content": ""}, "content_filter", prompt_filter_results=[]),
    "logprobs": document(
        {"content": "Hi"},
        choices=[
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi"},
                "finish_reason": "stop",
                "logprobs": {"content": [LOGPROB | {"top_logprobs": [LOGPROB]}], "refusal": None},
            }
        ],
    ),
    "no usage": document({"content": "Hi"}, usage=None),
    "usage without numbers": document({"content": "Hi"}, usage={}),
    "half characters": document({"content": "\ud83d"}),
    "an error with status 200": json.dumps({"error": {"message": "no", "code": 502}}).encode(),
    "no choices": document({}, choices=[]),
    "choices that are null": document({}, choices=None),
    "no message": document({}, choices=[{"index": 0, "finish_reason": "stop"}]),
    "an empty object": b"{}",
    "a list": b"[1, 2]",
    "broken JSON": b"{not json",
    "nothing": b"",
    "HTML": b"<html>Welcome</html>",
}
