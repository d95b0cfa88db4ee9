"""Runs that wait for a person: each leg in a registry of its own, as in another process, and what came of all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.agents.conversation import Conversation
from app.agents.desk import Question
from app.agents.registry import Registry
from app.agents.translation import Told
from app.events import MessageAdded
from app.messages import Message, ToolCall
from app.settings import Settings
from tests.agents.folder import Folder, until

IMPORTS = """
import asyncio
from autogen_agentchat.agents import (
    ApprovalResponse, AssistantAgent, BaseChatAgent, CodeExecutorAgent, SocietyOfMindAgent, UserProxyAgent
)
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import HandoffTermination, MaxMessageTermination, TextMessageTermination
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import (
    DiGraphBuilder, GraphFlow, MagenticOneGroupChat, RoundRobinGroupChat, SelectorGroupChat, Swarm
)
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import CancellationToken
from autogen_core.code_executor import CodeExecutor, CodeResult
from autogen_core.tools import FunctionTool, StaticWorkbench
from pydantic import BaseModel

from app.agents.person import ask, needs_approval, person
from tests.agents.folder import NOTES


def note(text: str) -> str:
    '''Write something down.'''
    NOTES.append(text)
    return f"Noted {text}."


@needs_approval
def pay(amount: int) -> str:
    '''Pay.'''
    NOTES.append(f"pay {amount}")
    return f"Paid {amount}."


async def book(city: str) -> str:
    '''Book a journey.'''
    date = await ask(f"When to {city}?")
    NOTES.append(f"book {city} {date}")
    return f"Booked {city} on {date}."


async def slow() -> str:
    '''Takes its time.'''
    NOTES.append("begun")
    await asyncio.sleep(0.2)
    NOTES.append("ended")
    return "Slow."


async def approved(request) -> ApprovalResponse:
    answer = await ask(f"Run {request.code}?")
    return ApprovalResponse(approved=answer == "yes", reason=answer)


@needs_approval
async def send(to: str) -> str:
    '''Send a letter.'''
    answer = await ask(f"Signed by whom, to {to}?")
    NOTES.append(f"send {to} {answer}")
    return f"Sent to {to} by {answer}."


class Executor(CodeExecutor):
    '''Runs no code, but says that it did.'''

    async def execute_code_blocks(self, code_blocks, cancellation_token):
        NOTES.extend(block.code.strip() for block in code_blocks)
        return CodeResult(exit_code=0, output=f"{len(NOTES)} run")

    async def start(self): ...
    async def stop(self): ...
    async def restart(self): ...


class Own(BaseChatAgent):
    '''An agent of a user's own, which calls tools and asks a person by itself.'''

    def __init__(self, *calls):
        super().__init__("own", "Its own.")
        self.tools, self.arguments = (list(each) for each in zip(*calls))

    @property
    def produced_message_types(self):
        return (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        said = []
        for tool, arguments in zip(self.tools, self.arguments):
            try:
                said.append(str(await tool.run_json(arguments, cancellation_token)))
            except Exception as error:
                said.append(f"{type(error).__name__}: {error}")
        said.append(await ask("Well?"))
        return Response(chat_message=TextMessage(content=" | ".join(said), source=self.name))

    async def on_reset(self, cancellation_token): ...


def build(context):
    model = context.model()

    def agent(name, *tools, **options):
        return AssistantAgent(name, model, model_client_stream=True, tools=list(tools), **options)

    def team(*members, turns=None, **options):
        return RoundRobinGroupChat(list(members), max_turns=turns or len(members), **options)

    proxy = UserProxyAgent("human")
    return {made}
"""


def add(folder: Folder, made: str) -> None:
    """The agent `it`."""
    folder.add("it.py", IMPORTS.replace("{made}", made))


@asynccontextmanager
async def opened(settings: dict[str, Any], agent: str = "it") -> AsyncIterator[Conversation]:
    """The agent, in a process of its own."""
    registry = Registry(Settings(**{"_env_file": None, **settings}))
    await registry.start()
    try:
        assert registry.card(agent).status == "ready", registry.card(agent).reason
        async with registry.open(agent, user_id=None, session_id="s", metadata={}) as conversation:
            yield conversation
    finally:
        await registry.close()


@dataclass
class Lived:
    """What came of a run: all that it told, and what it asked."""

    told: list[list[Told]] = field(default_factory=list)
    """Of each leg."""
    questions: list[Question] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    calls: int = 0
    tokens: tuple[int, int] = (0, 0)
    stop_reason: str | None = None
    output: Any = None
    checkpoint: bytes = b""
    state: bytes | None = None

    @property
    def said(self) -> list[str]:
        return [line(message) for message in self.messages]


def line(message: Message) -> str:
    """A message in a line."""
    if isinstance(message, ToolCall):
        return f"{message.source} calls {message.name}({orjson.dumps(message.arguments).decode()})"
    content = getattr(message, "content", "")
    kind = "" if message.type == "text" else f" [{message.type}]"
    return f"{message.source}{kind}: {content}"


async def live(
    settings: dict[str, Any],
    answers: Sequence[Any] = (),
    task: str = "Begin.",
    state: bytes | None = None,
    agent: str = "it",
) -> Lived:
    """Run the agent, and give it the answers, each to a new process; what it leaves behind is nothing."""
    lived = Lived()
    for leg, answer in enumerate((None, *answers)):
        async with opened(settings, agent) as conversation:
            before = asyncio.all_tasks()
            if leg:
                await conversation.resume(lived.checkpoint, answer, state)
            else:
                await conversation.prepare(task)
                await conversation.load(state)
            await follow(conversation, lived)
            await until(lambda: not [task for task in asyncio.all_tasks() - before if _is_agents(task)])  # noqa: B023
    return lived


def _is_agents(task: "asyncio.Task[Any]") -> bool:
    return any(name in repr(task) for name in ("autogen", "app/agents", "_execute_tool_call"))


async def follow(conversation: Conversation, lived: Lived) -> None:
    """One leg, from its beginning to a question or the end."""
    told: list[Told] = []
    lived.told.append(told)
    async for each in conversation.run():
        told.append(each)  # noqa: PERF401 what was told before a failure counts too
    lived.messages, lived.calls, lived.output = conversation.messages, conversation.model_calls, conversation.output
    lived.tokens = conversation.usage.input_tokens, conversation.usage.output_tokens
    lived.stop_reason = conversation.stop_reason
    if conversation.question is None:
        lived.state = await conversation.save()
    else:
        lived.questions.append(conversation.question)
        lived.checkpoint = conversation.checkpoint()
    whole = [each.message for leg in lived.told for each in leg if isinstance(each, MessageAdded)]
    assert whole == conversation.messages, "each message is told once, and none is lost"
    announced = {each.message_id for each in told if not isinstance(each, MessageAdded)}
    assert announced <= {each.message.id for each in told if isinstance(each, MessageAdded)}, "no delta is told again"
