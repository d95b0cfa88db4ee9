"""Which agents there are: the catalog's and those of AGENTS_DIR, each tried out once at the start."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any
from weakref import WeakSet

import anyio
from autogen_core import ComponentModel
from autogen_core.models import ChatCompletionClient

from app.agents.adoption import address_of, adopt, closed, observed
from app.agents.breaker import Breakers
from app.agents.card import AgentCard, card_of
from app.agents.catalog import CATALOG
from app.agents.components import key_of, with_key
from app.agents.conversation import Conversation
from app.agents.files import agent_files, read
from app.agents.images import keep_images
from app.agents.models import ModelRef, Models
from app.agents.observed import ObservedClient
from app.agents.providers.replay import ReplayClient
from app.agents.reasons import reason
from app.agents.spec import CLOSE_TIMEOUT_S, AgentContext, AgentSpec
from app.agents.warming import read_ahead
from app.errors import AgentInvalid, AppError, ModelUnavailable, NotFound
from app.settings import Settings
from app.siblings import Worker
from app.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

BUILD_TIMEOUT_S = 30
"""For one agent to be built, with whatever it connects to."""

_GENAI = {"azure": "azure.ai.openai", "gemini": "gcp.gemini"}
"""`gen_ai.provider.name`, where it is not MODEL's."""


WARM_TIMEOUT_S = 60
"""For the embedded model to read one agent's instructions."""


class Registry:
    """Owns the model clients; builds agents."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None, worker: Worker | None = None) -> None:
        self._settings = settings
        self.breakers = Breakers(settings.model_breaker_failures, settings.model_breaker_s, metrics or Metrics())
        self._spans = settings.llm_spans == "waggle"
        self.models = Models(settings, self._observe, worker)
        self._component_clients: dict[bytes, ChatCompletionClient] = {}
        self._own_clients: WeakSet[Any] = WeakSet()
        """What recipes made themselves, as long as anybody has it."""
        self._specs: dict[str, AgentSpec] = {}
        self.cards: dict[str, AgentCard] = {}

    async def start(self) -> None:
        """Read every agent and build it once; one that fails is listed as invalid, and is logged."""
        if lack := self.models.problem():
            logger.warning("%s Until then, runs are answered 503.", lack)
        os.environ["AUTOGEN_DISABLE_RUNTIME_TRACING"] = str(not self._settings.autogen_runtime_spans).lower()
        keep_images()
        found: dict[str, AgentSpec | list[Path]] = {spec.name: spec for spec in CATALOG}
        found |= await asyncio.to_thread(agent_files, self._settings.agents_dir)
        async with anyio.create_task_group() as group:
            for name, source in found.items():
                group.start_soon(self._try_out, name, source)

    async def warm(self) -> None:
        """Start the embedded model, if it is the default, and have it read what its agents' prompts begin with."""
        await self.models.warm()
        if self.models.default is None or self.models.default.provider != "local":
            return
        for card in list(self.cards.values()):
            if card.model == str(self.models.default):
                (failure,) = await asyncio.gather(self._read_ahead(card.name), return_exceptions=True)
                if isinstance(failure, Exception):
                    logger.warning("Agent %r could not be warmed up", card.name, exc_info=failure)

    async def _read_ahead(self, name: str) -> None:
        async with asyncio.timeout(WARM_TIMEOUT_S), AsyncExitStack() as stack:
            agent = await self._specs[name].make(AgentContext(self.models.client, stack))
            await adopt(name, agent, stack, spans=False, breakers=self.breakers)
            await read_ahead(agent)

    async def close(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.models.aclose)
            for client in (*self._component_clients.values(), *self._own_clients):
                stack.push_async_callback(closed, client.close)
            self._component_clients = {}

    def card(self, name: str) -> AgentCard:
        """Raises NotFound."""
        if name not in self.cards:
            raise NotFound(f"There is no agent {name!r}: GET /agents lists those there are.")
        return self.cards[name]

    @asynccontextmanager
    async def open(
        self, name: str, *, user_id: str | None, session_id: str, metadata: Mapping[str, str]
    ) -> AsyncIterator[Conversation]:
        """An agent built for one run, closed at the end. Raises NotFound, AgentInvalid, ModelUnavailable."""
        card = self.card(name)
        if card.status == "invalid":
            raise AgentInvalid(f"Agent {name!r} cannot be served: {card.reason}.")
        async with AsyncExitStack() as stack:
            context = AgentContext(self.models.client, stack, user_id, session_id, metadata)
            try:
                async with asyncio.timeout(BUILD_TIMEOUT_S):
                    agent = await self._specs[name].make(context)
                    self._own_clients.update(await adopt(name, agent, stack, spans=self._spans, breakers=self.breakers))
            except AppError:
                raise
            except (Exception, SystemExit) as error:  # whatever a user's recipe raises
                logger.exception("Agent %r could not be built", name)
                why = reason(error, self._specs[name].file)
                raise AgentInvalid(f"Agent {name!r} could not be built: {why}.") from error
            yield Conversation(name, agent, self._settings.max_message_chars)

    async def _try_out(self, name: str, source: AgentSpec | list[Path]) -> None:
        try:
            # The outer deadline is for a recipe that hangs while it is cancelled.
            with anyio.fail_after(BUILD_TIMEOUT_S + CLOSE_TIMEOUT_S):
                await self._try(name, source)
        except (Exception, SystemExit) as error:
            why = reason(error, source.file if isinstance(source, AgentSpec) else source[0]).rstrip(".")
            logger.error("Agent %r is not served: %s", name, why, exc_info=error)  # noqa: TRY400 as told
            self.cards[name] = AgentCard(name=name, status="invalid", reason=why)

    async def _try(self, name: str, source: AgentSpec | list[Path]) -> None:
        async with asyncio.timeout(BUILD_TIMEOUT_S), AsyncExitStack() as stack:
            spec = source if isinstance(source, AgentSpec) else await read(source, self._component_client)
            agent = await spec.make(AgentContext(self._model_or_none, stack))
            self._own_clients.update(await adopt(name, agent, stack, spans=self._spans, breakers=self.breakers))
            self.cards[name] = await card_of(spec, agent)
            self._specs[name] = spec

    def _model_or_none(self, ref: str | None) -> ChatCompletionClient:
        """For a look at an agent: one without a model is described too, and answers 503 when it is run."""
        try:
            return self.models.client(ref)
        except ModelUnavailable:
            if ref is not None and not _is_named(ref):
                raise
            wanted = ref or str(self.models.default or "none")
            return ObservedClient(ReplayClient([]), "none", "none", spans=False, ref=wanted)

    def _observe(self, client: ChatCompletionClient, ref: ModelRef) -> ChatCompletionClient:
        provider = _GENAI.get(ref.provider, ref.provider)
        name = PurePath(ref.name).name if ref.provider == "replay" else ref.name  # callers are told no path of ours
        breaker = self.breakers.of(provider, name, address_of(client))
        ref = replace(ref, name=name)
        return ObservedClient(client, provider, name, spans=self._spans, ref=str(ref), breaker=breaker)

    def _component_client(self, component: ComponentModel) -> ChatCompletionClient:
        """The one client of all components with this configuration; keys come from the settings."""
        key = key_of(component)
        if key not in self._component_clients:
            client = ChatCompletionClient.load_component(with_key(component, self._settings))
            self._component_clients[key] = observed(client, spans=self._spans, breakers=self.breakers)
        return self._component_clients[key]


def _is_named(ref: str) -> bool:
    try:
        ModelRef.parse(ref)
    except ValueError:
        return False
    return True
