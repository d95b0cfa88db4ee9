"""Agents and teams as AutoGen Studio exports them, in JSON or YAML.

AutoGen's loader imports whatever class a component names, and a FunctionTool in it runs its source. So components
come from the operator's AGENTS_DIR only, never from a request, and name only what `ALLOWED` lists. Their model
clients are shared: each is built once, and every agent that is loaded gets the same.
"""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Self
from warnings import catch_warnings

import orjson
from autogen_agentchat.base import ChatAgent, Team
from autogen_core import Component, ComponentLoader, ComponentModel
from autogen_core.models import ChatCompletionClient
from pydantic import BaseModel, ConfigDict, SecretStr

from app.agents.spec import AgentContext, Built
from app.settings import Settings

ALLOWED = (
    "autogen_agentchat.agents.",
    "autogen_agentchat.base.",
    "autogen_agentchat.conditions.",
    "autogen_agentchat.messages.",
    "autogen_agentchat.state.",
    "autogen_agentchat.teams.",
    "autogen_agentchat.tools.",
    "autogen_core.memory.",
    "autogen_core.model_context.",
    "autogen_core.tools.",
    "autogen_ext.auth.azure.",
    "autogen_ext.models.anthropic.",
    "autogen_ext.models.azure.",
    "autogen_ext.models.ollama.",
    "autogen_ext.models.openai.",
    "autogen_ext.models.replay.",
    "autogen_ext.tools.http.",
    "autogen_ext.tools.mcp.",
)
"""Where a component's `provider` may come from: no code executors, and nothing outside of AutoGen. A FunctionTool
still runs its source, and an MCP workbench its command: who may write to AGENTS_DIR may run programs."""
SHORT_NAMES = {
    "azure_openai_chat_completion_client": "autogen_ext.models.openai.AzureOpenAIChatCompletionClient",
    "AzureOpenAIChatCompletionClient": "autogen_ext.models.openai.AzureOpenAIChatCompletionClient",
    "openai_chat_completion_client": "autogen_ext.models.openai.OpenAIChatCompletionClient",
    "OpenAIChatCompletionClient": "autogen_ext.models.openai.OpenAIChatCompletionClient",
    "OllamaChatCompletionClient": "autogen_ext.models.ollama.OllamaChatCompletionClient",
}
"""AutoGen's own abbreviations."""
OWN_MODEL = "waggle.model"
"""The provider of a model that this service chooses: `{"provider": "waggle.model", "config": {"model": null}}`."""

MAX_DEPTH = 100
MAX_NODES = 100_000

_PREPARED = "app.agents.components.PreparedClient"
ClientMaker = Callable[[ComponentModel], ChatCompletionClient]


class ComponentInvalid(ValueError):
    """A component that this service does not load; the message says why."""


class _OwnModel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: str | None = None


class _PreparedConfig(BaseModel):
    index: int


_prepared: ContextVar[list[ChatCompletionClient]] = ContextVar("prepared_clients")


class PreparedClient(ChatCompletionClient, Component[_PreparedConfig]):
    """Stands in a component for a model client that is there already; never an instance itself."""

    component_type = "model"
    component_config_schema = _PreparedConfig

    @classmethod
    def _from_config(cls, config: _PreparedConfig) -> Self:
        return _prepared.get()[config.index]  # type: ignore[return-value]  # the loader wants any model client


def recipe(component: Any, client_of: ClientMaker) -> Callable[[AgentContext], Built]:
    """How to build the component's agent or team. Raises ComponentInvalid for what must not or cannot be loaded."""
    if not isinstance(component, dict) or not isinstance(component.get("provider"), str):
        raise ComponentInvalid("not an AutoGen component: an object with 'provider' and 'config' is expected")
    for node in _nodes(component):
        provider = node.get("provider") if isinstance(node, dict) else None
        if isinstance(provider, str) and not _allowed(provider):
            raise ComponentInvalid(f"its component {provider!r} is not on the list of what may be loaded")

    def build(context: AgentContext) -> Built:
        clients: list[ChatCompletionClient] = []
        prepared = _prepare(component, clients, context, client_of)
        token = _prepared.set(clients)
        try:
            with catch_warnings(action="ignore", category=UserWarning):  # that a FunctionTool runs its source
                agent: Any = ComponentLoader.load_component(ComponentModel(**prepared), expected=object)
        finally:
            _prepared.reset(token)
        if not isinstance(agent, ChatAgent | Team):
            raise ComponentInvalid("it is neither an agent nor a team")
        return agent

    build.__doc__ = _description(component)
    return build


def _description(component: dict[str, Any]) -> str:
    """The component's own words, else its agent's; not those of AutoGen's class, which are in markup."""
    config = component.get("config")
    inner = config.get("description") if isinstance(config, dict) else None
    said = (text for text in (component.get("description"), inner, component.get("label")) if isinstance(text, str))
    return next((" ".join(text.split()) for text in said if ":`" not in text), "")


def _allowed(provider: str) -> bool:
    return provider == OWN_MODEL or SHORT_NAMES.get(provider, provider).startswith(ALLOWED)


def _nodes(component: Any) -> Iterator[Any]:
    """Every value in it. Raises ComponentInvalid where that has no end, as YAML's references can have it."""
    todo = [(component, 1)]
    for _ in range(MAX_NODES):
        if not todo:
            return
        node, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise ComponentInvalid(f"it is nested more than {MAX_DEPTH} levels deep")
        yield node
        todo += [(value, depth + 1) for value in _values(node)]
    raise ComponentInvalid(f"it has more than {MAX_NODES} values")


def _prepare(node: Any, clients: list[ChatCompletionClient], context: AgentContext, client_of: ClientMaker) -> Any:
    """The component with each model client replaced by the number of one in `clients`."""
    match node:
        case {"provider": str() as provider} if _is_model(provider, node):
            if provider == OWN_MODEL:
                clients.append(context.model(_OwnModel.model_validate(node.get("config") or {}).model))
            else:
                clients.append(client_of(ComponentModel(**node | {"provider": SHORT_NAMES.get(provider, provider)})))
            return {"provider": _PREPARED, "component_type": "model", "config": {"index": len(clients) - 1}}
        case dict():
            return {key: _prepare(value, clients, context, client_of) for key, value in node.items()}
        case list():
            return [_prepare(value, clients, context, client_of) for value in node]
        case _:
            return node


def _is_model(provider: str, node: dict[str, Any]) -> bool:
    return (
        provider == OWN_MODEL
        or node.get("component_type") == "model"
        or SHORT_NAMES.get(provider, provider).startswith("autogen_ext.models.")
    )


def _values(node: Any) -> list[Any]:
    return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []


def key_of(component: ComponentModel) -> bytes:
    """Equal for components with the same provider and configuration: those share a client."""
    return orjson.dumps([component.provider, component.config], option=orjson.OPT_SORT_KEYS)


def with_key(component: ComponentModel, settings: Settings) -> ComponentModel:
    """The model component with its provider's key, where it names none (or Studio's mask of one).

    Raises ComponentInvalid when there is no key either.
    """
    name = _key_of(component)
    written = component.config.get("api_key")
    if name is None or (written and "**" not in written) or component.config.get("azure_ad_token_provider"):
        return component
    key: SecretStr | None = getattr(settings, name)
    if key is None:
        raise ComponentInvalid(f"its model {component.config.get('model')!r} needs {name.upper()}: set it")
    return component.model_copy(update={"config": component.config | {"api_key": key.get_secret_value()}})


def _key_of(component: ComponentModel) -> str | None:
    """The setting that holds the key of the component's provider; None if it wants none."""
    match component.provider.rpartition(".")[2]:
        case "OpenAIChatCompletionClient":
            # By these names AutoGen calls Google and Anthropic.
            for prefix, name in (("gemini-", "gemini_api_key"), ("claude-", "anthropic_api_key")):
                if str(component.config.get("model")).startswith(prefix):
                    return name
            return "openai_api_key"
        case "AzureOpenAIChatCompletionClient":
            return "azure_openai_api_key"
        case "AnthropicChatCompletionClient":
            return "anthropic_api_key"
        case _:
            return None
