"""What an agent is to this service: a recipe. Users write `build`; one agent or team is built for each run.

A recipe is a function of one argument, the `AgentContext`, that returns an AutoGen agent or team:

    def build(context):
        return AssistantAgent("greeter", model_client=context.model(), model_client_stream=True)

It may be `async`, and may own resources: `workbench = await context.enter(McpWorkbench(...))` is closed when the
run is over. It may also be an async context manager, or take no argument at all.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from autogen_agentchat.base import ChatAgent, Team
from autogen_core.models import ChatCompletionClient

T = TypeVar("T")
Agent = ChatAgent | Team
"""What a recipe makes: AutoGen's own protocols."""
Built = Agent | Awaitable[Agent] | AbstractAsyncContextManager[Agent]
ModelSource = Callable[[str | None], ChatCompletionClient]


@dataclass(slots=True)
class AgentContext:
    """What a recipe is given. The fields about the caller are for its tools; they are empty while it is tried out."""

    model_source: ModelSource
    stack: AsyncExitStack
    user_id: str | None = None
    session_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    default_model: str | None = None
    models: list[ChatCompletionClient] = field(default_factory=list)
    """The clients handed out."""

    def model(self, ref: str | None = None) -> ChatCompletionClient:
        """The shared client of `provider:name`; without one, of the agent's own model, else of MODEL."""
        client = self.model_source(ref or self.default_model)
        self.models.append(client)
        return client

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Open a resource that is closed when the run is over."""
        return await self.stack.enter_async_context(resource)


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

    async def make(self, context: AgentContext) -> Agent:
        """Build one, whatever form the recipe has. Raises what the recipe raises; TypeError if it makes no agent."""
        context.default_model = self.model
        built: Any = self.build(context) if inspect.signature(self.build).parameters else self.build()
        if inspect.isawaitable(built):
            built = await built
        if isinstance(built, AbstractAsyncContextManager) and not isinstance(built, ChatAgent | Team):
            built = await context.stack.enter_async_context(built)
        if not isinstance(built, ChatAgent | Team):
            raise TypeError(f"build() must return an AutoGen agent or team, not {type(built).__name__}")
        return built
