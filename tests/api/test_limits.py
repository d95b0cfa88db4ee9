"""Each limit, from outside: its problem, its headers, and that it is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from app.settings import Settings
from tests.api.test_problems import problem_of
from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import bomb, data_uri, image_part, picture
from tests.servers.replies import Hang
from tests.service import Service, serving

BODY = {"task": "hi", "user_id": "ann"}


async def counted(service: Service, reason: str) -> bool:
    return f'waggle_rejections_total{{reason="{reason}"}} 1.0' in (await service.client.get("/metrics")).text


@pytest.mark.parametrize("shared", [False, True], ids=["in memory", "in Redis"])
async def test_a_caller_begins_so_many_runs_a_time(
    with_openai: dict[str, Any], shared: bool, request: pytest.FixtureRequest, openai: OpenAIWire
) -> None:
    """Each way to begin one counts, and what is left is told; another caller has a rate of its own."""
    settings = {"rate_limit": "3/hour"} | ({"redis_url": request.getfixturevalue("redis_url")} if shared else {})
    async with serving(**with_openai, **settings) as service:
        left = []
        for way in ("run", "stream", "runs"):
            answer = await service.client.post(f"/agents/assistant/{way}", json=BODY)
            assert answer.is_success
            left.append((answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]))
            assert answer.headers["ratelimit-policy"] == "3;w=3600"
        assert left == [("3", "2"), ("3", "1"), ("3", "0")]
        by_url = await service.client.get("/agents/assistant/stream?task=hi&user_id=ann")
        posted = await service.client.post("/agents/assistant/run", json=BODY)
        for refused in (by_url, posted):
            problem_of(refused, 429, "rate-limited")
            assert 0 < int(refused.headers["retry-after"]) <= 3600
            assert refused.headers["ratelimit-remaining"] == "0"
        assert 'waggle_rejections_total{reason="rate-limited"} 2.0' in (await service.client.get("/metrics")).text
        assert (await service.client.post("/agents/assistant/run", json=BODY | {"user_id": "bob"})).status_code == 200
        assert (await service.client.get("/sessions?user_id=ann")).status_code == 200
    assert len(openai.requests) == 4


async def test_a_caller_has_so_many_runs_at_once(with_openai: dict[str, Any], openai: OpenAIWire) -> None:
    """Those that go on, wherever; one that has ended makes room."""
    openai.replies = lambda _: Hang()
    async with serving(**with_openai, max_runs_per_caller=1) as service:
        first = (await service.client.post("/agents/assistant/runs", json=BODY)).json()
        refused = await service.client.post("/agents/assistant/run", json=BODY)
        problem_of(refused, 429, "rate-limited")
        assert refused.headers["retry-after"] == "1"
        assert await counted(service, "rate-limited")
        await service.client.post(f"/runs/{first['run_id']}/cancel", headers={"X-User-ID": "ann"})
        assert (await service.client.post("/agents/assistant/runs", json=BODY)).status_code == 202


async def test_a_days_budget(with_openai: dict[str, Any]) -> None:
    """The run that exceeds it ends; the next is refused until tomorrow."""
    async with serving(**with_openai, budget_tokens=5) as service:
        await service.run("assistant", "hi", user_id="ann")
        refused = await service.client.post("/agents/assistant/stream", json=BODY)
        problem_of(refused, 429, "budget-spent")
        assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600 + 1
        assert await counted(service, "budget-spent")
        await service.run("assistant", "hi", user_id="bob")


async def test_sizes(with_openai: dict[str, Any]) -> None:
    """Of tasks, in text and in parts, of sessions, and of bodies."""
    async with serving(**with_openai, max_task_chars=10, max_session_turns=1, max_body_bytes=1024) as service:
        parts = [{"type": "text", "text": "123456"}, {"type": "text", "text": "78901"}]
        for task in ("12345678901", parts):
            problem = problem_of(
                await service.client.post("/agents/assistant/run", json={"task": task}), 422, "invalid-input"
            )
            assert problem["errors"] == [{"loc": ["body", "task"], "msg": "Has 11 characters."}]
        await service.run("assistant", "1234567890", session_id="s")
        full = await service.client.post("/agents/assistant/run", json={"task": "hi", "session_id": "s"})
        problem_of(full, 409, "session-full")
        assert await counted(service, "session-full")
        large = await service.client.post("/agents/assistant/run", json={"task": "x" * 1024})
        problem_of(large, 413, "body-too-large")
        assert await counted(service, "body-too-large")


async def test_a_burst_is_held_to_the_rate(with_openai: dict[str, Any]) -> None:
    """Of 30 at once no more begin than may."""
    statuses: list[int] = []
    async with serving(**with_openai, rate_limit="5/hour") as service:

        async def post() -> None:
            statuses.append((await service.client.post("/agents/assistant/run", json=BODY)).status_code)

        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(post)
    assert (statuses.count(200), statuses.count(429)) == (5, 25)


@dataclass(frozen=True)
class Limit:
    """What is over it, after `before`, and how that is answered."""

    settings: Mapping[str, Any]
    status: int
    kind: str
    body: Mapping[str, Any] = field(default_factory=lambda: {"task": "hi"})
    before: Sequence[Mapping[str, Any]] = ()
    """Runs that hang in the background."""
    headers: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    """Whether it is told when to try again."""
    reason: str | None = None
    """In `waggle.rejections`; a wrong field is the caller's mistake, and is counted with the requests alone."""


HELD = {"task": "hi", "session_id": "s"}
PARTS = [{"type": "text", "text": "x"}]
LIMITS = {
    "MAX_BODY_BYTES": Limit(
        {"max_body_bytes": 1024}, 413, "body-too-large", {"task": "x" * 1024}, reason="body-too-large"
    ),
    "MAX_TASK_CHARS": Limit({"max_task_chars": 9}, 422, "invalid-input", {"task": "1234567890"}),
    "parts of a task": Limit({}, 422, "invalid-input", {"task": PARTS * 101}),
    "images of a task": Limit({}, 422, "invalid-input", {"task": [image_part(data_uri(picture()))] * 21}),
    "pixels of a task": Limit({}, 422, "invalid-input", {"task": [image_part(data_uri(bomb()))]}),
    "images fetched": Limit({}, 422, "invalid-input", {"task": [image_part("https://images.example/a.png")]}),
    "pairs of metadata": Limit({}, 422, "invalid-input", HELD | {"metadata": {str(n): "" for n in range(17)}}),
    "characters of metadata": Limit({}, 422, "invalid-input", HELD | {"metadata": {"a": "x" * 513}}),
    "characters of a name in it": Limit({}, 422, "invalid-input", HELD | {"metadata": {"x" * 513: "a"}}),
    "a session's id": Limit({}, 422, "invalid-input", {"task": "hi", "session_id": "x" * 129}),
    "a user's id": Limit({}, 422, "invalid-input", {"task": "hi", "user_id": "x" * 129}),
    "a webhook's URL": Limit({}, 422, "invalid-input", HELD | {"webhook_url": "https://a/" + "x" * 2048}),
    "Idempotency-Key": Limit({}, 422, "invalid-input", headers={"Idempotency-Key": "x" * 256}),
    "MAX_CONCURRENT_RUNS": Limit(
        {"max_concurrent_runs": 1}, 503, "unavailable", before=[{"task": "1"}], again=True, reason="capacity"
    ),
    "MAX_QUEUED_RUNS": Limit(
        {"max_queued_runs": 1},
        503,
        "unavailable",
        HELD | {"if_busy": "enqueue"},
        before=[HELD, HELD | {"if_busy": "enqueue"}],
        again=True,
        reason="queue",
    ),
    "one run a session": Limit({}, 409, "session-busy", HELD, before=[HELD], again=True),
    "MAX_RUNS_PER_CALLER": Limit(
        {"max_runs_per_caller": 1}, 429, "rate-limited", before=[HELD], again=True, reason="rate-limited"
    ),
    "RATE_LIMIT": Limit(
        {"rate_limit": "1/hour"}, 429, "rate-limited", before=[HELD], again=True, reason="rate-limited"
    ),
    "RUN_TIMEOUT_S": Limit({"run_timeout_s": 0.2}, 504, "run-timeout"),
    "credentials": Limit({"api_keys": "acme:sk-123456"}, 401, "unauthorized", reason="unauthorized"),
    "ALLOWED_HOSTS": Limit({}, 421, "wrong-host", headers={"Host": "evil.example"}, reason="wrong-host"),
    "CORS_ORIGINS": Limit({}, 403, "forbidden", headers={"Origin": "https://evil.example"}, reason="forbidden"),
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
async def test_each_limit(limit: Limit, with_openai: dict[str, Any], openai: OpenAIWire) -> None:
    """Its problem, when to come back, and that it is counted once."""
    openai.replies = lambda _: Hang()
    async with serving(**with_openai, **limit.settings) as service:
        for body in limit.before:
            assert (await service.client.post("/agents/assistant/runs", json=body)).status_code == 202
            await openai.until_asked(1)
        refused = await service.client.post("/agents/assistant/run", json=limit.body, headers=limit.headers)
        problem_of(refused, limit.status, limit.kind)
        assert ("retry-after" in refused.headers) is limit.again
        if limit.reason is not None and "api_keys" not in limit.settings:
            assert await counted(service, limit.reason)


def test_the_table_has_every_limit_among_the_settings() -> None:
    """But those that tests of their own look at."""
    own = {"MAX_SESSION_TURNS", "BUDGET_TOKENS", "BUDGET_USD", "MAX_RUN_EVENTS", "MAX_RESTARTS", "MODEL_MAX_RETRIES"}
    own |= {"STREAM_MAX_S", "MAX_MESSAGE_CHARS", "MAX_LOOP_LAG_MS"}
    limits = {name.upper() for name in Settings.model_fields if name.startswith(("max_", "budget_", "rate_"))}
    limits |= {name.upper() for name in Settings.model_fields if "_max_" in name}
    assert limits - own <= set(LIMITS)
