"""What a recipe made, walked through: its model clients observed, its resources owned.

Users build agents as AutoGen's documentation shows, with clients and workbenches of their own. Nothing of theirs
has to change for their calls to be traced and their resources to be closed.
"""

import asyncio
import atexit
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.base import ChatAgent, Team
from autogen_core import ComponentBase
from autogen_core.code_executor import CodeExecutor
from autogen_core.memory import Memory
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, Workbench

from app.agents.approval import guard_functions
from app.agents.breaker import Breakers
from app.agents.calls import ObservedMemory, observe_calls, observe_code, observe_mcp, observe_tool
from app.agents.exits import contain
from app.agents.observed import ObservedClient
from app.agents.orchestration import observe_team
from app.agents.person import seat
from app.agents.recording import record_code, record_tool, record_workbench
from app.agents.spec import CLOSE_TIMEOUT_S

logger = logging.getLogger(__name__)

_PARTS = (ChatAgent, Team, Workbench, BaseTool, Memory, ChatCompletionContext)
_PLAIN = {bool, int, str, type(None)}
"""Most of an agent's attributes, of which none is a part: some of those are protocols, which are slow to ask."""

_PROVIDERS = {
    "OpenAIChatCompletionClient": "openai",
    "AzureOpenAIChatCompletionClient": "azure.ai.openai",
    "AnthropicChatCompletionClient": "anthropic",
    "AnthropicBedrockChatCompletionClient": "aws.bedrock",
    "OllamaChatCompletionClient": "ollama",
    "AzureAIChatCompletionClient": "azure.ai.inference",
    "ReplayChatCompletionClient": "replay",
}
"""`gen_ai.provider.name` of AutoGen's clients; another's class name stands for itself."""


async def adopt(
    name: str, agent: ChatAgent | Team, stack: AsyncExitStack, *, spans: bool, breakers: Breakers
) -> list[Any]:
    """Observe the model clients in it, start its MCP workbenches, and have all of it closed with `stack`.

    Returns the clients that the recipe made itself: they may be shared by runs, so none is closed with one. Where there
    is one, it is the SDK's: AutoGen's around it is forgotten sooner, and the SDK's has the connections.

    AutoGen starts an MCP workbench when it is first used, and then nobody stops it. To stop any other workbench, and
    one that is started already, is its recipe's.
    """
    own: list[Any] = []
    observe_calls()
    guard_functions()
    for part in parts_of(agent):
        own += _adopt_values(part, spans=spans, breakers=breakers)
        match part:
            case Workbench():
                if hasattr(part, "_actor"):
                    await _started(part, stack)
                record_workbench(part)
            case ObservedMemory():
                pass  # closed as what is inside of it
            case ChatAgent() | Memory():
                if isinstance(part, UserProxyAgent):
                    seat(part)
                stack.push_async_callback(closed, part.close)
            case Team():
                members = [member.name for member in participants_of(part)]
                observe_team(part, name if part is agent else part.name, members)
            case BaseTool():
                observe_tool(part)
                contain(part)
                record_tool(part)
            case _:
                pass
    return own


def _adopt_values(part: Any, *, spans: bool, breakers: Breakers) -> list[Any]:
    """Observe what it has; the clients that its recipe made."""
    own: list[Any] = []
    owner = getattr(part, "name", "")
    for attribute, value in vars(part).items():
        if isinstance(value, list):
            value[:] = [_observed_memory(item) for item in value]
        elif not isinstance(value, ComponentBase):
            continue
        elif isinstance(value, ObservedClient):
            setattr(part, attribute, value.owned_by(owner))
        elif isinstance(value, ChatCompletionClient):
            setattr(part, attribute, observed(value, spans=spans, breakers=breakers).owned_by(owner))
            sdk = getattr(value, "_client", None)
            own.append(sdk if hasattr(sdk, "close") else value)
        elif isinstance(value, CodeExecutor):
            observe_code(value)
            record_code(value)
    return own


async def _started(workbench: Any, stack: AsyncExitStack) -> None:
    if workbench._actor is None:  # noqa: SLF001 AutoGen is pinned
        stack.push_async_callback(_stopped, workbench)
        await workbench.start()
    atexit.unregister(workbench._actor._sync_shutdown)  # noqa: SLF001 else the process keeps every session
    observe_mcp(workbench)


def observed(client: ChatCompletionClient, *, spans: bool, breakers: Breakers) -> ObservedClient:
    """A client that a user made, with the names its spans need."""
    kind = type(client).__name__
    arguments: dict[str, Any] = getattr(client, "_create_args", {})
    model = str(arguments.get("model", kind))
    provider = _PROVIDERS.get(kind, kind)
    if provider == "openai" and model.startswith("gemini-"):
        provider = "gcp.gemini"
    breaker = breakers.of(provider, model, address_of(client))
    return ObservedClient(client, provider, model, spans=spans, breaker=breaker)


def address_of(client: ChatCompletionClient) -> str:
    """Where it calls, as far as its SDK tells: Ollama's keeps an HTTP client that knows."""
    sdk = getattr(client, "_client", None)
    return str(getattr(sdk, "base_url", None) or getattr(getattr(sdk, "_client", None), "base_url", ""))


def _observed_memory(item: Any) -> Any:
    """A memory observed, once also where runs share the list that it is in; anything else as it is."""
    return ObservedMemory(item) if isinstance(item, Memory) and not isinstance(item, ObservedMemory) else item


def parts_of(agent: ChatAgent | Team) -> Iterator[Any]:
    """The agent and, through AutoGen's own attributes, everything of AutoGen's that it is made of, once each."""
    seen: set[int] = set()
    todo: list[Any] = [agent]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        for value in vars(part).values():
            values = (
                value if isinstance(value, list | tuple) else value.values() if isinstance(value, dict) else (value,)
            )
            todo += [item for item in values if type(item) not in _PLAIN and isinstance(item, _PARTS)]


def participants_of(agent: ChatAgent | Team) -> list[ChatAgent | Team]:
    """A team's members; none of an agent. AutoGen keeps them private."""
    return list(getattr(agent, "_participants", ())) if isinstance(agent, Team) else []


def clients_of(agent: ChatAgent | Team) -> list[ObservedClient]:
    """The model clients of an adopted agent."""
    return [value for part in parts_of(agent) for value in vars(part).values() if isinstance(value, ObservedClient)]


async def closed(close: Callable[[], Any]) -> None:
    """Close it; raises TimeoutError if that takes too long."""
    async with asyncio.timeout(CLOSE_TIMEOUT_S):
        await close()


async def _stopped(workbench: Any) -> None:
    """End an MCP workbench and its server, also one that never answered."""
    actor = workbench._actor  # noqa: SLF001 AutoGen is pinned
    if actor is None:
        return
    session = actor._actor_task  # noqa: SLF001
    try:
        # Shielded, since the cancellation of a run that is closing already would reach into the session's own closing.
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await asyncio.shield(workbench.stop())
    except TimeoutError:
        logger.warning("An MCP server does not stop: it is ended")
        session.cancel()
    finally:
        workbench._actor = None  # noqa: SLF001
        if session is not None:
            await asyncio.wait([session], timeout=CLOSE_TIMEOUT_S)
