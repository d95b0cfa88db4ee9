"""Each way in which a model's provider fails a run, from outside, alone and in a team."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.agents.folder import Folder, folder
from tests.faults.harness import SESSION, closed_spans, counted, survived
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Cut, Drip, Garbage, Hang, HttpError, Reply, Text, ToolCall, ToolCalls
from tests.service import serving

__all__ = ["folder"]

HTML = Garbage(b"<html>Welcome</html>", "text/html")
FLOOD = Drip("flood " * 100, 0)
DOWN, SLOW = "is unavailable", "did not answer in time"
UNREADABLE, LIMITED, ENDLESS = "could not be read", "rate limit", "longer than MAX_MESSAGE_CHARS"
SETTINGS = {"model_timeout_s": 0.5, "model_max_retries": 1, "max_message_chars": 20_000, "cancel_timeout_s": 1}


@dataclass(frozen=True, slots=True)
class Row:
    reply: Reply | None
    """None: nobody listens."""
    detail: str
    calls: int
    """How often the provider is asked: what fails before its first byte is tried again."""
    error: str
    """As the metric of model calls names it."""


TABLE = {
    "refused": Row(None, DOWN, 0, "APIConnectionError"),
    "silent": Row(Hang(), SLOW, 2, "APITimeoutError"),
    "silent in the middle": Row(Hang(("Well, ",)), SLOW, 1, "APITimeoutError"),
    "cut in the middle": Row(Cut(), DOWN, 1, "APIConnectionError"),
    "garbage": Row(Garbage(), UNREADABLE, 1, "UnreadableAnswerError"),
    "HTML with 200": Row(HTML, UNREADABLE, 1, "UnreadableAnswerError"),
    "nothing with 200": Row(Garbage(b""), UNREADABLE, 1, "UnreadableAnswerError"),
    "429": Row(HttpError(429), LIMITED, 2, "RateLimitError"),
    "429 with Retry-After": Row(HttpError(429, retry_after=0.01), LIMITED, 2, "RateLimitError"),
    "500": Row(HttpError(500), DOWN, 2, "InternalServerError"),
    "503": Row(HttpError(503), DOWN, 2, "InternalServerError"),
    "503 with Retry-After": Row(HttpError(503, retry_after=0.01), DOWN, 2, "InternalServerError"),
    "endless": Row(FLOOD, ENDLESS, 1, "AnswerTooLongError"),
}


@pytest.mark.filterwarnings("ignore:No text content or tool calls:UserWarning")  # AutoGen's, of an empty stream
@pytest.mark.parametrize("agent", ["assistant", "research"])
@pytest.mark.parametrize("fault", TABLE)
async def test_a_provider_fails(
    fault: str, agent: str, openai: OpenAIWire, with_openai: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The caller is told which kind, by status and at a stream's end; the metric says which error."""
    row = TABLE[fault]
    async with serving(**with_openai | SETTINGS) as service, survived(service, openai, agent):
        asked = len(openai.requests)
        if (reply := row.reply) is None:
            await openai.stop()
        else:
            openai.replies = lambda _: reply
        response = await service.client.post(f"/agents/{agent}/run", json={"task": "hi", "session_id": SESSION})
        problem = response.json()
        assert (response.status_code, problem["type"]) == (502, "urn:waggle:problem:provider-failed")
        assert row.detail in problem["detail"]
        assert len(openai.requests) - asked == row.calls
        events = await service.stream(agent, "hi", session_id=SESSION)
        assert (events[-1].type, events[-1].data["error"]["detail"]) == ("run.failed", problem["detail"])
        spans = await closed_spans(service, problem["run_id"])
        assert [span for span in spans if span["name"].startswith("chat ") and span["status"] == "error"]
        assert await counted(service, "gen_ai_client_operation_duration_seconds_count", f'error_type="{row.error}"')
        assert await counted(service, "waggle_runs_total", f'agent="{agent}"', 'status="failed"')
        assert f"Agent {agent!r} failed" in caplog.text
        await openai.until_idle()
        if reply is None:
            await openai.start()


TERSE = """
from autogen_agentchat.agents import AssistantAgent

def build(context):
    return AssistantAgent("terse", context.model())
"""


@pytest.mark.parametrize("reply", [Text("x" * 20_001), ToolCalls((ToolCall("t", {"a": "x" * 20_000}),))], ids=type)
async def test_an_answer_beyond_the_limit_that_comes_as_a_whole(
    reply: Reply, openai: OpenAIWire, with_openai: dict[str, Any], folder: Folder
) -> None:
    """It is neither kept nor sent to anybody."""
    folder.add("terse.py", TERSE)
    async with serving(**with_openai | SETTINGS) as service, survived(service, openai, "terse"):
        openai.replies = [reply]
        problem = await service.run("terse", "hi", status=502, session_id=SESSION)
        assert ENDLESS in problem["detail"]
        assert "xxx" not in str(await service.get(f"/runs/{problem['run_id']}"))
