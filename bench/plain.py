"""The yardstick: AutoGen in FastAPI as its documentation has it, untraced, storing nothing."""

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

app = FastAPI()
INFO: Any = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "family": "unknown",
}
CLIENTS: dict[str, OpenAIChatCompletionClient] = {}


class Question(BaseModel):
    """What is asked."""

    task: str


def agent(model: str, *, stream: bool) -> AssistantAgent:
    """A new agent on a shared client."""
    if model not in CLIENTS:
        CLIENTS[model] = OpenAIChatCompletionClient(
            model=model, base_url=os.environ["MODEL_BASE_URL"], api_key="sk-bench", model_info=INFO
        )
    return AssistantAgent("bench", CLIENTS[model], model_client_stream=stream)


@app.post("/agents/{model}/run")
async def run(model: str, question: Question) -> dict[str, Any]:
    """One answer."""
    result = await agent(model, stream=False).run(task=question.task)
    return {"messages": [message.model_dump(mode="json") for message in result.messages]}


@app.post("/agents/{model}/stream")
async def stream(model: str, question: Question) -> EventSourceResponse:
    """The same as events."""

    async def events() -> AsyncIterator[dict[str, str]]:
        async for item in agent(model, stream=True).run_stream(task=question.task):
            if isinstance(item, ModelClientStreamingChunkEvent):
                yield {"event": "delta", "data": item.model_dump_json()}

    return EventSourceResponse(events())


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
