"""The yardstick: AutoGen in FastAPI as its documentation has it, storing nothing; an agent per request.

`TRACING=otlp` traces it as AutoGen's and FastAPI's guides do: contrib's instrumentation, OpenInference's, and OTLP.
`TRACING=honeyhive` is HoneyHive's guide: its tracer, with a session for each request.
"""

import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

TRACING = os.environ.get("TRACING", "")
TRACER: Any = None
app = FastAPI()
CLIENT = OpenAIChatCompletionClient(
    model="gpt-4o-mini", base_url=os.environ["MODEL_BASE_URL"], api_key="sk-bench", max_retries=0
)


class Question(BaseModel):
    """What is asked."""

    task: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def ask(agent: AssistantAgent, task: str) -> dict[str, Any]:
    """One answer."""
    if TRACER is not None:
        await TRACER.acreate_session(session_name="bench")
    result = await agent.run(task=task)
    return {"messages": [message.model_dump(mode="json") for message in result.messages]}


@app.post("/run")
async def run(question: Question) -> dict[str, Any]:
    """One answer."""
    return await ask(AssistantAgent("bench", CLIENT), question.task)


@app.post("/tool")
async def tool(question: Question) -> dict[str, Any]:
    """One answer, after a tool's."""
    return await ask(AssistantAgent("bench", CLIENT, tools=[add], reflect_on_tool_use=True), question.task)


SESSIONS: dict[str, Any] = {}


@app.post("/sessions/{session}")
async def turn(session: str, question: Question) -> dict[str, Any]:
    """One more answer of a conversation, as the guide on managing state has it: loaded, and saved again."""
    agent = AssistantAgent("bench", CLIENT)
    if session in SESSIONS:
        await agent.load_state(SESSIONS[session])
    answer = await ask(agent, question.task)
    SESSIONS[session] = await agent.save_state()
    return answer


@app.post("/stream")
async def stream(question: Question) -> EventSourceResponse:
    """The same as events."""

    async def events() -> AsyncIterator[dict[str, str]]:
        if TRACER is not None:
            await TRACER.acreate_session(session_name="bench")
        agent = AssistantAgent("bench", CLIENT, model_client_stream=True)
        async for item in agent.run_stream(task=question.task):
            if isinstance(item, ModelClientStreamingChunkEvent):
                yield {"event": "delta", "data": item.model_dump_json()}

    return EventSourceResponse(events())


def trace() -> None:
    """As the guides have it."""
    from openinference.instrumentation.openai import OpenAIInstrumentor  # noqa: PLC0415
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415

    if TRACING == "otlp":
        from opentelemetry import trace as otel  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        otel.set_tracer_provider(provider)
        OpenAIInstrumentor().instrument()
    else:
        from honeyhive import HoneyHiveTracer  # noqa: PLC0415

        global TRACER  # noqa: PLW0603
        TRACER = HoneyHiveTracer.init(api_key="hh_bench", server_url=os.environ["HH_API_URL"])
        OpenAIInstrumentor().instrument(tracer_provider=TRACER.provider)
    FastAPIInstrumentor.instrument_app(app)


if __name__ == "__main__":
    if TRACING:
        trace()
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
