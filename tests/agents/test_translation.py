"""AutoGen's messages as ours: every class of them, and every way in which they are streamed."""

import inspect
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from autogen_agentchat import messages as autogen
from autogen_core import FunctionCall, Image
from autogen_core.code_executor import CodeBlock, CodeResult
from autogen_core.memory import MemoryContent, MemoryMimeType
from autogen_core.models import FunctionExecutionResult
from PIL import Image as Picture
from pydantic import BaseModel

from app.agents.translation import AutoGenMessage, Told, Translator
from app.events import MessageAdded, TextDelta, ThoughtDelta
from app.messages import (
    Handoff,
    Memory,
    Message,
    Other,
    Speaker,
    Structured,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from app.messages import Image as ImageSaid

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ABOUT: dict[str, Any] = {"id": "m", "source": "agent", "created_at": SINCE}
PIXEL = Image(Picture.new("RGB", (1, 1)))


class Found(BaseModel):
    """An answer in a schema."""

    city: str
    since: datetime


class Progress(autogen.BaseAgentEvent):
    """An event that a user made up."""

    percent: int

    def to_text(self) -> str:
        return f"{self.percent} %"


class Receipt(autogen.BaseChatMessage):
    """A message that a user made up."""

    def to_text(self) -> str:
        return "paid"

    def to_model_text(self) -> str:
        return "paid"

    def to_model_message(self) -> Any:
        raise NotImplementedError


CALL = FunctionCall(id="c1", name="add", arguments='{"a": 1}')
RESULT = FunctionExecutionResult(content="3", name="add", call_id="c1", is_error=False)

TABLE: list[tuple[AutoGenMessage, list[Message]]] = [
    (autogen.TextMessage(**ABOUT, content="hi"), [Text(**ABOUT, content="hi")]),
    (
        autogen.MultiModalMessage(**ABOUT, content=["see", PIXEL]),
        [
            ImageSaid(
                **ABOUT,
                content=[
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": PIXEL.data_uri}},
                ],
            )
        ],
    ),
    (autogen.StopMessage(**ABOUT, content="done"), [Text(**ABOUT, content="done")]),
    (
        autogen.HandoffMessage(**ABOUT, content="over to you", target="bob"),
        [Handoff(**ABOUT, content="over to you", target="bob")],
    ),
    (
        autogen.ToolCallSummaryMessage(**ABOUT, content="3", tool_calls=[CALL], results=[RESULT]),
        [Text(**ABOUT, content="3")],
    ),
    (
        autogen.StructuredMessage[Found](**ABOUT, content=Found(city="Rome", since=SINCE)),
        [Structured(**ABOUT, content={"city": "Rome", "since": "2026-01-02T03:04:05Z"})],
    ),
    (
        autogen.ToolCallRequestEvent(
            **ABOUT,
            content=[
                CALL,
                FunctionCall(id="c2", name="add", arguments="{a: 1"),
                FunctionCall(id="c3", name="add", arguments=""),
            ],
        ),
        [
            ToolCall(**ABOUT, call_id="c1", name="add", arguments={"a": 1}),
            ToolCall(**ABOUT | {"id": "m.1"}, call_id="c2", name="add", arguments="{a: 1"),
            ToolCall(**ABOUT | {"id": "m.2"}, call_id="c3", name="add", arguments=""),
        ],
    ),
    (
        autogen.ToolCallExecutionEvent(
            **ABOUT,
            content=[
                RESULT,
                FunctionExecutionResult(content="no", name="add", call_id="c2", is_error=True),
                FunctionExecutionResult(content="?", name="add", call_id="c3"),
            ],
        ),
        [
            ToolResult(**ABOUT, call_id="c1", name="add", content="3", is_error=False),
            ToolResult(**ABOUT | {"id": "m.1"}, call_id="c2", name="add", content="no", is_error=True),
            ToolResult(**ABOUT | {"id": "m.2"}, call_id="c3", name="add", content="?", is_error=False),
        ],
    ),
    (
        autogen.MemoryQueryEvent(
            **ABOUT,
            content=[
                MemoryContent(content="likes tea", mime_type=MemoryMimeType.TEXT),
                MemoryContent(content={"likes": "tea", "since": SINCE}, mime_type=MemoryMimeType.JSON),
                MemoryContent(content=b"tea \xff", mime_type=MemoryMimeType.BINARY),
                MemoryContent(content=PIXEL, mime_type=MemoryMimeType.IMAGE),
            ],
        ),
        [
            Memory(
                **ABOUT,
                content=["likes tea", '{"likes":"tea","since":"2026-01-02T03:04:05+00:00"}', "tea \ufffd", "<image>"],
            )
        ],
    ),
    (autogen.ThoughtEvent(**ABOUT, content="hm"), [Thought(**ABOUT, content="hm")]),
    (
        autogen.SelectSpeakerEvent(**ABOUT, content=["bob"]),
        [Speaker(**ABOUT, candidates=["ann", "bob"], selected=["bob"])],
    ),
    (autogen.SelectorEvent(**ABOUT, content="bob"), [Other(**ABOUT, name="SelectorEvent", content="bob")]),
    (autogen.UserInputRequestedEvent(**ABOUT, request_id="r"), []),  # `input.required` tells it
    (
        autogen.CodeGenerationEvent(
            **ABOUT, retry_attempt=0, content="```sh\nls\n```", code_blocks=[CodeBlock("ls", "sh")]
        ),
        [Other(**ABOUT, name="CodeGenerationEvent", content="```sh\nls\n```")],
    ),
    (
        autogen.CodeExecutionEvent(**ABOUT, retry_attempt=0, result=CodeResult(exit_code=1, output="no such file")),
        [Other(**ABOUT, name="CodeExecutionEvent", content="no such file")],
    ),
    (Progress(**ABOUT, percent=50), [Other(**ABOUT, name="Progress", content="50 %")]),
    (Receipt(**ABOUT), [Other(**ABOUT, name="Receipt", content="paid")]),
]
STREAMED = autogen.ModelClientStreamingChunkEvent
"""The one class that becomes a delta; see the streams below."""


@pytest.mark.parametrize(("message", "ours"), TABLE, ids=lambda value: type(value).__name__)
def test_each_class_of_message(message: AutoGenMessage, ours: list[Message]) -> None:
    """A message becomes what the contract has for it, and what it has nothing for becomes `other`."""
    assert list(Translator(["ann", "bob"]).translate(message)) == [MessageAdded(said) for said in ours]


def test_no_class_of_autogens_is_missing() -> None:
    """The table above has every concrete message class that AutoGen exports or defines."""
    classes = {
        kind
        for kind in vars(autogen).values()
        if inspect.isclass(kind)
        and issubclass(kind, autogen.BaseMessage)
        and not inspect.isabstract(kind)
        and kind.__module__ == autogen.__name__
    }
    tested = {base for message, _ in TABLE for base in type(message).__mro__} | {STREAMED}
    assert len(classes) >= 15
    assert classes - tested == set()


def test_a_message_in_local_time() -> None:
    """Times are told in UTC, whatever a user's own message says."""
    message = autogen.TextMessage(**ABOUT | {"created_at": SINCE.astimezone()}, content="hi")
    (told,) = Translator().translate(message)
    assert isinstance(told, MessageAdded)
    assert told.message.created_at.tzinfo is UTC


# Streams: what AutoGen's agents yield, piece by piece.


def chunk(piece: str, id_: str | None = "m", source: str = "agent") -> AutoGenMessage:
    return STREAMED(source=source, content=piece, full_message_id=id_)


def text(content: str, id_: str = "m", source: str = "agent") -> AutoGenMessage:
    return autogen.TextMessage(id=id_, source=source, content=content)


def thought(content: str, id_: str = "m", source: str = "agent") -> AutoGenMessage:
    return autogen.ThoughtEvent(id=id_, source=source, content=content)


def tool_call(source: str = "agent") -> AutoGenMessage:
    return autogen.ToolCallRequestEvent(source=source, content=[CALL])


def tool_result(source: str = "agent") -> AutoGenMessage:
    return autogen.ToolCallExecutionEvent(source=source, content=[RESULT])


def translated(messages: Iterable[AutoGenMessage]) -> list[Told]:
    translator = Translator()
    return [told for message in messages for told in translator.translate(message)]


def said(told: Iterable[Told]) -> list[tuple[str, Any]]:
    """The messages: their types and contents."""
    return [
        (event.message.type, getattr(event.message, "content", None))
        for event in told
        if isinstance(event, MessageAdded)
    ]


def kept(told: list[Told]) -> list[tuple[str, Any]]:
    """The messages, after a check of the promise: deltas of an id add up to the later message with that id."""
    streamed: dict[str, str] = {}
    ids: list[str] = []
    for event in told:
        match event:
            case TextDelta() | ThoughtDelta():
                assert event.delta
                assert event.message_id not in ids, "a delta behind its message"
                streamed[event.message_id] = streamed.get(event.message_id, "") + event.delta
            case MessageAdded(message):
                ids.append(message.id)
                if message.id in streamed and not isinstance(message, Structured):
                    assert streamed[message.id] == getattr(message, "content", None)
    assert len(ids) == len(set(ids)), "an id given twice"
    assert set(streamed) <= set(ids), "deltas that no message completes"
    return said(told)


def splits(whole: str, pieces: int) -> Iterator[list[str]]:
    """Every way to cut it into so many pieces that are not empty."""
    for cuts in combinations(range(1, len(whole)), pieces - 1):
        yield [whole[start:end] for start, end in zip((0, *cuts), (*cuts, len(whole)), strict=True)]


def ways(whole: str) -> Iterator[list[str]]:
    """Whole, in two and in three pieces cut anywhere, and letter by letter."""
    for pieces in (1, 2, 3):
        yield from splits(whole, pieces)
    yield list(whole)


def test_a_text() -> None:
    """Deltas have the id that AutoGen announces, and the message takes it."""
    told = translated([chunk("Hel"), chunk("lo"), text("Hello")])
    assert told[:2] == [TextDelta("agent", "m", "Hel"), TextDelta("agent", "m", "lo")]
    assert kept(told) == [("text", "Hello")]


THOUGHTFUL = "<think>a<b</b>?</think>\n\nIt <is>."
"""With what looks like tags and is none."""


@pytest.mark.parametrize("content", ["\n\nIt <is>.", "It <is>.", THOUGHTFUL], ids=["reasoning", "R1", "unknown"])
def test_a_thought_in_tags_however_it_is_cut(content: str) -> None:
    """A thought and its text are told apart wherever the pieces end, whether AutoGen's result has them apart or not.

    `content` is AutoGen's: of a server that reports its reasoning, of a model known to reason, of another one.
    """
    result = [text(content)] if content == THOUGHTFUL else [thought("a<b</b>?"), text(content, "n")]
    for pieces in ways(THOUGHTFUL):
        told = translated([*map(chunk, pieces), *result])
        assert kept(told) == [("thought", "a<b</b>?"), ("text", "It <is>.")], pieces
        assert "".join(event.delta for event in told if isinstance(event, ThoughtDelta)) == "a<b</b>?"


@pytest.mark.parametrize("whole", ["<thin air>", "<think", "a <think>b</think>", "</think>", "<", " <think>x"])
def test_what_only_looks_like_a_thought(whole: str) -> None:
    """A tag counts at the very beginning, and whole; anything else is text, of which nothing is held back."""
    for pieces in ways(whole):
        assert kept(translated([*map(chunk, pieces), text(whole)])) == [("text", whole)], pieces


def test_a_thought_is_told_as_soon_as_it_can_be() -> None:
    """Only what may be the beginning of a tag waits for the next piece."""
    translator = Translator()
    told = [
        [event.delta for event in translator.translate(chunk(piece)) if not isinstance(event, MessageAdded)]
        for piece in ("<th", "ink>I ", "see</", "b> <", "/think>", "\n", " Yes", "<", "!")
    ]
    assert told == [[], ["I "], ["see"], ["</b> "], [], [], ["Yes"], ["<"], ["!"]]


@pytest.mark.parametrize("whole", ["<think>", "<think>on and on", "<think>on</thin"])
def test_a_thought_that_never_ends(whole: str) -> None:
    """A model that is cut off in its thought: what was thought is told, and the message is as AutoGen has it."""
    for pieces in ways(whole):
        messages = kept(translated([*map(chunk, pieces), text(whole)]))
        assert messages[-1] == ("text", whole)
        assert [content for kind, content in messages[:-1]] == [whole.removeprefix("<think>")] * (whole != "<think>")


def test_an_empty_thought() -> None:
    """Qwen's way of not thinking leaves no thought behind."""
    told = translated([chunk("<think>\n</think>"), chunk("\n\nYes"), thought(""), text("Yes", "n")])
    assert kept(told)[-1] == ("text", "Yes")
    told = translated([chunk("<think></think>"), chunk("Yes"), text("<think></think>Yes")])
    assert kept(told) == [("text", "Yes")]


def test_a_thought_whose_letters_autogen_takes_off() -> None:
    """AutoGen strips the tags' letters from a thought's ends: the one that was streamed is told."""
    told = translated([chunk("<think>hint: think"), chunk("</think>"), chunk("ok"), thought(": "), text("ok", "n")])
    assert kept(told) == [("thought", "hint: think"), ("text", "ok")]


def test_a_thought_that_was_not_streamed() -> None:
    """It has an id of its own, other than that of the text whose id AutoGen gives it."""
    told = translated([chunk("Yes"), thought("Easy."), text("Yes", "n")])
    assert kept(told) == [("thought", "Easy."), ("text", "Yes")]


def test_words_beside_a_tool_call() -> None:
    """What a model says before it calls a tool is a thought, as AutoGen has it."""
    told = translated([chunk("Let me "), chunk("see."), thought("Let me see."), tool_call(), tool_result()])
    assert kept(told) == [("thought", "Let me see."), ("tool_call", None), ("tool_result", "3")]


def test_a_thought_and_words_beside_a_tool_call() -> None:
    """AutoGen tells the words alone of OpenAI's wire, the thought alone of Anthropic's: both are told."""
    streamed = [chunk("<think>Hm.</think>"), chunk("Let me see.")]
    for told_by_autogen in ("Hm.", "Let me see."):
        told = translated([*streamed, thought(told_by_autogen), tool_call(), tool_result()])
        assert kept(told) == [
            ("thought", "Hm."),
            ("thought", "Let me see."),
            ("tool_call", None),
            ("tool_result", "3"),
        ]


def test_a_thought_that_autogen_forgets() -> None:
    """Of a reasoning server's call of a tool AutoGen's result has no thought, and its next answer the same id."""
    told = translated(
        [
            *(chunk("<think>First."), chunk("</think>"), tool_call(), tool_result()),
            *(chunk("<think>Then."), chunk("</think>"), tool_call(), tool_result()),
            *(chunk("<think>Last."), chunk("</think>"), chunk("Done."), thought("Last."), text("Done.", "n")),
        ]
    )
    assert [content for kind, content in kept(told) if kind in ("thought", "text")] == [
        "First.",
        "Then.",
        "Last.",
        "Done.",
    ]


def test_answers_of_a_tool_loop() -> None:
    """AutoGen streams the answers of a tool loop under one id: each of our messages has its own."""
    told = translated([chunk("A"), tool_call(), tool_result(), chunk("B"), text("B")])
    assert kept(told) == [("thought", "A"), ("tool_call", None), ("tool_result", "3"), ("text", "B")]


def test_a_reflection() -> None:
    """The answer after a tool is streamed under an id of its own; its thought has yet another."""
    before = [chunk("Hm.", "m"), thought("Hm.", "m"), tool_call(), tool_result()]
    plain = translated([*before, chunk("Three", "r"), chunk(".", "r"), text("Three.", "r")])
    assert kept(plain)[-1] == ("text", "Three.")
    thoughtful = [chunk("<think>So</think>", "r"), chunk("Three.", "r"), thought("So", "t"), text("Three.", "r")]
    assert kept(translated([*before, *thoughtful]))[-2:] == [("thought", "So"), ("text", "Three.")]


def test_a_structured_answer() -> None:
    """The JSON is streamed under the id of the object that it makes."""
    answer = '{"city": "Rome", "since": "2026-01-02T03:04:05Z"}'
    message = autogen.StructuredMessage[Found](
        id="n", source="agent", content=Found(city="Rome", since=SINCE), format_string="in {city}"
    )
    told = translated([chunk("<think>Hm.</think>"), chunk(answer), thought("Hm."), message])
    assert kept(told) == [("thought", "Hm."), ("structured", {"city": "Rome", "since": "2026-01-02T03:04:05Z"})]
    (json,) = [event for event in told if isinstance(event, TextDelta)]
    assert json.delta == answer
    assert isinstance(told[-1], MessageAdded)
    assert told[-1].message.id == json.message_id


def test_agents_that_speak_at_the_same_time() -> None:
    """Each one's deltas add up to its own message, in whatever order they come."""
    ann = [chunk("<think>Hm.</think>A", "a", "ann"), chunk("nn", "a", "ann"), thought("Hm.", "a", "ann")]
    ann.append(text("Ann", "a2", "ann"))
    bob = [chunk("B", "b", "bob"), chunk("ob", "b", "bob"), text("Bob", "b", "bob")]
    for places in combinations(range(len(ann) + len(bob)), len(bob)):
        rest = {"ann": iter(ann), "bob": iter(bob)}
        order = [next(rest["bob" if place in places else "ann"]) for place in range(len(ann) + len(bob))]
        assert sorted(kept(translated(order))) == [("text", "Ann"), ("text", "Bob"), ("thought", "Hm.")]


def test_an_agent_that_speaks_twice_at_the_same_time() -> None:
    """Parallel calls of one agent as a tool stream under its one name: AutoGen's ids keep them apart."""
    both = [chunk("A", "1"), chunk("B", "2"), chunk("a", "1"), text("Aa", "1"), chunk("b", "2"), text("Bb", "2")]
    assert kept(translated(both)) == [("text", "Aa"), ("text", "Bb")]


def test_pieces_without_an_id() -> None:
    """Agents that announce no message, as AutoGen's code executor, are understood by what they say in the end."""
    generated = autogen.CodeGenerationEvent(
        source="agent", retry_attempt=0, content="```sh\nls\n```", code_blocks=[CodeBlock("ls", "sh")]
    )
    told = translated(
        [
            *(chunk("```sh\n", None), chunk("ls\n```", None), generated),
            *(chunk("Do", None), chunk("ne.", None), text("Done.", "n")),
        ]
    )
    assert kept(told) == [("other", "```sh\nls\n```"), ("text", "Done.")]


def test_a_selector_that_thinks_aloud() -> None:
    """A selector's pieces, of each attempt, add up to its event."""
    told = translated(
        [
            *(chunk("No", None), chunk("body", None), autogen.SelectorEvent(source="agent", content="Nobody")),
            *(chunk("b", None), chunk("ob", None), autogen.SelectorEvent(source="agent", content="bob")),
            autogen.SelectSpeakerEvent(source="agent", content=["bob"]),
        ]
    )
    assert kept(told) == [("other", "Nobody"), ("other", "bob"), ("speaker", None)]


def test_an_event_between_pieces() -> None:
    """An agent may tell of its progress while it speaks."""
    told = translated([chunk("Hel"), Progress(source="agent", percent=50), chunk("lo"), text("Hello")])
    assert kept(told) == [("other", "50 %"), ("text", "Hello")]


def test_an_agent_that_says_other_than_it_streamed() -> None:
    """Its message is what it says in the end, under an id that promises no deltas."""
    told = translated([chunk("Draft"), text("Final"), chunk("Second"), text("Second", "n")])
    assert said(told) == [("text", "Final"), ("text", "Second")]
    deltas = [event.message_id for event in told if isinstance(event, TextDelta)]
    ids = [event.message.id for event in told if isinstance(event, MessageAdded)]
    assert ids[0] not in deltas
    assert ids[1] == deltas[1] != deltas[0]


def test_a_message_that_comes_twice() -> None:
    """A team within a team may repeat what was said: no two messages of a run have the same id."""
    assert kept(translated([text("Hello"), text("Hello")])) == [("text", "Hello"), ("text", "Hello")]
    calls = autogen.ToolCallRequestEvent(id="m", source="agent", content=[CALL, CALL, CALL])
    assert len(kept(translated([calls, calls, calls]))) == 9
