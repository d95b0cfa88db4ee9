"""What an agent is brought back with: nothing is done twice, and where that cannot be, nothing is done at all."""

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from autogen_core import Image
from PIL import Image as Picture

from app.agents import journal
from app.errors import StateConflict
from app.events import TextDelta, ThoughtDelta
from app.task import ImagePart, TextPart
from tests.agents.folder import NOTES, Folder, folder, until
from tests.agents.waiting import Lived, add, follow, live, opened
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import HttpError, Text, ToolCall, ToolCalls

__all__ = ["folder"]


def calls(name: str, **arguments: Any) -> ToolCalls:
    return ToolCalls((ToolCall(name, arguments),))


async def begin(settings: dict[str, Any], task: Any = "Begin.") -> Lived:
    """A run, until it asks."""
    lived = Lived()
    async with opened(settings) as conversation:
        await conversation.prepare(task)
        await conversation.load(None)
        await follow(conversation, lived)
    assert lived.questions, lived.said
    return lived


async def go_on(settings: dict[str, Any], lived: Lived, answer: Any) -> Lived:
    """The same run, after the answer."""
    async with opened(settings) as conversation:
        await conversation.resume(lived.checkpoint, answer, None)
        await follow(conversation, lived)
    return lived


EDITED = {
    "instructions": (
        'agent("ann", note, system_message="It is Monday.")',
        'agent("ann", note, system_message="It is Tuesday.")',
    ),
    "tools": ('agent("ann", note)', 'agent("ann", note, pay)'),
    "model": ('agent("ann", note)', 'AssistantAgent("ann", context.model("openai:gpt-4o"), tools=[note])'),
    "streaming": ('agent("ann", note)', 'AssistantAgent("ann", model, tools=[note])'),
}


@pytest.mark.parametrize("edit", EDITED)
async def test_an_agent_that_was_edited(
    edit: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Days may pass, and a date stand in the instructions: what was said before was said."""
    before, after = EDITED[edit]
    openai.replies = [calls("note", text="n"), Text("Fine.")]
    add(folder, f'team({before}, proxy, agent("bob"))')
    lived = await begin(with_openai)
    add(folder, f'team({after}, proxy, agent("bob"))')
    await go_on(with_openai, lived, "Go on.")
    assert lived.said[-2:] == ["human: Go on.", "bob: Fine."]
    assert len(openai.requests) == 2
    assert NOTES == ["n"]


OWN = 'Own((FunctionTool(note, "N."), {"text": "n"}))'
CHOSEN = 'SelectorGroupChat([agent("ann"), proxy], model, selector_func=lambda _: "human", max_turns=1)'
CHANGED = {
    "asks another thing": (OWN, '"Well?"', '"Otherwise?"'),
    "calls another tool": (OWN, '{"text": "n"}', '{"text": "m"}'),
    "asks nothing": (OWN, 'await ask("Well?")', '"Never mind."'),
    "calls a model": (CHOSEN, '_: "human"', '_: "ann"'),
}


@pytest.mark.parametrize("change", CHANGED)
async def test_an_agent_that_goes_another_way(
    change: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a conflict: no tool runs, no model is called, and nothing stays behind."""
    monkeypatch.setattr(journal, "STALL_S", 0.1)
    made, old, new = CHANGED[change]
    add(folder, made)
    lived = await begin(with_openai)
    file = folder.path / "it.py"
    text = file.read_text(encoding="utf-8")
    assert old in text
    noted = list(NOTES)
    file.write_text(text.replace(old, new), encoding="utf-8")
    before = asyncio.all_tasks()
    with pytest.raises(StateConflict, match="has changed"):
        await go_on(with_openai, lived, "Fine.")
    assert noted == NOTES
    assert openai.requests == []
    await until(lambda: not [task for task in asyncio.all_tasks() - before if "autogen" in repr(task)])


async def test_a_checkpoint_that_does_not_fit(folder: Folder, with_openai: dict[str, Any]) -> None:
    """Garbage, another agent's, or that of an agent with other members."""
    add(folder, "team(proxy)")
    lived = await begin(with_openai)
    whole = lived.checkpoint
    for content in (
        b"",
        b"{",
        b"null",
        b"{}",
        whole[:-20],
        whole.replace(b'"agent":"it"', b'"agent":"other"'),
        whole.replace(b'"version":1', b'"version":2'),
        whole.replace(b'"TextMessage"', b'"NoSuchMessage"'),
        whole.replace(b'"content":"Begin.","type":"TextMessage"', b'"content":5,"type":"TextMessage"'),
    ):
        lived.checkpoint = content
        with pytest.raises(StateConflict, match="'it' has changed"):
            await go_on(with_openai, lived, "Fine.")
    lived.checkpoint = whole
    for made in ("proxy", "team(proxy, Own((FunctionTool(note, 'N.'), {})))", "team(team(proxy))"):
        add(folder, made)
        with pytest.raises(StateConflict, match="'it' has changed"):
            await go_on(with_openai, lived, "Fine.")
    add(folder, "team(proxy)")
    assert (await go_on(with_openai, lived, "Fine.")).said[-1] == "human: Fine."


async def test_what_goes_on_beside_a_question(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The run is stopped when it has ended: its effect is neither lost nor made again."""
    add(folder, 'agent("ann", slow, book, reflect_on_tool_use=True)')
    openai.replies = [ToolCalls((ToolCall("book", {"city": "Rome"}), ToolCall("slow", {}))), Text("Done.")]
    lived = await begin(with_openai)
    assert NOTES == ["begun", "ended"]
    await go_on(with_openai, lived, "May")
    assert NOTES == ["begun", "ended", "book Rome May"]
    assert lived.said[-3:] == [
        "ann [tool_result]: Booked Rome on May.",
        "ann [tool_result]: Slow.",
        "ann: Done.",
    ]


async def test_a_failure_that_was_survived(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A model's failure inside of a tool was told to another model, and is not tried again."""
    add(folder, 'team(agent("boss", AgentTool(agent("ann")), reflect_on_tool_use=True), proxy, agent("bob"))')
    openai.replies = [calls("ann", task="Well?"), HttpError(400, "No."), Text("It failed."), Text("Bye.")]
    lived = await live(with_openai, ["I see."])
    assert lived.said[-3:] == ["boss: It failed.", "human: I see.", "bob: Bye."]
    assert len(openai.requests) == 4
    assert lived.calls == 3


async def test_code_that_was_run(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Code is not run again, and a person may have to allow it."""
    add(folder, 'team(agent("ann"), CodeExecutorAgent("coder", Executor(), approval_func=approved), proxy, turns=9)')
    openai.replies = [Text(f"```python\n{name}\n```") for name in ("first", "second", "third")]
    lived = await live(with_openai, ["yes", "Go on.", "no", "Why?", "yes", "Enough."])
    assert NOTES == ["first", "third"]
    assert [said for said in lived.said if said.startswith("coder")] == [
        "coder: 1 run",
        "coder: Code execution was not approved. Reason: no",
        "coder: 2 run",
    ]
    assert len(openai.requests) == 3


async def test_a_session_with_a_past(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A leg begins with the state that its run began with, and the session's next run knows all of it."""
    add(folder, 'team(agent("ann"), proxy)')
    openai.replies = [Text("Hello Zoe."), Text("You are Zoe."), Text("I know.")]
    first = await live(with_openai, ["Fine."], task="I am Zoe.")
    second = await live(with_openai, ["Right."], task="Who am I?", state=first.state)
    assert second.said == ["user: Who am I?", "ann: You are Zoe.", "human: Right."]
    await live(with_openai, ["Bye."], task="So?", state=second.state)
    told = [str(said["content"]) for said in openai.requests[-1].json["messages"][1:]]
    assert told == ["I am Zoe.", "Hello Zoe.", "Fine.", "Who am I?", "You are Zoe.", "Right.", "So?"]


async def test_a_session_after_a_hand_off(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The session's next run goes on after a run that ended with a hand-off and an answer."""
    add(
        folder,
        'Swarm([agent("ann", handoffs=["user"])], '
        'termination_condition=HandoffTermination("user") | TextMessageTermination("ann"))',
    )
    openai.replies = [calls("transfer_to_user"), Text("To Rome."), Text("And back.")]
    first = await live(with_openai, ["Rome"])
    second = await live(with_openai, task="And then?", state=first.state)
    assert second.said == ["user: And then?", "ann: And back."]
    told = [str(said["content"]) for said in openai.requests[-1].json["messages"][1:]]
    assert told[-3:] == ["Rome", "To Rome.", "And then?"]


async def test_a_task_with_an_image(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """It is kept with the run."""
    pixel = Image(Picture.new("RGB", (1, 1))).data_uri
    add(folder, 'team(agent("ann"), proxy, agent("bob"))')
    openai.replies = [Text("Black."), Text("Indeed.")]
    lived = await begin(with_openai, (TextPart("Look."), ImagePart(pixel)))
    await go_on(with_openai, lived, "Sure?")
    assert lived.said[1:] == ["ann: Black.", "human: Sure?", "bob: Indeed."]
    assert pixel in str(openai.requests[-1].json["messages"])
    assert len(openai.requests) == 2


async def test_a_thought(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """What was thought before, and streamed, is not streamed again; what comes then is."""
    add(folder, 'team(agent("ann"), proxy, turns=3)')
    openai.replies = [Text("Which?", thought="Hm."), Text("That one.", thought="Ah.")]
    lived = await live(with_openai, ["Rome"])
    assert lived.said == [
        "user: Begin.",
        "ann [thought]: Hm.",
        "ann: Which?",
        "human: Rome",
        "ann [thought]: Ah.",
        "ann: That one.",
    ]
    deltas = [[each.delta for each in leg if isinstance(each, TextDelta | ThoughtDelta)] for leg in lived.told]
    assert ["".join(leg) for leg in deltas] == ["Hm.Which?", "Ah.That one."]


async def test_a_consumer_that_takes_its_time(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The agent is stopped while it is listened to, and never what listens."""
    add(folder, 'team(agent("ann"), proxy)')
    openai.replies = [Text("Which?")]
    told = []
    async with opened(with_openai) as conversation:
        await conversation.prepare("Begin.")
        async for each in conversation.run():
            await anyio.sleep(0.1)
            told.append(each)
        assert conversation.question is not None
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await anyio.lowlevel.checkpoint()
    assert len(told) == 3


@pytest.mark.parametrize("made", ["proxy", "team(proxy)", 'agent("ann", book)', 'team(team(agent("ann", book)))'])
@pytest.mark.parametrize("way", ["token", "task"])
async def test_a_run_cancelled_before_it_waits(
    made: str, way: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """A cancelled run is cancelled, also where it was about to ask; and nobody is asked."""
    add(folder, made)
    openai.replies = [calls("book", city="Rome")]
    async with opened(with_openai) as conversation:
        await conversation.prepare("Begin.")

        async def run() -> None:
            async for _ in conversation.run():
                pass

        task = asyncio.create_task(run())
        await until(lambda: conversation._desk._pending)
        conversation.cancel()
        if way == "task":
            task.cancel()
        await asyncio.wait({task}, timeout=0.5)
        task.cancel()  # an agent without a team waits for its tool's result: see `app.runs.work`
        with pytest.raises(asyncio.CancelledError):
            await task
        assert conversation.question is None


@pytest.mark.parametrize("instead", ['said.append("Cancelled.")', 'raise ValueError("Cancelled.")'])
@pytest.mark.parametrize("made", [OWN, f"team({OWN})", f'team({OWN}, agent("ann"))'])
async def test_an_agent_that_does_not_take_it(
    made: str, instead: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """One that goes on where it is stopped is not listened to, and the run waits all the same."""
    add(folder, made)
    file = folder.path / "it.py"
    asks = 'said.append(await ask("Well?"))'
    caught = f"try:\n            {asks}\n        except asyncio.CancelledError:\n            {instead}"
    file.write_text(file.read_text(encoding="utf-8").replace(asks, caught), encoding="utf-8")
    lived = await live(with_openai, ["Fine."])
    assert lived.said[1] == "own: Noted n. | Fine."
    assert len(openai.requests) == made.count("ann")
    assert NOTES == ["n"]
