"""What an agent is to this service: a recipe. Users write `build`; one agent or team is built for each run.

A recipe is a function of one argument, the `AgentContext`, that returns an AutoGen agent or team:

    def build(context):
        return AssistantAgent("greeter", model_client=context.model(), model_client_stream=True)

It may be `async`, and may own resources: `workbench = await context.enter(McpWorkbench(...))` is closed when the
run is over. It may also be an async context manager, or take no argument at all.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from autogen_agentchat.base import ChatAgent, Team
from autogen_core.models import ChatCompletionClient

T = TypeVar("T")
Agent = ChatAgent | Team
"""What a recipe makes: AutoGen's own protocols."""
Built = Agent | Awaitable[Agent] | AbstractAsyncContextManager[Agent]
CLOSE_TIMEOUT_S = 5
"""Seconds that one part of an agent has to be closed."""
ModelSource = Callable[[str | None], ChatCompletionClient]


class NoAgent(TypeError):
    """A recipe that makes something else; the message is for whoever reads GET /agents."""


@dataclass(slots=True)
class AgentContext:
    """What a recipe is given. The fields about the caller are for its tools; they are empty while it is tried out."""

    model_source: ModelSource
    stack: AsyncExitStack
    user_id: str | None = None
    session_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    default_model: str | None = None
    _clients: dict[str | None, ChatCompletionClient] = field(default_factory=dict)

    def model(self, ref: str | None = None) -> ChatCompletionClient:
        """The shared client of `provider:name`; without one, of the agent's own model, else of MODEL."""
        name = ref or self.default_model
        if name not in self._clients:
            self._clients[name] = self.model_source(name)
        return self._clients[name]

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Open a resource that is closed when the run is over, however it ended."""
        return await self.stack.enter_async_context(_Owned(resource))


class _Owned(AbstractAsyncContextManager[T]):
    """A resource that has CLOSE_TIMEOUT_S to be closed: one that hangs must not keep a run from its end."""

    def __init__(self, resource: AbstractAsyncContextManager[T]) -> None:
        self._resource = resource

    async def __aenter__(self) -> T:
        return await self._resource.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            return await self._resource.__aexit__(*error)


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """A recipe and its name."""

    name: str
    """As in the URL: 1-64 of a-z A-Z 0-9 _ -."""
    build: Callable[..., Built]
    description: str = ""
    """For people and for other agents; the recipe's docstring where it is empty."""
    model: str | None = None
    """The model of `context.model()`, `provider:name`; None: the service's MODEL."""
    file: Path | None = None
    """Where it was read from."""
    _takes_context: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_takes_context", bool(inspect.signature(self.build).parameters))

    async def make(self, context: AgentContext) -> Agent:
        """Build one, whatever form the recipe has. Raises what the recipe raises; NoAgent if it makes none."""
        context.default_model = self.model
        built: Any = self.build(context) if self._takes_context else self.build()
        if inspect.isawaitable(built):
            built = await built
        if isinstance(built, AbstractAsyncContextManager) and not isinstance(built, ChatAgent | Team):
            built = await context.enter(built)
        if not isinstance(built, ChatAgent | Team):
            raise NoAgent(f"build() returns {type(built).__name__}, which is neither an AutoGen agent nor a team")
        return built
