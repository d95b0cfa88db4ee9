"""The OpenAI Agents SDK in FastAPI, untraced, with chat completions as every provider has them."""

import os
import sys
from collections.abc import AsyncIterator

import uvicorn
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from fastapi import FastAPI
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

set_tracing_disabled(disabled=True)
app = FastAPI()
CLIENT = AsyncOpenAI(base_url=os.environ["MODEL_BASE_URL"], api_key="sk-bench", max_retries=0)
MODEL = OpenAIChatCompletionsModel(model="gpt-4o-mini", openai_client=CLIENT)


class Question(BaseModel):
    """What is asked."""

    task: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


AGENT = Agent(name="bench", instructions="You are a helpful assistant.", model=MODEL)
CALCULATOR = Agent(name="bench", instructions="You are a helpful assistant.", model=MODEL, tools=[function_tool(add)])


@app.post("/run")
async def run(question: Question) -> dict[str, str]:
    """One answer."""
    return {"output": (await Runner.run(AGENT, question.task)).final_output}


@app.post("/tool")
async def tool(question: Question) -> dict[str, str]:
    """One answer, after a tool's."""
    return {"output": (await Runner.run(CALCULATOR, question.task)).final_output}


@app.post("/stream")
async def stream(question: Question) -> EventSourceResponse:
    """The same as events."""

    async def events() -> AsyncIterator[dict[str, str]]:
        async for event in Runner.run_streamed(AGENT, question.task).stream_events():
            if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
                yield {"event": "delta", "data": event.data.model_dump_json()}

    return EventSourceResponse(events())


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
