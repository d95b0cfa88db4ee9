"""What comes over the wire beside bodies that are JSON: headers, bodies that are none, and a provider's answers."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.budget import cases
from tests.fuzz.playing import playing
from tests.servers.replies import Garbage

PRINTED = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=300)
HEADERS = {
    "X-Request-ID": PRINTED,
    "traceparent": PRINTED
    | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]{0,9})?", fullmatch=True),
    "tracestate": PRINTED,
    "baggage": PRINTED | st.just("user.id=root,session.id=s"),
    "Idempotency-Key": PRINTED,
    "X-User-ID": PRINTED,
    "X-Session-ID": PRINTED,
    "Authorization": PRINTED,
    "Host": PRINTED | st.from_regex(r"\[?[a-z0-9.:]{0,20}\]?", fullmatch=True),
    "Origin": PRINTED | st.from_regex(r"https?://\[?[a-z0-9.:]{0,20}\]?", fullmatch=True),
    "Content-Type": PRINTED | st.from_regex(r"application/[a-z+]{0,9}json(; ?charset=[a-z0-9-]{0,9})?", fullmatch=True),
}
SENT = st.fixed_dictionaries({}, optional={name: values.map(str.strip) for name, values in HEADERS.items()})
ANSWERS = (200, 400, 403, 409, 415, 421, 422)
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
FRAMES = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(
        [
            CHUNK % b'{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}',
            CHUNK % b'{"index":0,"delta":{},"finish_reason":"stop"}',
            CHUNK % b'{"index":7,"delta":{"content":1},"finish_reason":"never"}',
            CHUNK % b'{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":null,"arguments":"{"}}]}}',
            CHUNK % b"null",
            CHUNK % b"",
            b"data: [DONE]\n\n",
            b'data: {"error": {"message": "no"}}\n\n',
            b"data: \xff\xfe\n\n",
            b"event: error\ndata: {}\n\n",
            b"data: 1\n\n",
            b"data: null\n\n",
            b": quiet\n\n",
        ]
    ),
    max_size=8,
).map(b"".join)


@pytest.mark.timeout(0)
def test_headers_and_bodies(tmp_path: Path) -> None:
    """Each is taken, or refused as the caller's mistake; none comes back as more than one header."""
    with playing(tmp_path) as (portal, service, _):

        @cases(120)
        @given(SENT, st.just(b'{"task": "hi"}') | st.binary(max_size=60))
        def answered(headers: dict[str, str], body: bytes) -> None:
            raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            content_type = {} if "Content-Type" in headers else {b"Content-Type": b"application/json"}

            async def post() -> httpx.Response:
                return await service.client.post("/agents/assistant/run", content=body, headers=raw | content_type)

            answer = portal.call(post)
            assert answer.status_code in ANSWERS, answer.text
            assert len(answer.headers.get_list("X-Request-ID")) == 1
            if answer.is_success:
                assert answer.json()["user_id"] == (headers.get("X-User-ID") or None)

        answered()


@pytest.mark.timeout(0)
@pytest.mark.filterwarnings("ignore::UserWarning")  # AutoGen's, of an answer's end that it does not know
@pytest.mark.parametrize("agent", ["assistant", "weather"])
def test_a_provider_that_says_anything(agent: str, tmp_path: Path) -> None:
    """The run completes with what there was, or it is the provider that failed.

    AutoGen itself fails an agent that is to reflect on its tools' results, and whose model calls another instead.
    """
    with playing(tmp_path) as (portal, service, openai):

        @cases(60)
        @given(FRAMES)
        def ends(frames: bytes) -> None:
            openai.replies = lambda _: Garbage(frames)

            async def run() -> Any:
                return await service.client.post(f"/agents/{agent}/run", json={"task": "hi", "timeout_s": 10})

            answer = portal.call(run)
            reflecting = agent == "weather" and "failed with RuntimeError" in answer.text
            assert answer.status_code in (200, 502) or reflecting, answer.text

        ends()
