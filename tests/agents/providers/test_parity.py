"""The service's own client and OpenAI's SDK make the same of what a provider sends, and send the same."""

from typing import Any

import pytest
from autogen_core.tools import FunctionTool
from openai import APITimeoutError
from pydantic import BaseModel

from tests.agents.providers.cases import CASES
from tests.agents.providers.parity import both
from tests.agents.providers.recorded import CHOICE, DOCUMENTS, STREAMS, WORDS, chunk, document, events
from tests.servers.raw import RawAnswer, answer, chunked, gzipped

JSON = "application/json"
DONE = events(*WORDS, chunk({}, "stop"))
FEW = {name: STREAMS[name] for name in ("openai", "two calls in turn", "vllm, reasoning", "CRLF", "broken JSON")}


class Verdict(BaseModel):
    """An answer with a form."""

    yes: bool


def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS)
async def test_a_stream(body: bytes) -> None:
    """All that is told of it, with the result, AutoGen's warnings and the error."""
    sdk, lean = await both(answer(body), stream=True)
    assert lean == sdk


@pytest.mark.parametrize("body", FEW.values(), ids=FEW)
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_stream_in_pieces(body: bytes, size: int) -> None:
    """Letters, frames and calls are cut in two, and what is cut comes at different times."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    sdk, lean = await both(chunked(*pieces), stream=True)
    assert lean == sdk


@pytest.mark.parametrize("body", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("pieces", [1, 9])
async def test_a_whole_answer(body: bytes, pieces: int) -> None:
    """The result, AutoGen's warnings and the error."""
    sdk, lean = await both(answer(body, content_type=JSON, pieces=pieces), stream=False)
    assert lean == sdk


@pytest.mark.parametrize(
    "content_type", [JSON, "text/plain", "text/html; charset=utf-8", "application/json; charset=utf-8"]
)
@pytest.mark.parametrize("stream", [False, True], ids=["create", "stream"])
async def test_what_an_answer_calls_itself(content_type: str, stream: bool) -> None:
    """It is read all the same."""
    body = DONE if stream else DOCUMENTS["openai"]
    sdk, lean = await both(answer(body, content_type=content_type), stream=stream)
    assert lean == sdk
    assert lean.result is not None


OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "tools": {"tools": [FunctionTool(weather, "The weather.")], "tool_choice": "required"},
    "one tool": {"tools": [tool := FunctionTool(weather, "The weather.")], "tool_choice": tool},
    "JSON": {"json_output": True},
    "text": {"json_output": False},
    "a form": {"json_output": Verdict},
    "sampling": {"extra_create_args": {"temperature": 0.5, "seed": 7, "stop": ["\n"], "logit_bias": {"50256": -100}}},
    "more": {"extra_create_args": {"extra_body": {"top_k": 5}, "max_tokens": 10}},
    "another timeout": {"extra_create_args": {"timeout": 7}},
    "a schema": {"extra_create_args": {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", ["openai", "compatible", "azure", "gemini"])
@pytest.mark.parametrize("stream", [False, True], ids=["create", "stream"])
async def test_the_request(name: str, stream: bool, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line, its headers and its body, with what the SDK reads in its own variables."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    text = '{"yes": true}'
    reply = (
        answer(events(chunk({"content": text}), chunk({}, "stop"))) if stream else answer(document({"content": text}))
    )
    sdk, lean = await both(reply, stream=stream, case=CASES[name], options=options)
    assert lean == sdk
    assert lean.result is not None
    assert lean.requests[0][1]["openai-organization"] == "org-1"


REFUSED = {
    "OpenAI's form": b'{"error": {"message": "It is \\u00fcber.", "type": "t", "param": null, "code": "c"}}',
    "no form": b'{"detail": "no"}',
    "a list": b"[]",
    "words": b"Bad Gateway",
    "nothing": b"",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529, 304])
@pytest.mark.parametrize("stream", [False, True], ids=["create", "stream"])
async def test_a_refusal(status: int, body: bytes, stream: bool) -> None:
    """The error's class, and all that it holds; as many requests."""
    refusal = answer(body if status != 304 else b"", "retry-after-ms: 5", status=f"{status} No", content_type=JSON)
    sdk, lean = await both(refusal, stream=stream, model_max_retries=2)
    assert lean == sdk
    assert len(lean.requests) == (3 if status in (408, 409, 429, 500, 502, 503, 529) else 1)


HEADERS = {
    "not again": (503, "x-should-retry: false", 1),
    "again": (400, "x-should-retry: true", 2),
    "in seconds": (503, "retry-after: 0.01", 2),
    "too late": (503, "retry-after: 7200", 1),
    "too late, in milliseconds": (429, "retry-after-ms: 7200000", 1),
    "too late, at a time": (429, "retry-after: Wed, 21 Oct 2065 07:28:00 GMT", 1),
}


@pytest.mark.parametrize(("status", "header", "requests"), HEADERS.values(), ids=HEADERS)
async def test_when_it_is_asked_again(status: int, header: str, requests: int) -> None:
    """A provider may say it."""
    refusal = answer(b"{}", header, "retry-after-ms: 5" if requests == 2 else "x: y", status=f"{status} No")
    sdk, lean = await both(refusal, answer(DONE), stream=True, model_max_retries=1)
    assert lean == sdk
    assert len(lean.requests) == requests


BROKEN: dict[str, tuple[RawAnswer, bool]] = {
    "before the head": (RawAnswer(after="reset"), False),
    "closed before the head": (RawAnswer(after="close"), False),
    "in the head": (RawAnswer((b"HTTP/1.1 200 OK\r\ncontent-",), "close"), False),
    "no HTTP": (RawAnswer((b"220 smtp ready\r\n\r\n",), "close"), False),
    "in the body": (RawAnswer(answer(DOCUMENTS["openai"], content_type=JSON, pieces=2).pieces[:2], "close"), False),
    "in the stream": (chunked(DONE[:300], end=False, after="close"), True),
    "in the stream, reset": (chunked(DONE[:300], end=False, after="reset"), True),
    "after its end": (chunked(DONE, end=False, after="close"), True),
    "no gzip": (answer(b"not packed", "content-encoding: gzip"), True),
}


@pytest.mark.parametrize(("broken", "stream"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_connection(broken: RawAnswer, stream: bool) -> None:
    """The error's class, and as many requests."""
    sdk, lean = await both(broken, stream=stream, model_max_retries=1)
    assert (lean.error, lean.streamed, len(lean.requests)) == (sdk.error, sdk.streamed, len(sdk.requests))


STALLS: dict[str, tuple[RawAnswer, bool]] = {
    "without a word": (RawAnswer(after="hang"), True),
    "in the head": (RawAnswer((b"HTTP/1.1 200 OK\r\n",), "hang"), True),
    "in the body": (RawAnswer(answer(DOCUMENTS["openai"], pieces=2).pieces[:2], "hang"), False),
    "in the stream": (chunked(DONE[:300], end=False, after="hang"), True),
    "after its end": (chunked(DONE, end=False, after="hang"), True),
    "in a refusal": (RawAnswer(answer(b"{}" * 9, status="400 No", pieces=2).pieces[:2], "hang"), True),
}


@pytest.mark.parametrize(("stalled", "stream"), STALLS.values(), ids=STALLS)
async def test_a_stall(stalled: RawAnswer, stream: bool) -> None:
    """MODEL_TIMEOUT_S of silence; what is over does not wait for it."""
    sdk, lean = await both(stalled, stream=stream, model_max_retries=1, model_timeout_s=0.3)
    kinds = [outcome.error and outcome.error[-1] for outcome in (sdk, lean)]
    assert kinds[0] == kinds[1]
    assert (lean.streamed, lean.result, len(lean.requests)) == (sdk.streamed, sdk.result, len(sdk.requests))


async def test_a_framing_that_is_broken() -> None:
    """Where aiohttp (3.14) waits for ever, the call fails when it has waited as long as it may."""
    broken = RawAnswer((*chunked(DONE[:300], end=False).pieces, b"zz\r\n"), "close")
    sdk, lean = await both(broken, stream=True, model_timeout_s=0.3)
    assert lean.streamed == sdk.streamed
    assert lean.error is not None
    assert lean.error[0] is APITimeoutError


async def test_a_connection_that_is_closed_when_it_is_used_again() -> None:
    """The call is made again."""
    sdk, lean = await both(answer(DONE, after="close"), answer(DONE), stream=True, model_max_retries=1)
    assert lean == sdk
    assert lean.result is not None


@pytest.mark.parametrize(
    ("body", "stream"), [(DONE, True), (DOCUMENTS["openai"], False), (STREAMS["an error alone"], True)]
)
async def test_a_packed_answer(body: bytes, stream: bool) -> None:
    """Gzip, as a proxy makes of it."""
    sdk, lean = await both(gzipped(body), stream=stream)
    assert lean == sdk
    assert lean.requests


async def test_more_than_one_choice_is_warned_of() -> None:
    """As AutoGen warns where its user sees it."""
    _, lean = await both(answer(events(chunk(choices=[CHOICE] * 2), chunk({}, "stop"))), stream=True)
    assert "Received a chunk with 2 choices" in lean.warned[0]
