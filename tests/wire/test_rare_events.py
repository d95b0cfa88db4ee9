"""What happens seldom in a run, as the protocols tell it and their own clients read it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.events import (
    InputRequest,
    InputRequired,
    MessageAdded,
    Placed,
    Position,
    Run,
    RunEnded,
    RunEvent,
    RunRestarted,
    RunStarted,
    RunStatus,
    TextDelta,
    ThoughtDelta,
)
from app.messages import Text, ToolCall, ToolResult
from app.wire import ag_ui, ai_sdk
from tests.servers.raw import RawServer, answer
from tests.wire.node import client

NOW = datetime(2027, 1, 1, tzinfo=UTC)
RUN = Run(
    run_id="run", agent="a", session_id="s", user_id=None, status=RunStatus.RUNNING, trace_id="0" * 32, created_at=NOW
)
BEGUN = RunStarted("a", "s", "0" * 32, 1)
GOOD = (
    TextDelta("a", "2", "Good."),
    MessageAdded(Text(id="2", source="a", created_at=NOW, content="Good.")),
    RunEnded(replace(RUN, status=RunStatus.COMPLETED, output="Good.")),
)
CALL: dict[str, Any] = {"source": "a", "created_at": NOW, "call_id": "c", "name": "f"}
ASKED = InputRequired(InputRequest(input_id="q", prompt="Which?", source="a", expires_at=NOW.replace(year=2999)))
CASES: dict[str, tuple[RunEvent, ...]] = {
    "a run that begins anew": (BEGUN, TextDelta("a", "1", "Bad"), RunRestarted("a", "s", "0" * 32, 2), *GOOD),
    "a stream that ends first": (BEGUN, ThoughtDelta("a", "t", "Hm."), TextDelta("a", "1", "Goo")),
    "two calls of one id": (
        BEGUN,
        *[
            MessageAdded(each)
            for number in (1, 2)
            for each in (
                ToolCall(id=f"call-{number}", arguments={"n": number}, **CALL),
                ToolResult(id=f"result-{number}", content=str(number), is_error=number == 2, **CALL),
            )
        ],
        *GOOD,
    ),
    "a question that was answered": (BEGUN, ASKED, *GOOD),
}


async def placed(events: tuple[RunEvent, ...]) -> AsyncIterator[list[Placed]]:
    for seq, event in enumerate(events, 1):
        yield [(Position(1, seq), event)]


async def written(frames: AsyncIterator[bytes]) -> RawServer:
    return RawServer(answer(b"".join([frame async for frame in frames])))


async def by_ai_sdk(events: tuple[RunEvent, ...]) -> Any:
    async with await written(ai_sdk.frames(RUN, placed(events))) as server:
        return await client("ai-sdk.mjs", api=server.url, id="s", steps=[["resume", None]])


async def by_ag_ui(events: tuple[RunEvent, ...]) -> Any:
    shown = ag_ui.messages_of([{"id": "said-1", "role": "user", "content": "Hello."}])
    asked = ag_ui.Asked(thread_id="s", run_id="run-1", state=None, shown=shown)
    async with await written(ag_ui.frames(asked, RUN, placed(events))) as server:
        return await client("ag-ui.mjs", url=server.url, threadId="s", steps=[["say", "Hello."]])


def parts(held: Any) -> list[list[Any]]:
    return [
        [(part["type"], part.get("text", part.get("toolCallId"))) for part in message["parts"]]
        for message in held["messages"]
    ]


async def test_of_the_ai_sdk() -> None:
    held = {name: await by_ai_sdk(events) for name, events in CASES.items()}
    begun = ("step-start", None)
    assert {name: (each["status"], parts(each)) for name, each in held.items()} == {
        "a run that begins anew": ("ready", [[begun, ("text", "Good.")]]),
        "a stream that ends first": ("ready", [[begun, ("reasoning", "Hm."), ("text", "Goo")]]),
        "two calls of one id": (
            "ready",
            [[begun, ("dynamic-tool", "c"), ("dynamic-tool", "call-2"), ("text", "Good.")]],
        ),
        "a question that was answered": (
            "ready",
            [[begun, ("data-input-required", None)], [begun, ("text", "Good.")]],
        ),
    }
    assert held["a stream that ends first"]["finishes"][0]["finishReason"] == "interrupted"
    assert [message["id"] for message in held["a question that was answered"]["messages"]] == ["run", "run:q"]


async def test_of_ag_ui() -> None:
    held = {name: await by_ag_ui(events) for name, events in CASES.items()}
    told = {
        name: [(message["role"], message.get("content")) for message in each["messages"][1:]]
        for name, each in held.items()
    }
    assert {name: each["errors"] for name, each in held.items() if each["errors"]} == {
        "a stream that ends first": ["stream-ended"]
    }
    assert told == {
        "a run that begins anew": [("assistant", "Good.")],
        "a stream that ends first": [("reasoning", "Hm."), ("assistant", "Goo")],
        "two calls of one id": [
            ("assistant", None),
            ("tool", "1"),
            ("assistant", None),
            ("tool", "2"),
            ("assistant", "Good."),
        ],
        "a question that was answered": [("assistant", "Good.")],
    }
