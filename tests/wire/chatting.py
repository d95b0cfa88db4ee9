"""The agents that protocols are tried with, beside those that the service has by itself."""

from pathlib import Path

from tests.api.test_runs import TICKET
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls

ASSISTANT = '''
from autogen_agentchat.agents import AssistantAgent

def build(context):
    """Answers."""
    return AssistantAgent("{name}", context.model(), model_client_stream=True, system_message="You {do}.")
'''
AGENTS = {
    "plain": ASSISTANT.replace("{name}", "plain").replace("{do}", "answer"),
    "thinker": ASSISTANT.replace("{name}", "thinker").replace("{do}", "think"),
    "painter": '''
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import MultiModalMessage
from autogen_core import Image

class Painter(BaseChatAgent):
    produced_message_types = (MultiModalMessage,)

    async def on_messages(self, messages, cancellation_token):
        image = Image.from_uri("{image}")
        return Response(chat_message=MultiModalMessage(content=["A dot.", image], source=self.name))

    async def on_reset(self, cancellation_token):
        pass

def build(context):
    """Paints."""
    return Painter("painter", "Paints.")
'''.replace("{image}", data_uri(picture())),
    "asking": '''
from autogen_agentchat.agents import AssistantAgent
from app.agents.person import ask

async def colour() -> str:
    """Asks for the colour."""
    return await ask("Which colour?")

def build(context):
    """Asks a person."""
    return AssistantAgent("asking", context.model(), tools=[colour], reflect_on_tool_use=True)
''',
    "removing": '''
from autogen_agentchat.agents import AssistantAgent
from app.agents.person import needs_approval

@needs_approval
async def remove(path: str) -> str:
    """Remove a file."""
    return f"{path} is gone"

def build(context):
    """Removes files, if a person lets it."""
    return AssistantAgent("removing", context.model(), tools=[remove], reflect_on_tool_use=True)
''',
}
CALLS = {"weather": {"city": "Paris", "day": "2026-07-14"}, "remove": {"path": "/a"}}


def folder_of(path: Path) -> Path:
    """With their files."""
    folder = path / "agents"
    folder.mkdir()
    for name, text in AGENTS.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def answers(request: Request) -> Reply:
    """Calls the tool that there is, then says what it answered; each text in one piece, so that streams are alike."""
    if request.asked.results:
        said = f"It said: {request.asked.results[-1]}"
        return Text(said, chunks=(said,))
    for tool in request.asked.tools:
        return ToolCalls((ToolCall(tool.name, CALLS.get(tool.name, {})),))
    if "response_format" in request.json:
        return Text(TICKET, chunks=(TICKET,))
    thought = "What do they do?" if request.json["messages"][0]["content"] == "You think." else ""
    return Text("Bees dance.", chunks=("Bees dance.",), thought=thought)
