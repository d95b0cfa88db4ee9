"""Whatever is wrong is said as RFC 9457 problem+json, with the status that the contract names."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.errors import AppError
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import dead_url
from tests.servers.replies import Cut, Garbage, Hang, HttpError, Reply
from tests.service import Service, serving

RUN = "/agents/assistant/run"
STREAM = "/agents/assistant/stream"
JSON = {"content-type": "application/json"}
MiB = 2**20


def problem_of(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["type"]) == (status, f"urn:waggle:problem:{kind}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"]
    return problem


@pytest.mark.parametrize("path", [RUN, STREAM])
@pytest.mark.parametrize(
    ("content", "headers", "status", "kind"),
    [
        pytest.param(b"{not json", JSON, 400, "bad-request", id="not JSON"),
        pytest.param(b"", JSON, 422, "invalid-input", id="no body"),
        pytest.param(b"task=hi", {"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
        pytest.param(b'{"task": "hi"}', {}, 415, "unsupported-media-type", id="no media type"),
        pytest.param(b'{"task": "' + b"x" * 5 * MiB + b'"}', JSON, 413, "body-too-large", id="5 MiB"),
        pytest.param(b'{"task": 7}', JSON, 422, "invalid-input", id="wrong type"),
        pytest.param(b'{"task": ""}', JSON, 422, "invalid-input", id="empty task"),
        pytest.param(b'{"task": []}', JSON, 422, "invalid-input", id="no parts"),
        pytest.param(b'{"task": "hi", "colour": 1}', JSON, 422, "invalid-input", id="unknown field"),
        pytest.param(b'{"task": "hi", "session_id": "a b"}', JSON, 422, "invalid-input", id="session id"),
        pytest.param(b'{"task": "hi", "timeout_s": 0}', JSON, 422, "invalid-input", id="no time"),
        pytest.param(b'{"task": "hi", "timeout_s": NaN}', JSON, 422, "invalid-input", id="NaN"),
        pytest.param(b'{"task": "hi", "metadata": {"a": 1}}', JSON, 422, "invalid-input", id="metadata type"),
        pytest.param(b'{"task": "\\ud800"}', JSON, 422, "invalid-input", id="lone surrogate"),
        pytest.param(b"[" * 100_000, JSON, 400, "bad-request", id="nested too deep"),
        pytest.param(
            b'{"task": "hi", "session_id": "a"}', JSON | {"x-session-id": "b"}, 422, "invalid-input", id="two sessions"
        ),
        pytest.param(
            b'{"task": "hi", "user_id": "a"}', JSON | {"x-user-id": "b"}, 422, "invalid-input", id="two users"
        ),
    ],
)
async def test_bad_input_is_refused(
    path: str, content: bytes, headers: dict[str, str], status: int, kind: str, service: Service, openai: OpenAIWire
) -> None:
    """It is told before anything runs, on a stream too; the model hears nothing of it."""
    response = await service.client.post(path, content=content, headers=headers)
    problem = problem_of(response, status, kind)
    if kind == "invalid-input":
        assert all(error["loc"] and error["msg"] for error in problem["errors"])
    assert not openai.requests


async def test_the_errors_name_each_wrong_field(service: Service) -> None:
    """`errors` says where, and does not repeat the value."""
    body = {"task": "hi", "timeout_s": "sk-secret", "extra": 1}
    response = await service.client.post(RUN, json=body)
    problem = problem_of(response, 422, "invalid-input")
    assert {tuple(error["loc"]) for error in problem["errors"]} == {("body", "timeout_s"), ("body", "extra")}
    assert "sk-secret" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", RUN, 405),
        ("DELETE", "/agents", 405),
    ],
)
async def test_http_errors_are_problems_too(method: str, path: str, status: int, service: Service) -> None:
    """Also those that the framework itself finds."""
    response = await service.client.request(method, path)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert response.json()["status"] == status


@pytest.mark.parametrize(
    "path",
    ["/agents/nobody", "/runs/nothing", "/runs/nothing/trace", "/sessions/none", "/sessions/none/messages"],
)
async def test_what_does_not_exist_is_404(path: str, service: Service) -> None:
    """Unknown agents, runs and sessions."""
    problem_of(await service.client.get(path), 404, "not-found")


async def test_an_unknown_agent_is_404_for_a_run_and_a_stream(service: Service) -> None:
    """Known before the run starts, so a status on both."""
    for path in ("/agents/nobody/run", "/agents/nobody/stream"):
        problem_of(await service.client.post(path, json={"task": "hi"}), 404, "not-found")


FAILURES: list[Any] = [
    pytest.param(HttpError(401, "key sk-secret is wrong"), 502, "provider-failed", "credentials", id="refused key"),
    pytest.param(HttpError(429, "slow down", retry_after=0.01), 502, "provider-failed", "rate limit", id="rate limit"),
    pytest.param(HttpError(400, "bad prompt"), 502, "provider-failed", "rejected", id="bad request"),
    pytest.param(HttpError(500, "oops"), 502, "provider-failed", "unavailable", id="down"),
    pytest.param(Garbage(), 502, "provider-failed", "", id="garbage"),
    pytest.param(Cut(), 502, "provider-failed", "", id="cut"),
    pytest.param(Hang(), 502, "provider-failed", "in time", id="silent"),
]


@pytest.mark.parametrize(("reply", "status", "kind", "word"), FAILURES)
@pytest.mark.parametrize("agent", ["assistant", "research"])
async def test_a_failing_provider_is_told_in_our_words(
    agent: str,
    reply: Reply,
    status: int,
    kind: str,
    word: str,
    openai: OpenAIWire,
    with_openai: dict[str, object],
) -> None:
    """An agent's and a team's failure alike: which kind, and nothing that the provider said. The session is free."""
    openai.replies = lambda _: reply
    async with serving(**with_openai, model_timeout_s=0.5, model_max_retries=0) as service:
        response = await service.client.post(f"/agents/{agent}/run", json={"task": "hi", "session_id": "s"})
        problem = problem_of(response, status, kind)
        assert word in problem["detail"]
        assert problem["run_id"] == response.headers["X-Run-ID"]
        for foreign in ("sk-", "Traceback", "secret", "slow down", "bad prompt", "oops", openai.url, "/app/"):
            assert foreign not in response.text
        events = await service.stream(agent, "hi", session_id="s")
        assert events[-1].type == "run.failed"
        assert events[-1].data["error"]["type"] == problem["type"]
        assert events[-1].data["run"]["status"] == "failed"
        run = await service.get(f"/runs/{problem['run_id']}")
        assert (run["status"], run["error"]["type"]) == ("failed", problem["type"])
        openai.replies = ()
        assert (await service.run(agent, "again", session_id="s"))["status"] == "completed"


async def test_a_provider_that_is_not_there_is_502(with_openai: dict[str, object]) -> None:
    """Connection refused."""
    async with serving(**with_openai | {"model_base_url": f"{dead_url()}/v1"}, model_max_retries=0) as service:
        problem = await service.run("assistant", "hi", status=502)
        assert problem["detail"] == "The model provider is unavailable."


async def test_a_deadline_is_504_and_stops_the_model(openai: OpenAIWire, service: Service) -> None:
    """`timeout_s` ends the run, its model call with it, and a stream says so at its end."""
    openai.replies = lambda _: Hang(("one ",))
    response = await service.client.post(RUN, json={"task": "hi", "timeout_s": 0.3})
    problem_of(response, 504, "run-timeout")
    await openai.until_abandoned(1)
    events = await service.stream("assistant", "hi", timeout_s=0.3)
    assert (events[-1].type, events[-1].data["error"]["status"]) == ("run.failed", 504)
    await openai.until_abandoned(2)


async def test_without_a_model_everything_but_runs_is_served(tmp_path: Any) -> None:
    """The service starts; readiness and every run say what to install or set."""
    settings = {"data_dir": tmp_path, "model_path": tmp_path / "no-such.gguf"}
    async with serving(**settings) as service:
        ready = await service.get("/readyz", status=503)
        assert ready["checks"]["model"]["status"] == "failed"
        reason = ready["checks"]["model"]["reason"]
        for path in (RUN, STREAM):
            problem = problem_of(await service.client.post(path, json={"task": "hi"}), 503, "model-unavailable")
            assert problem["detail"] == reason
        agents = (await service.get("/agents"))["items"]
        assert {agent["status"] for agent in agents} == {"ready"}


async def test_a_missing_key_names_the_variable(tmp_path: Any) -> None:
    """One sentence that says what to set."""
    async with serving(data_dir=tmp_path, model="anthropic:claude-haiku-4-5") as service:
        problem = await service.run("assistant", "hi", status=503)
        assert "ANTHROPIC_API_KEY" in problem["detail"]


async def test_at_capacity_a_run_is_refused_with_a_time_to_come_back(
    openai: OpenAIWire, with_openai: dict[str, object]
) -> None:
    """503 and Retry-After; when a place is free again, it is taken."""
    openai.replies = [Hang(("one ",))]
    async with serving(**with_openai, max_concurrent_runs=1) as service:
        async with service.streaming("assistant", "first") as events:
            async for first in events:
                if first.type == "text.delta":  # the model hangs for this one, not for the third
                    break
            response = await service.client.post(RUN, json={"task": "second"})
            problem_of(response, 503, "unavailable")
            assert int(response.headers["Retry-After"]) > 0
            await service.client.post(f"/runs/{first.data['run_id']}/cancel")
        assert (await service.run("assistant", "third"))["status"] == "completed"


async def test_pages_may_call_from_the_origins_that_are_allowed(with_openai: dict[str, object]) -> None:
    """CORS: a preflight is answered, and scripts may read the run's headers."""
    async with serving(**with_openai, cors_origins=("https://app.example",)) as service:
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        preflight = await service.client.options(RUN, headers=headers | {"Access-Control-Request-Headers": "x-user-id"})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        answer = await service.client.post(RUN, json={"task": "hi"}, headers={"Origin": "https://app.example"})
        assert "X-Run-ID" in answer.headers["access-control-expose-headers"]
        other = await service.client.post(RUN, json={"task": "hi"}, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_every_error_has_a_name_of_its_own() -> None:
    """`type` tells the errors of the tree apart."""

    def tree(error: type[AppError]) -> list[type[AppError]]:
        return [error, *(below for child in error.__subclasses__() for below in tree(child))]

    named: Callable[[type[AppError]], bool] = lambda error: "kind" in vars(error)  # noqa: E731
    kinds = [error.kind for error in tree(AppError) if named(error)]
    assert len(kinds) == len(set(kinds)) > 10


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_nul_fails_nothing(database: str, with_openai: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """Postgres keeps none in text: where one could come to stand there it is refused, elsewhere it is a character."""
    if database == "postgres":
        with_openai["database_url"] = request.getfixturevalue("postgres_url")
    async with serving(**with_openai) as service:
        run = await service.run("assistant", "a\0b", metadata={"c\0": "\0d"})
        assert run["output"] == "You said: a\0b"
        assert (await service.get(f"/runs/{run['run_id']}"))["metadata"] == {"c\0": "\0d"}
        for path in ("/runs/a%00", "/sessions/%00/messages", "/runs/%00/stream"):
            problem_of(await service.client.get(path), 404, "not-found")
        for said in ({"label": "\0"}, {"comment": "a\0"}):
            answer = await service.client.post(f"/runs/{run['run_id']}/feedback", json={"score": 1} | said)
            problem_of(answer, 422, "invalid-input")
