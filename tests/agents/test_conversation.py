"""An agent or a team in its conversations: what it remembers, what no longer fits, and what is inside of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from autogen_core import Image
from PIL import Image as Picture
from sqlalchemy import create_engine, text

from tests.agents.folder import NOTES, Folder, folder
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls, Usage
from tests.service import flat, serving

__all__ = ["folder"]

PIXEL = Image(Picture.new("RGB", (1, 1))).data_uri

IMPORTS = """
from collections.abc import Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, SocietyOfMindAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import HandoffTermination, MaxMessageTermination
from autogen_agentchat.messages import StructuredMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core.memory import ListMemory, MemoryContent
from autogen_core.model_context import BufferedChatCompletionContext
from pydantic import BaseModel


class Counter(BaseChatAgent):
    '''Counts what it was asked; its state is its own.'''

    def __init__(self, name: str) -> None:
        super().__init__(name, "Counts.")
        self._count = 0

    @property
    def produced_message_types(self):
        return (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        self._count += 1
        return Response(chat_message=TextMessage(content=f"That is {self._count}.", source=self.name))

    async def on_reset(self, cancellation_token):
        self._count = 0

    async def save_state(self):
        return {"count": self._count, "mode": {"type": "odd" if self._count % 2 else "even"}}

    async def load_state(self, state):
        self._count = state["count"]


class Verdict(BaseModel):
    right: bool


def build(context):
    model = context.model()

    def agent(name, **options):
        return AssistantAgent(name, model, model_client_stream=True, **options)

    def team(*members, turns=None):
        return RoundRobinGroupChat(list(members), max_turns=turns or len(members))

    return {made}
"""


def add(folder: Folder, made: str, name: str = "it") -> None:
    folder.add(f"{name}.py", IMPORTS.replace("{made}", made))


def history(request: Request) -> str:
    """Everything that the model was told but its instructions."""
    return " | ".join(str(said["content"]) for said in request.json["messages"] if said["role"] != "system")


REMEMBERING = {
    "agent": 'agent("ann")',
    "team": 'team(agent("ann"), agent("bob"))',
    "selector": 'SelectorGroupChat([agent("ann"), agent("bob")], model, max_turns=1, selector_func=lambda _: "ann")',
    "swarm": 'Swarm([agent("ann"), agent("bob")], termination_condition=MaxMessageTermination(2))',
    "team in team": 'team(team(agent("ann")), agent("bob"))',
    "society": 'SocietyOfMindAgent("ann", team=team(agent("bob")), model_client=model)',
    "society in team": 'team(SocietyOfMindAgent("ann", team=team(agent("bob")), model_client=model), agent("cid"))',
    "structured": 'agent("ann", output_content_type=Verdict)',
    "structured in team": (
        'RoundRobinGroupChat([agent("ann", output_content_type=Verdict), agent("bob")], max_turns=2, '
        "custom_message_types=[StructuredMessage[Verdict]])"
    ),
}


@pytest.mark.parametrize("kind", REMEMBERING)
async def test_a_conversation_goes_on(
    kind: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """What was said in a session is known in its next run, in another process too; other sessions know nothing."""
    add(folder, REMEMBERING[kind])
    openai.replies = lambda request: Text('{"right": true}' if "response_format" in request.json else "Noted.")
    async with serving(**with_openai) as service:
        await service.run("it", "My name is Zoe.", session_id="s1")
        await service.run("it", "And mine is Max.", session_id="s2")
    async with serving(**with_openai) as service:
        asked = len(openai.requests)
        run = await service.run("it", "Who am I?", session_id="s1")
        assert run["status"] == "completed"
        told = [history(request) for request in openai.requests[asked:]]
        if "society" not in kind:  # which tells its last agent what its inner team said, and forgets the rest
            assert all("My name is Zoe." in each and "Who am I?" in each for each in told)
        assert not any("Max" in each for each in told)
        assert [message["content"] for message in run["messages"][:1]] == ["Who am I?"]
        assert not any("Zoe" in str(message) for message in run["messages"])
        for number in range(3):
            await service.run("it", f"Go on, {number}.", session_id="s1")


async def test_a_swarm_goes_on_where_it_was(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The customer who was handed over to billing is still there with the next question."""
    openai.replies = lambda request: (
        ToolCalls((ToolCall("transfer_to_billing", {}),)) if request.asked.tools else Text("Paid.")
    )
    async with serving(**with_openai) as service:
        first = await service.run("support", "Was I charged twice?", session_id="s")
        second = await service.run("support", "And in May?", session_id="s")
    assert [message["source"] for message in first["messages"]][-1] == "billing"
    assert [message["source"] for message in second["messages"]] == ["user", "billing"]


async def test_an_agent_with_a_state_of_its_own(folder: Folder, with_openai: dict[str, Any]) -> None:
    """Whatever a user's agent saves is given back to it, as it was."""
    add(folder, 'Counter("ann")')
    async with serving(**with_openai) as service:
        for number in (1, 2, 3):
            assert (await service.run("it", "?", session_id="s"))["output"] == f"That is {number}."
        assert (await service.run("it", "?", session_id="other"))["output"] == "That is 1."


async def test_an_image_is_remembered(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A picture of an earlier run is before the model's eyes in the next, of a team's members too."""
    add(folder, 'agent("ann")', "one")
    add(folder, 'team(agent("ann"), agent("bob"))', "team")
    async with serving(**with_openai) as service:
        for name in ("one", "team"):
            task = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": PIXEL}}]
            await service.run(name, task, session_id=name)
            await service.run(name, "What was it?", session_id=name)
            assert "image_url" in str(openai.requests[-1].json["messages"])


async def test_a_model_that_sees_nothing(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Where one of an agent's models takes no images a task with one is refused, a user's own model counting too."""
    folder.add(
        "blind.py",
        """
        from autogen_agentchat.agents import AssistantAgent
        from autogen_ext.models.openai import OpenAIChatCompletionClient

        INFO = dict(vision=False, function_calling=True, json_output=True, structured_output=True, family="unknown")

        def build():
            model = OpenAIChatCompletionClient(model="mine", api_key="sk-own", base_url=$url, model_info=INFO)
            return AssistantAgent("blind", model, model_client_stream=True)
        """,
        url=f"{openai.url}/v1",
    )
    async with serving(**with_openai) as service:
        problem = await service.run("blind", [{"type": "image_url", "image_url": {"url": PIXEL}}], status=422)
        assert problem["errors"] == [{"loc": ["body", "task"], "msg": "The agent's model takes text only."}]
        await service.run("blind", [{"type": "text", "text": "Just words."}])


CHANGED = {
    "agent to team": ('agent("ann")', 'team(agent("ann"))'),
    "team to agent": ('team(agent("ann"))', 'agent("ann")'),
    "another class": ('agent("ann")', 'Counter("ann")'),
    "back from another class": ('Counter("ann")', 'agent("ann")'),
    "society": ('agent("ann")', 'SocietyOfMindAgent("ann", team=team(agent("bob")), model_client=model)'),
    "member removed": ('team(agent("ann"), agent("bob"), turns=1)', 'team(agent("ann"))'),
    "member added": ('team(agent("ann"))', 'team(agent("ann"), agent("bob"))'),
    "member renamed": ('team(agent("ann"), agent("bob"))', 'team(agent("ann"), agent("rob"))'),
    "member of another class": ('team(agent("ann"), agent("bob"))', 'team(agent("ann"), Counter("bob"))'),
    "member of an inner team removed": (
        'team(team(agent("ann"), agent("bob"), turns=1), agent("cid"))',
        'team(team(agent("ann")), agent("cid"))',
    ),
    "member of a society removed": (
        'SocietyOfMindAgent("ann", team=team(agent("bob"), agent("cid"), turns=1), model_client=model)',
        'SocietyOfMindAgent("ann", team=team(agent("bob")), model_client=model)',
    ),
    "another kind of team": (
        'team(agent("ann"), agent("bob"))',
        'Swarm([agent("ann"), agent("bob")], termination_condition=MaxMessageTermination(2))',
    ),
}


@pytest.mark.parametrize("change", CHANGED)
async def test_a_state_that_no_longer_fits(
    change: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """It is 409, never a conversation that is silently forgotten; nobody is asked, and the session is as it was."""
    before, after = CHANGED[change]
    add(folder, before)
    async with serving(**with_openai) as service:
        await service.run("it", "My name is Zoe.", session_id="s")
        said = await service.get("/sessions/s/messages")
    add(folder, after)
    asked = len(openai.requests)
    async with serving(**with_openai) as service:
        for way in ("run", "stream"):
            response = await service.client.post(f"/agents/it/{way}", json={"task": "Who am I?", "session_id": "s"})
            problem = response.json()
            assert (response.status_code, problem["type"]) == (409, "urn:waggle:problem:state-conflict")
            assert "'it'" in problem["detail"]
        assert len(openai.requests) == asked
        assert await service.get("/sessions/s/messages") == said
        assert (await service.run("it", "Hello.", session_id="new"))["status"] == "completed"
    add(folder, before)
    async with serving(**with_openai) as service:
        assert (await service.run("it", "Who am I?", session_id="s"))["status"] == "completed"


UNCHANGED = {
    "instructions": ('agent("ann")', 'agent("ann", system_message="Be brief.", description="Brief.")'),
    "tools": ('agent("ann")', 'agent("ann", tools=[AgentTool(agent("bob"))])'),
    "memory": ('agent("ann")', 'agent("ann", memory=[ListMemory()])'),
    "context": ('agent("ann")', 'agent("ann", model_context=BufferedChatCompletionContext(9))'),
    "order": ('team(agent("ann"), agent("bob"))', 'team(agent("bob"), agent("ann"))'),
    "turns": ('team(agent("ann"), agent("bob"))', 'team(agent("ann"), agent("bob"), turns=1)'),
}


@pytest.mark.parametrize("change", UNCHANGED)
async def test_a_state_that_still_fits(
    change: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """An agent may change in what its state does not hold, and its conversations go on."""
    before, after = UNCHANGED[change]
    add(folder, before)
    async with serving(**with_openai) as service:
        await service.run("it", "My name is Zoe.", session_id="s")
    add(folder, after)
    openai.replies = lambda _: Text("Zoe.")
    async with serving(**with_openai) as service:
        run = await service.run("it", "Who am I?", session_id="s")
    assert run["output"] == "Zoe."
    assert "My name is Zoe." in history(openai.requests[-1])


async def test_a_state_that_is_damaged(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """What no version of the agent can have written is a conflict too, not a failure of the service."""
    add(folder, 'agent("ann")')
    async with serving(**with_openai) as service:
        await service.run("it", "My name is Zoe.", session_id="s")

    def damage(state: bytes) -> None:
        engine = create_engine(f"sqlite:///{Path(str(with_openai['data_dir'])) / 'waggle.db'}")
        with engine.begin() as connection:
            assert connection.execute(text("UPDATE session_states SET state = :state"), {"state": state}).rowcount == 1
        engine.dispose()

    for state in (
        b"{",
        b"null",
        b"[]",
        b'{"type": "AssistantAgentState"}1',
        b'{"type": "AssistantAgentState", "llm_context": {"messages": [{"type": "NoSuchMessage"}]}}',
        b'{"type": "AssistantAgentState", "llm_context": 5}',
        b'{"type": "AssistantAgentState", "agent_states": 5}',
    ):
        await asyncio.to_thread(damage, state)
        async with serving(**with_openai) as service:
            problem = await service.run("it", "Who am I?", session_id="s", status=409)
            assert problem["type"] == "urn:waggle:problem:state-conflict", state


async def test_memory(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """What an agent's memory adds is told to the model, and as a message."""
    folder.add(
        "it.py",
        """
        from autogen_agentchat.agents import AssistantAgent
        from autogen_core.memory import ListMemory, MemoryContent

        async def build(context):
            memory = ListMemory()
            await memory.add(MemoryContent(content="The user likes tea.", mime_type="text/plain"))
            await memory.add(MemoryContent(content={"likes": ["tea"]}, mime_type="application/json"))
            return AssistantAgent("ann", context.model(), model_client_stream=True, memory=[memory])
        """,
    )
    async with serving(**with_openai) as service:
        run = await service.run("it", "What do I like?")
        assert [message["type"] for message in run["messages"]] == ["text", "memory", "text"]
        assert run["messages"][1]["content"] == ["The user likes tea.", '{"likes":["tea"]}']
        assert "The user likes tea." in str(openai.requests[-1].json["messages"])


async def test_a_memory_that_runs_share(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A memory of the file's own is each run's as it is: not one layer more with each, and closed once a run."""
    folder.add(
        "it.py",
        """
        from autogen_agentchat.agents import AssistantAgent
        from autogen_core.memory import ListMemory, MemoryContent
        from tests.agents.folder import NOTES

        class Notebook(ListMemory):
            async def close(self):
                NOTES.append("closed")

        SHARED = [Notebook(memory_contents=[MemoryContent(content="Shared.", mime_type="text/plain")])]

        def build(context):
            first = SHARED[0]
            NOTES.append(type(getattr(first, "inner", first)).__name__)
            return AssistantAgent("ann", context.model(), model_client_stream=True, memory=SHARED)
        """,
    )
    async with serving(**with_openai) as service:
        for _ in range(3):
            run = await service.run("it", "hi")
            assert [message["type"] for message in run["messages"]] == ["text", "memory", "text"]
    assert NOTES == ["Notebook", "closed"] * 4


async def test_a_selector(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A model that chooses the speakers is paid for too: its tokens are in the run's usage."""
    add(folder, 'SelectorGroupChat([agent("ann"), agent("bob"), agent("cid")], model, max_turns=2)')

    def replies(request: Request) -> Reply:
        prompt = str(request.json["messages"][0]["content"])
        if "select the next role" in prompt:
            return Text("ann" if "bob: Hello." in prompt else "bob", usage=Usage(100, 1))
        return Text("Hello.", usage=Usage(10, 2))

    openai.replies = replies
    async with serving(**with_openai) as service:
        run = await service.run("it", "Talk.")
        chats = [span for span in flat(await service.trace(run)) if span["name"].startswith("chat ")]
    assert [message["source"] for message in run["messages"]] == ["user", "bob", "ann"]
    assert (run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (220, 6)
    assert run["usage"]["cost_usd"] > 0
    assert len(chats) == len(openai.requests) == 4


async def test_the_speakers_are_told_where_asked_for(
    folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """A team that emits its events tells whom it chose among whom, and what its selector said, piece by piece."""
    add(
        folder,
        'SelectorGroupChat([agent("ann"), agent("bob")], model, max_turns=1, emit_team_events=True, '
        "model_client_streaming=True)",
    )
    openai.replies = [Text("I take bob"), Text("Hello.")]
    async with serving(**with_openai) as service:
        events = await service.stream("it", "Talk.")
    told = [event.data["message"] for event in events if event.type == "message"]
    assert [message["type"] for message in told] == ["text", "other", "speaker", "text"]
    assert (told[2]["candidates"], told[2]["selected"]) == (["ann", "bob"], ["bob"])
    assert told[1]["content"] == "I take bob"
    for id_, whole in ((told[1]["id"], "I take bob"), (told[3]["id"], "Hello.")):
        assert "".join(event.data["delta"] for event in events if event.data.get("message_id") == id_) == whole


INSIDE = {
    "agent tool": ('agent("boss", tools=[AgentTool(agent("ann"))], reflect_on_tool_use=True)', 3),
    "team tool": (
        'agent("boss", tools=[TeamTool(team(agent("ann"), agent("bob")), "ann", "Talks.")], reflect_on_tool_use=True)',
        4,
    ),
}


@pytest.mark.parametrize("kind", INSIDE)
async def test_an_agent_as_a_tool(kind: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """What is said inside is streamed under its own ids and names; its tokens and spans are the run's."""
    made, calls = INSIDE[kind]
    add(folder, made)

    def replies(request: Request) -> Reply:
        if request.asked.results:
            return Text(f"They said: {request.asked.results[-1]}")
        if request.asked.tools:
            return ToolCalls((ToolCall("ann", {"task": "Say something."}),))
        return Text("Something nice.")

    openai.replies = replies
    async with serving(**with_openai) as service:
        events = await service.stream("it", "Ask them.")
        run = await service.get(f"/runs/{events[0].data['run_id']}")
        spans = flat(await service.trace(run))
    assert run["status"] == "completed"
    assert len(openai.requests) == calls
    assert run["usage"]["input_tokens"] == 11 * calls
    assert len([span for span in spans if span["name"].startswith("chat ")]) == calls
    inside = ["ann"] if kind == "agent tool" else ["ann", "bob"]
    assert [message["source"] for message in run["messages"]] == ["user", "boss", "user", *inside, "boss", "boss"]
    texts = {message["id"]: message["content"] for message in run["messages"] if message["type"] == "text"}
    streamed: dict[str, str] = {}
    for event in events:
        if event.type == "text.delta":
            streamed[event.data["message_id"]] = streamed.get(event.data["message_id"], "") + event.data["delta"]
    assert len(streamed) == len(inside) + 1
    assert streamed.items() <= texts.items()


async def test_a_team_in_a_team(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Each member speaks once, inner ones too, and no message is told twice."""
    add(folder, 'team(team(agent("ann"), agent("bob")), agent("cid"))')
    async with serving(**with_openai) as service:
        events = await service.stream("it", "Talk.")
        card = await service.get("/agents/it")
    told = [event.data["message"] for event in events if event.type == "message"]
    assert [message["source"] for message in told] == ["user", "ann", "bob", "cid"]
    assert len({message["id"] for message in told}) == 4
    assert card["kind"] == "team"
    assert len(openai.requests) == 3


EXITS = {
    "function": "FunctionTool(leave, 'Leaves.')",
    "async function": "FunctionTool(leave_async, 'Leaves.')",
    "shared by runs": "SHARED",
    "of a class": "Leaving()",
}


@pytest.mark.parametrize("kind", EXITS)
async def test_a_tool_that_ends_the_program(
    kind: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """The model is told that it failed; the run goes on, and the service."""
    folder.add(
        "it.py",
        """
        from autogen_agentchat.agents import AssistantAgent
        from autogen_core.tools import BaseTool, FunctionTool
        from pydantic import BaseModel

        def leave(word: str) -> str:
            raise SystemExit(2)

        async def leave_async(word: str) -> str:
            leave(word)

        class Word(BaseModel):
            word: str

        class Leaving(BaseTool[Word, Word]):
            def __init__(self):
                super().__init__(Word, Word, "leaving", "Leaves.")

            async def run(self, args, cancellation_token):
                leave(args.word)

        SHARED = FunctionTool(leave_async, "Leaves.")

        def build(context):
            return AssistantAgent("ann", context.model(), model_client_stream=True, tools=[$tool])
        """.replace("$tool", EXITS[kind]),
    )
    async with serving(**with_openai) as service:
        for _ in range(2):
            run = await service.run("it", "Leave 'now'.")
            assert run["status"] == "completed"
            (result,) = [message for message in run["messages"] if message["type"] == "tool_result"]
            assert result["is_error"] is True
            assert "The tool ended with exit status 2." in result["content"]
        assert (await service.get("/livez"))["status"] == "ok"


async def test_an_agent_that_ends_the_program(folder: Folder, with_openai: dict[str, Any]) -> None:
    """The run fails, and nothing else."""
    folder.add("it.py", IMPORTS.replace("self._count += 1", "raise SystemExit(3)").replace("{made}", 'Counter("ann")'))
    async with serving(**with_openai) as service:
        problem = await service.run("it", "Leave.", status=500)
        assert problem["type"] == "urn:waggle:problem:run-failed"
        assert (await service.get("/livez"))["status"] == "ok"
