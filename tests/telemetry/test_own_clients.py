"""The spans of calls through a client that a recipe makes itself."""

from pathlib import Path
from typing import Any

import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.replies import Text, ToolCall, ToolCalls
from tests.service import serving
from tests.telemetry.bench import of

AGENT = """
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

async def add(a: int, b: int) -> int:
    '''The sum.'''
    return a + b

def build(context):
    own = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url="{url}/v1", api_key="sk-own", max_retries=0)
    client = own if {own} else context.model()
    return AssistantAgent("mine", client, tools=[add], reflect_on_tool_use=True, model_client_stream={stream})
"""


@pytest.mark.parametrize("stream", [False, True])
async def test_they_tell_as_much_as_those_of_a_shared_one(
    stream: bool, openai: OpenAIWire, collector: Collector, with_openai: dict[str, Any], tmp_path: Path
) -> None:
    """The model that answered too, and when a stream of which nothing is handed on began to come."""
    (tmp_path / "agents").mkdir()
    for name, own in (("mine", True), ("shared", False)):
        (tmp_path / "agents" / f"{name}.py").write_text(AGENT.format(url=openai.url, own=own, stream=stream))
    settings = with_openai | {"agents_dir": tmp_path / "agents", "otel_exporter_otlp_endpoint": collector.url}
    traces = {}
    async with serving(**settings) as service:
        for name in ("mine", "shared"):
            openai.replies = [ToolCalls((ToolCall("add", {"a": 1, "b": 2}),)), Text("It is three.")]
            traces[name] = (await service.run(name, "hi"))["trace_id"]
    mine, shared = (
        of([span for span in collector.spans() if span.trace_id == traces[name]], "chat") for name in traces
    )
    assert len(mine) == 2
    for call, common in zip(mine, shared, strict=True):
        assert call.attributes["gen_ai.response.model"] == "gpt-4o-mini-2024-07-18"
        assert ("gen_ai.response.time_to_first_chunk" in call.attributes) is stream
        assert set(call.attributes) == set(common.attributes)
