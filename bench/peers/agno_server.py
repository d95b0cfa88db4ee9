"""agno's AgentOS as its documentation has it, with telemetry and storage off."""

import os
import sys

import uvicorn
from agno.agent import Agent
from agno.models.openai import OpenAIChat
from agno.os import AgentOS


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def model() -> OpenAIChat:
    return OpenAIChat(id="gpt-4o-mini", base_url=os.environ["MODEL_BASE_URL"], api_key="sk-bench", max_retries=0)


agents = [
    Agent(id="bench", model=model(), telemetry=False),
    Agent(id="tool", model=model(), tools=[add], telemetry=False),
]
app = AgentOS(agents=agents, telemetry=False).get_app()

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
