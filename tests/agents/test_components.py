"""Agents and teams as AutoGen exports them, in JSON and YAML: served, run, and refused."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import (
    HandoffTermination,
    MaxMessageTermination,
    TextMentionTermination,
    TextMessageTermination,
)
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core.tools import FunctionTool
from autogen_ext.models.anthropic import AnthropicChatCompletionClient
from autogen_ext.models.openai import AzureOpenAIChatCompletionClient, OpenAIChatCompletionClient
from pydantic import BaseModel

from tests.agents.folder import Folder, folder, reasons, until
from tests.servers.anthropic_wire import AnthropicWire
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import serving

__all__ = ["folder"]

KEY = "sk-test"
"""The service's own key for OpenAI, of `with_openai`."""


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class City(BaseModel):
    """A place."""

    name: str


def client(url: str, **options: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        **{"model": "gpt-4o-mini", "api_key": "sk-masked-in-the-export", "base_url": f"{url}/v1", **options}
    )


def agent(url: str, name: str = "agent", **options: Any) -> AssistantAgent:
    return AssistantAgent(name, client(url), model_client_stream=True, description=f"The {name}.", **options)


def calculator(url: str) -> Any:
    return agent(url, "calculator", tools=[FunctionTool(add, "Add two numbers.")], reflect_on_tool_use=True)


def structured(url: str) -> Any:
    return agent(url, output_content_type=City)


def round_robin(url: str) -> Any:
    return RoundRobinGroupChat(
        [agent(url, "ann"), agent(url, "bob")],
        termination_condition=TextMentionTermination("never") | MaxMessageTermination(3),
    )


def selector(url: str) -> Any:
    return SelectorGroupChat(
        [agent(url, "ann"), agent(url, "bob")], client(url), termination_condition=MaxMessageTermination(3)
    )


def swarm(url: str) -> Any:
    return Swarm(
        [agent(url, "ann", handoffs=["bob"]), agent(url, "bob")],
        termination_condition=HandoffTermination("user") | TextMessageTermination("bob"),
    )


def graph(url: str) -> Any:
    ann, bob = agent(url, "ann"), agent(url, "bob")
    flow = DiGraphBuilder().add_node(ann).add_node(bob).add_edge(ann, bob)
    return GraphFlow([ann, bob], flow.build(), termination_condition=MaxMessageTermination(5))


def nested(url: str) -> Any:
    return RoundRobinGroupChat([round_robin(url), agent(url, "cid")], max_turns=2)


def agent_tool(url: str) -> Any:
    return agent(url, "boss", tools=[AgentTool(agent(url, "clerk"))], reflect_on_tool_use=True)


EXPORTED: dict[str, tuple[Callable[[str], Any], list[str]]] = {
    "calculator": (calculator, ["user", "calculator", "calculator", "calculator"]),
    "structured": (structured, ["user", "agent"]),
    "round_robin": (round_robin, ["user", "ann", "bob"]),
    "selector": (selector, ["user", "bob", "ann"]),
    "swarm": (swarm, ["user", "ann", "ann", "ann", "bob"]),
    "graph": (graph, ["user", "ann", "bob"]),
    "nested": (nested, ["user", "ann", "bob", "cid"]),
    "agent_tool": (agent_tool, ["user", "boss", "user", "clerk", "boss", "boss"]),
}
"""What AutoGen exports, and who speaks in a run of it."""


def answers(request: Request) -> Reply:
    """What each of them needs its model to say."""
    tools = {tool.name for tool in request.asked.tools}
    if request.asked.results:
        return Text(f"It is {request.asked.results[-1]}.")
    if "add" in tools:
        return ToolCalls((ToolCall("add", {"a": 2, "b": 3}),))
    if "transfer_to_bob" in tools:
        return ToolCalls((ToolCall("transfer_to_bob", {}),))
    if "clerk" in tools:
        return ToolCalls((ToolCall("clerk", {"task": "Write it down."}),))
    if "response_format" in request.json:
        return Text('{"name": "Rome"}')
    prompt = str(request.json["messages"][0]["content"])
    if "select the next role" in prompt:
        return Text("ann" if "bob: A plain answer." in prompt else "bob")
    return Text("A plain answer.")


def exported(component: Any) -> Any:
    """As AutoGen Studio writes it: JSON, keys masked."""
    return json.loads(component.dump_component().model_dump_json())


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
@pytest.mark.parametrize("name", EXPORTED)
async def test_what_autogen_exports_is_served(
    name: str, suffix: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Each is listed and runs; its model is called where it says, with the service's key for the masked one."""
    make, speakers = EXPORTED[name]
    component = exported(make(openai.url))
    assert "sk-masked" not in str(component)
    folder.add(f"{name}.{suffix}", json.dumps(component) if suffix == "json" else yaml.safe_dump(component))
    openai.replies = answers
    openai.key = KEY
    async with serving(**with_openai) as service:
        card = await service.get(f"/agents/{name}")
        assert (card["status"], card["reason"]) == ("ready", None)
        assert card["model"] == "openai:gpt-4o-mini"
        assert card["kind"] == ("team" if "participants" in component["config"] else "agent")
        run = await service.run(name, "My question.")
        events = await service.stream(name, "My question.")
    assert [message["source"] for message in run["messages"]] == speakers
    assert [event.data["message"]["source"] for event in events if event.type == "message"] == speakers
    assert run["status"] == "completed"
    assert run["usage"]["input_tokens"] == 11 * len(openai.requests) / 2


async def test_the_card_of_a_component(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Tools, members and schema as those of any agent; the description is its author's, not AutoGen's class's."""
    folder.add("calculator.json", json.dumps(exported(calculator(openai.url))))
    folder.add("structured.json", json.dumps(exported(structured(openai.url))))
    described = exported(round_robin(openai.url)) | {"description": "Two\n  who talk.", "label": "A team"}
    folder.add("described.json", json.dumps(described))
    async with serving(**with_openai) as service:
        card = await service.get("/agents/calculator")
        assert card["description"] == "The calculator."
        assert [tool["name"] for tool in card["tools"]] == ["add"]
        assert set(card["tools"][0]["parameters"]["properties"]) == {"a", "b"}
        assert (await service.get("/agents/structured"))["output_schema"]["required"] == ["name"]
        card = await service.get("/agents/described")
        assert card["description"] == "Two who talk."
        assert card["participants"] == [
            {"name": "ann", "description": "The ann."},
            {"name": "bob", "description": "The bob."},
        ]


def with_model(component: Any, model: Any) -> Any:
    """The component with another model."""
    return component | {"config": component["config"] | {"model_client": model}}


async def test_whose_key_a_component_uses(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Its own where it names one; the service's for a masked or missing one, each provider's its own."""
    plain = exported(agent(openai.url))
    model = plain["config"]["model_client"]

    def keyed(provider: str, **config: Any) -> str:
        config = {name: value for name, value in config.items() if value is not None}
        return json.dumps(with_model(plain, {"provider": provider, "component_type": "model", "config": config}))

    about = {"model": "gpt-4o-mini", "base_url": f"{openai.url}/v1"}
    google = {"model": "gemini-2.5-flash", "base_url": f"{openai.url}/v1beta/openai"}
    azure = exported(
        AzureOpenAIChatCompletionClient(
            model="gpt-4o-mini",
            azure_deployment="mine",
            azure_endpoint=openai.url,
            api_version="2024-10-21",
            api_key="sk-masked-in-the-export",
        )
    )
    expected = {"own": "sk-own", "masked": KEY, "missing": KEY, "short": KEY, "gemini": "g-key", "azure": "a-key"}
    folder.add("own.json", keyed(model["provider"], **about, api_key="sk-own"))
    folder.add("masked.json", keyed(model["provider"], **about, api_key="**********"))
    folder.add("missing.json", keyed(model["provider"], **about))
    folder.add("short.json", keyed("OpenAIChatCompletionClient", **about))
    folder.add("gemini.json", keyed(model["provider"], **google))
    folder.add("azure.json", json.dumps(with_model(plain, azure)))
    async with serving(**with_openai, gemini_api_key="g-key", azure_openai_api_key="a-key") as service:
        assert await reasons(service) == {}
        used = {}
        for name in expected:
            await service.run(name, "hi")
            used[name] = openai.credential(openai.requests[-1].headers)
        assert (await service.get("/agents/gemini"))["model"] == "gcp.gemini:gemini-2.5-flash"
    assert used == expected


LACKING = {
    "its model 'claude-haiku-4-5' needs ANTHROPIC_API_KEY: set it",
    "its model 'gemini-2.5-flash' needs GEMINI_API_KEY: set it",
}


async def test_a_key_that_is_nowhere(folder: Folder, with_openai: dict[str, Any]) -> None:
    """The agent is invalid, and its reason names the variable to set; Google is not given OpenAI's key."""
    for name, model in (
        ("claude", AnthropicChatCompletionClient(model="claude-haiku-4-5", api_key="sk-masked")),
        ("gemini", OpenAIChatCompletionClient(model="gemini-2.5-flash", api_key="sk-masked")),
    ):
        folder.add(f"{name}.json", json.dumps(with_model(exported(agent("http://x")), exported(model))))
    async with serving(**with_openai) as service:
        assert set((await reasons(service)).values()) == LACKING


async def test_a_component_of_anthropics(folder: Folder, with_openai: dict[str, Any]) -> None:
    """It speaks Anthropic's wire, while the service's MODEL is another."""
    async with AnthropicWire(key="sk-anthropic") as wire:
        model = AnthropicChatCompletionClient(model="claude-haiku-4-5", api_key="sk-masked", base_url=wire.url)
        folder.add("claude.json", json.dumps(with_model(exported(agent("http://x")), exported(model))))
        async with serving(**with_openai, anthropic_api_key="sk-anthropic") as service:
            assert (await service.get("/agents/claude"))["model"] == "anthropic:claude-haiku-4-5"
            run = await service.run("claude", "hi")
    assert run["output"] == "You said: hi"
    assert (run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (11, 7)


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (None, "gpt-4o-mini"),
        ({}, "gpt-4o-mini"),
        ({"model": None}, "gpt-4o-mini"),
        ({"model": "openai:gpt-4o"}, "gpt-4o"),
    ],
)
async def test_the_services_own_model(
    config: Any, model: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """`waggle.model` stands for MODEL, or for the model that it names as MODEL does."""
    own = {"provider": "waggle.model"} | ({} if config is None else {"config": config})
    folder.add("own.json", json.dumps(with_model(exported(agent("http://x")), own)))
    async with serving(**with_openai) as service:
        assert (await service.get("/agents/own"))["model"] == f"openai:{model}"
        await service.run("own", "hi")
    assert openai.requests[-1].asked.model == model


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else "deep"


EXECUTOR = "autogen_ext.code_executors.local.LocalCommandLineCodeExecutor"
UNLISTED = "its component {!r} is not on the list of what may be loaded".format
TEAM: dict[str, Any] = {"provider": "autogen_agentchat.teams.RoundRobinGroupChat", "config": {"participants": []}}
REFUSED: dict[str, tuple[Any, str]] = {
    "os.json": ({"provider": "os.system", "config": {"command": "true"}}, UNLISTED("os.system")),
    "popen.json": ({"provider": "subprocess.Popen", "config": {}}, UNLISTED("subprocess.Popen")),
    "prefix.json": (
        {"provider": "autogen_agentchat.agents_evil.Agent", "config": {}},
        UNLISTED("autogen_agentchat.agents_evil.Agent"),
    ),
    "own_class.json": (
        {"provider": "tests.agents.unlisted.Agent", "config": {}},
        UNLISTED("tests.agents.unlisted.Agent"),
    ),
    "executor.json": (
        {
            "provider": "autogen_agentchat.agents.CodeExecutorAgent",
            "config": {"name": "coder", "code_executor": {"provider": EXECUTOR, "config": {}}},
        },
        UNLISTED(EXECUTOR),
    ),
    "nested.yaml": (
        TEAM | {"config": {"participants": [TEAM | {"config": {"participants": [[{"x": {"provider": EXECUTOR}}]]}}]}},
        UNLISTED(EXECUTOR),
    ),
    "inside.json": (
        {"provider": "app.agents.components.PreparedClient", "config": {"index": 0}},
        UNLISTED("app.agents.components.PreparedClient"),
    ),
    "model.json": ({"provider": "waggle.model", "config": {}}, "it is neither an agent nor a team"),
    "memory.json": (
        {"provider": "autogen_core.memory.ListMemory", "config": {"name": "m"}},
        "it is neither an agent nor a team",
    ),
    "gallery.json": (
        {"id": "g", "components": {}},
        "not an AutoGen component: an object with 'provider' and 'config' is expected",
    ),
    "number.json": (
        {"provider": 5},
        "not an AutoGen component: an object with 'provider' and 'config' is expected",
    ),
    "list.json": ([], "not an AutoGen component: an object with 'provider' and 'config' is expected"),
    "nothing.yaml": (b"", "not an AutoGen component: an object with 'provider' and 'config' is expected"),
    "empty.json": (b"", "not JSON: line 1, column 1"),
    "broken.json": (b'{"provider": "x",\n  oops}', "not JSON: line 2, column 3"),
    "unclosed.yaml": (b"provider: x\nconfig: {a: [1\n", "not YAML: line 3, column 1"),
    "latin.yaml": (b"provider: \xe4\xff", "not YAML"),
    "python.yaml": (b"provider: !!python/object/apply:os.system ['true']", "not YAML: line 1, column 11"),
    "fields.json": (
        {"provider": "autogen_agentchat.agents.AssistantAgent", "config": {"name": "a", "tools": "sk-planted-secret"}},
        (
            "its configuration is wrong: model_client: Field required, tools: Input should be a valid list, "
            "description: Field required, reflect_on_tool_use: Field required, tool_call_summary_format: Field required"
        ),
    ),
    "no_class.json": (
        {"provider": "autogen_agentchat.agents.NoSuchAgent", "config": {}},
        "AttributeError; the service's log has the whole",
    ),
    "no_member.json": (TEAM, "ValueError; the service's log has the whole"),
    "own_model.json": (
        with_model(TEAM, {"provider": "waggle.model", "config": {"modell": "x"}}),
        "its configuration is wrong: modell: Extra inputs are not permitted",
    ),
    "deep.json": (TEAM | {"config": {"participants": deep(99)}}, "it is nested more than 100 levels deep"),
    "brackets_too.json": (b"[" * 5000 + b"]" * 5000, "not JSON: line 1, column 1026"),
    "brackets.yaml": (b"[" * 5000 + b"]" * 5000, "it is nested too deeply"),
    "endless.yaml": (b"provider: waggle.model\nconfig: &a [*a]", "it is nested more than 100 levels deep"),
    "bomb.yaml": (
        b"provider: waggle.model\na: &a [0,0,0,0,0,0,0,0,0,0]\n"
        + b"".join(
            b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (x + 1, x + 1, *[x] * 10) for x in range(97, 107)
        ),
        "it has more than 100000 values",
    ),
    "huge.json": (b'"' + b"x" * 2**20 + b'"', "it is larger than the 1048576 bytes that a component may have"),
}


async def test_what_may_not_or_cannot_be_loaded(folder: Folder, with_openai: dict[str, Any]) -> None:
    """Each is invalid for its reason, imports nothing that is not listed, and takes no other agent down."""
    for name, (content, _) in REFUSED.items():
        folder.add(name, content if isinstance(content, bytes) else json.dumps(content).encode())
    folder.path.joinpath("nested.yaml").write_text(yaml.safe_dump(REFUSED["nested.yaml"][0]), encoding="utf-8")
    sys.modules.pop("tests.agents.unlisted", None)
    executors = {name for name in sys.modules if name.startswith("autogen_ext.code_executors")}
    async with serving(**with_openai) as service:
        found = await reasons(service)
        assert (await service.run("assistant", "hi"))["status"] == "completed"
        assert "sk-planted-secret" not in (await service.client.get("/agents")).text
    assert found == {name.partition(".")[0]: reason for name, (_, reason) in REFUSED.items()}
    assert "tests.agents.unlisted" not in sys.modules
    assert {name for name in sys.modules if name.startswith("autogen_ext.code_executors")} == executors


async def test_runs_share_a_components_client(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Equal model configurations share a client, one connection here; the end of the service closes it."""
    connections = openai._server.server_state.connections
    for name in ("one", "two"):
        folder.add(f"{name}.json", json.dumps(exported(agent(openai.url, name))))
    async with serving(**with_openai) as service:
        for _ in range(3):
            for name in ("one", "two"):
                assert (await service.run(name, "hi"))["output"] == "You said: hi"
        assert len(connections) == 1
    await until(lambda: not connections)
