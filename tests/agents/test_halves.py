"""Half characters, which no JSON can be written of: a run that meets one goes on, is shown, and is kept."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.agents.halves import whole, whole_message
from app.messages import Text as TextSaid
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Text, ToolCall, ToolCalls
from tests.service import serving

LISTER = '''
from autogen_agentchat.agents import AssistantAgent

async def listing() -> str:
    """Names as Python has those that are not UTF-8."""
    return "caf\\udce9.txt"

def build(context):
    return AssistantAgent("lister", context.model(), tools=[listing], model_client_stream=True)
'''
REPLIES: dict[str, tuple[list[Reply], str]] = {
    "a tool's result": ([ToolCalls((ToolCall("listing", {}),))], "caf\ufffd.txt"),
    "a model's words": ([Text("half \ud83d", chunks=("half ", "\ud83d"))], "half \ufffd"),
    "a tool's name": (
        [ToolCalls((ToolCall("list\ud800", {"a": "\udfff"}),))],
        "Error: tool 'list\ufffd' not found in any workbench",
    ),
}


@pytest.mark.parametrize(("replies", "output"), REPLIES.values(), ids=REPLIES)
async def test_a_run_with_half_a_character_ends(
    replies: list[Reply], output: str, openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Any
) -> None:
    """Its stream broke off without an end, and it was running for ever; the next turn has it from the saved state."""
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "lister.py").write_text(LISTER)
    openai.replies = [*replies, Text("Fine.")]
    async with serving(**with_openai, agents_dir=folder) as service:
        events = await service.stream("lister", "hi", session_id="s")
        assert (events[-1].type, events[-1].data["run"]["output"]) == ("run.completed", output)
        deltas = "".join(event.data["delta"] for event in events if event.type == "text.delta")
        assert deltas in ("", output)
        assert (await service.run("lister", "And now?", session_id="s"))["output"] == "Fine."
        assert [message["type"] for message in (await service.get("/sessions/s/messages"))["items"]].count("text") == 4


def test_what_is_whole_is_left_alone() -> None:
    """And the rest of what is not."""
    said = TextSaid(id="1", source="ann", created_at=datetime.now(UTC), content="Zürich 🐝")
    assert whole_message(said) is said
    assert whole({"a": ["x\ud800y", 1, None], "\udfff": "ü"}) == {"a": ["x\ufffdy", 1, None], "\ufffd": "ü"}
