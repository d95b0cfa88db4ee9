"""pydantic-ai in FastAPI, untraced."""

import os
import sys
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from sse_starlette import EventSourceResponse

app = FastAPI()
MODEL = OpenAIChatModel(
    "gpt-4o-mini", provider=OpenAIProvider(base_url=os.environ["MODEL_BASE_URL"], api_key="sk-bench")
)


class Question(BaseModel):
    """What is asked."""

    task: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


AGENT = Agent(MODEL, instructions="You are a helpful assistant.")
CALCULATOR = Agent(MODEL, instructions="You are a helpful assistant.", tools=[add])


@app.post("/run")
async def run(question: Question) -> dict[str, str]:
    """One answer."""
    return {"output": (await AGENT.run(question.task)).output}


@app.post("/tool")
async def tool(question: Question) -> dict[str, str]:
    """One answer, after a tool's."""
    return {"output": (await CALCULATOR.run(question.task)).output}


@app.post("/stream")
async def stream(question: Question) -> EventSourceResponse:
    """The same as events: each token as it comes, without the library's own joining of what comes within 0.1 s."""

    async def events() -> AsyncIterator[dict[str, str]]:
        async with AGENT.run_stream(question.task) as answer:
            async for text in answer.stream_text(delta=True, debounce_by=None):
                yield {"event": "delta", "data": text}

    return EventSourceResponse(events())


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
