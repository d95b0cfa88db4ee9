"""A run waits for a person and goes on in another process, as if it had never been away."""

from dataclasses import dataclass
from typing import Any

import pytest

from app.agents.desk import Question
from tests.agents.folder import NOTES, Folder, folder
from tests.agents.waiting import add, live
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Text, ToolCall, ToolCalls

__all__ = ["folder"]

PROXY = Question("Enter your response:", "human")


def calls(name: str, **arguments: Any) -> ToolCalls:
    return ToolCalls((ToolCall(name, arguments),))


def ledger(speaker: str, *, done: bool = False) -> Text:
    """What MagenticOne's orchestrator is told about the progress."""
    because = {"reason": "So it is."}
    answers: dict[str, Any] = {
        "is_request_satisfied": because | {"answer": done},
        "is_in_loop": because | {"answer": False},
        "is_progress_being_made": because | {"answer": True},
        "next_speaker": because | {"answer": speaker},
        "instruction_or_question": because | {"answer": "Which city?"},
    }
    return Text(str(answers).replace("'", '"').replace("True", "true").replace("False", "false"))


@dataclass(frozen=True)
class Case:
    """An agent, what its model says, what a person answers, and the whole of what is said."""

    made: str
    replies: list[Reply]
    answers: list[Any]
    said: list[str]
    questions: list[Question]
    notes: tuple[str, ...] = ()


PLAN = (
    "MagenticOneOrchestrator: \nWe are working to address the following user request:\n\nBegin.\n\n\n"
    "To answer this request we have assembled the following team:\n\n"
    "ann: An agent that provides assistance with ability to use tools.\nhuman: A human user\n\n\n"
    "Here is an initial fact sheet to consider:\n\nNo facts.\n\n\n"
    "Here is the plan to follow as best as possible:\n\nAsk.\n"
)
"""What its orchestrator tells the team at first."""
GRAPH = """(lambda b: GraphFlow(b.get_participants(), b.build()))(
    DiGraphBuilder().add_node(agent("ann")).add_node(proxy).add_node(agent("bob"))
    .add_edge("ann", "human").add_edge("human", "bob"))"""
FAN = """(lambda b: GraphFlow(b.get_participants(), b.build()))(
    DiGraphBuilder().add_node(agent("ann")).add_node(proxy).add_node(agent("bob")).add_node(agent("cid"))
    .add_edge("ann", "human").add_edge("ann", "bob").add_edge("human", "cid").add_edge("bob", "cid"))"""
EXECUTOR = """team(agent("ann"), CodeExecutorAgent("coder", Executor()), proxy, agent("bob"))"""

CASES = {
    "a proxy alone": Case("proxy", [], ["Rome"], ["user: Begin.", "human: Rome"], [PROXY]),
    "round robin": Case(
        'team(agent("ann"), proxy, turns=4)',
        [Text("Which city?"), Text("Which month?")],
        ["Rome", "May"],
        ["user: Begin.", "ann: Which city?", "human: Rome", "ann: Which month?", "human: May"],
        [PROXY, PROXY],
    ),
    "selector": Case(
        'SelectorGroupChat([agent("ann"), agent("bob"), proxy], model, max_turns=3)',
        [Text("ann"), Text("Which city?"), Text("human"), Text("bob"), Text("A fine city.")],
        ["Rome"],
        ["user: Begin.", "ann: Which city?", "human: Rome", "bob: A fine city."],
        [PROXY],
    ),
    "swarm that ends with a hand-off": Case(
        'Swarm([agent("ann", handoffs=["bob"]), agent("bob", handoffs=["user"])], '
        'termination_condition=HandoffTermination("user") | TextMessageTermination("bob"))',
        [calls("transfer_to_bob"), calls("transfer_to_user"), calls("transfer_to_user"), Text("Booked.")],
        ["Rome", "May"],
        [
            "user: Begin.",
            "ann calls transfer_to_bob({})",
            "ann [tool_result]: Transferred to bob, adopting the role of bob immediately.",
            "ann [handoff]: Transferred to bob, adopting the role of bob immediately.",
            "bob calls transfer_to_user({})",
            "bob [tool_result]: Transferred to user, adopting the role of user immediately.",
            "bob [handoff]: Transferred to user, adopting the role of user immediately.",
            "user [handoff]: Rome",
            "bob calls transfer_to_user({})",
            "bob [tool_result]: Transferred to user, adopting the role of user immediately.",
            "bob [handoff]: Transferred to user, adopting the role of user immediately.",
            "user [handoff]: May",
            "bob: Booked.",
        ],
        [Question("Transferred to user, adopting the role of user immediately.", "bob")] * 2,
    ),
    "swarm with a proxy": Case(
        'Swarm([agent("ann", handoffs=["human"]), proxy], termination_condition=TextMessageTermination("ann"))',
        [calls("transfer_to_human"), Text("Booked.")],
        ["Rome"],
        [
            "user: Begin.",
            "ann calls transfer_to_human({})",
            "ann [tool_result]: Transferred to human, adopting the role of human immediately.",
            "ann [handoff]: Transferred to human, adopting the role of human immediately.",
            "human [handoff]: Rome",
            "ann: Booked.",
        ],
        [Question("Handoff received from ann. Enter your response:", "human")],
    ),
    "round robin that ends with a hand-off": Case(
        'team(agent("ann", handoffs=["user"]), agent("bob"), '
        'termination_condition=HandoffTermination("user") & MaxMessageTermination(1))',
        [calls("transfer_to_user"), Text("A fine city."), Text("Indeed.")],
        ["Rome"],
        [
            "user: Begin.",
            "ann calls transfer_to_user({})",
            "ann [tool_result]: Transferred to user, adopting the role of user immediately.",
            "ann [handoff]: Transferred to user, adopting the role of user immediately.",
            "user: Rome",
            "bob: A fine city.",
            "ann: Indeed.",
        ],
        [Question("Transferred to user, adopting the role of user immediately.", "ann")],
    ),
    "hand-off, then a tool that asks": Case(
        'team(agent("ann", book, handoffs=["user"]), '
        'termination_condition=HandoffTermination("user") | MaxMessageTermination(3), turns=9)',
        [calls("transfer_to_user"), calls("book", city="Rome"), Text("Done.")],
        ["Rome", "May"],
        [
            "user: Begin.",
            "ann calls transfer_to_user({})",
            "ann [tool_result]: Transferred to user, adopting the role of user immediately.",
            "ann [handoff]: Transferred to user, adopting the role of user immediately.",
            "user: Rome",
            'ann calls book({"city":"Rome"})',
            "ann [tool_result]: Booked Rome on May.",
            "ann: Booked Rome on May.",
            "ann: Done.",
        ],
        [
            Question("Transferred to user, adopting the role of user immediately.", "ann"),
            Question("When to Rome?", "book"),
        ],
        ("book Rome May",),
    ),
    "graph": Case(
        GRAPH,
        [Text("Which city?"), Text("Booked.")],
        ["Rome"],
        [
            "user: Begin.",
            "ann: Which city?",
            "human: Rome",
            "bob: Booked.",
        ],
        [PROXY],
    ),
    "graph with branches": Case(
        FAN,
        [Text("Which city?"), Text("Meanwhile."), Text("Booked.")],
        ["Rome"],
        [
            "user: Begin.",
            "ann: Which city?",
            "bob: Meanwhile.",
            "human: Rome",
            "cid: Booked.",
        ],
        [PROXY],
    ),
    "magentic one": Case(
        "MagenticOneGroupChat([agent('ann'), proxy], model)",
        [Text("No facts."), Text("Ask."), ledger("human"), ledger("human", done=True), Text("It is Rome.")],
        ["Rome"],
        [
            "user: Begin.",
            PLAN,
            "MagenticOneOrchestrator: Which city?",
            "human: Rome",
            "MagenticOneOrchestrator: It is Rome.",
        ],
        [PROXY],
    ),
    "team in a team": Case(
        'team(team(agent("ann"), proxy), agent("bob"))',
        [Text("Which city?"), Text("Booked.")],
        ["Rome"],
        ["user: Begin.", "ann: Which city?", "human: Rome", "bob: Booked."],
        [PROXY],
    ),
    "society of mind": Case(
        'SocietyOfMindAgent("soc", team=team(agent("ann"), proxy), model_client=model)',
        [Text("Which city?"), Text("Rome it is.")],
        ["Rome"],
        ["user: Begin.", "ann: Which city?", "human: Rome", "soc: Rome it is."],
        [PROXY],
    ),
    "society of mind in a team": Case(
        'team(SocietyOfMindAgent("soc", team=team(agent("ann"), proxy), model_client=model), agent("bob"))',
        [Text("Which city?"), Text("Rome it is."), Text("Booked.")],
        ["Rome"],
        ["user: Begin.", "ann: Which city?", "human: Rome", "soc: Rome it is.", "bob: Booked."],
        [PROXY],
    ),
    "agent as a tool": Case(
        'agent("boss", note, AgentTool(agent("ann", note, book, max_tool_iterations=3)), max_tool_iterations=3)',
        [
            calls("note", text="first"),
            calls("ann", task="Book."),
            calls("note", text="second"),
            calls("book", city="Rome"),
            Text("It is booked."),
            Text("Done."),
        ],
        ["May"],
        [
            "user: Begin.",
            'boss calls note({"text":"first"})',
            "boss [tool_result]: Noted first.",
            'boss calls ann({"task":"Book."})',
            "user: Book.",
            'ann calls note({"text":"second"})',
            "ann [tool_result]: Noted second.",
            'ann calls book({"city":"Rome"})',
            "ann [tool_result]: Booked Rome on May.",
            "ann: It is booked.",
            "boss [tool_result]: ann: It is booked.",
            "boss: Done.",
        ],
        [Question("When to Rome?", "book")],
        ("first", "second", "book Rome May"),
    ),
    "team as a tool, twice": Case(
        'agent("boss", TeamTool(team(agent("ann"), proxy), "ann", "A team."), max_tool_iterations=3)',
        [calls("ann", task="One."), Text("Which?"), calls("ann", task="Two."), Text("And?"), Text("Done.")],
        ["Rome", "Oslo"],
        [
            "user: Begin.",
            'boss calls ann({"task":"One."})',
            "user: One.",
            "ann: Which?",
            "human: Rome",
            "boss [tool_result]: ann: Which?\n\nhuman: Rome",
            'boss calls ann({"task":"Two."})',
            "user: Two.",
            "ann: And?",
            "human: Oslo",
            "boss [tool_result]: ann: And?\n\nhuman: Oslo",
            "boss: Done.",
        ],
        [PROXY, PROXY],
    ),
    "a tool asks, one more beside it": Case(
        'agent("ann", note, book, reflect_on_tool_use=True)',
        [
            ToolCalls((ToolCall("book", {"city": "Rome"}), ToolCall("note", {"text": "n"})), text="I book."),
            Text("Done."),
        ],
        ["May"],
        [
            "user: Begin.",
            "ann [thought]: I book.",
            'ann calls book({"city":"Rome"})',
            'ann calls note({"text":"n"})',
            "ann [tool_result]: Booked Rome on May.",
            "ann [tool_result]: Noted n.",
            "ann: Done.",
        ],
        [Question("When to Rome?", "book")],
        ("n", "book Rome May"),
    ),
    "a schema": Case(
        'team(UserProxyAgent("human", input_func=person(schema={"type": "object"}, expires_in_s=60)), agent("ann"))',
        [Text("Booked.")],
        [{"city": "Rome"}],
        ["user: Begin.", 'human: {"city":"Rome"}', "ann: Booked."],
        [Question("Enter your response:", "human", {"type": "object"}, 60)],
    ),
    "input, as AutoGen's documentation has it": Case(
        'team(UserProxyAgent("human", input_func=input), agent("ann"))',
        [Text("Booked.")],
        ["Rome"],
        ["user: Begin.", "human: Rome", "ann: Booked."],
        [PROXY],
    ),
    "a function of the recipe's own": Case(
        'team(UserProxyAgent("human", input_func=lambda prompt: "Mine."), agent("ann"))',
        [Text("Booked.")],
        [],
        ["user: Begin.", "human: Mine.", "ann: Booked."],
        [],
    ),
    "a hand-off to a member": Case(
        'Swarm([agent("ann", handoffs=["bob"]), agent("bob")], termination_condition=HandoffTermination("bob"))',
        [calls("transfer_to_bob")],
        [],
        [
            "user: Begin.",
            "ann calls transfer_to_bob({})",
            "ann [tool_result]: Transferred to bob, adopting the role of bob immediately.",
            "ann [handoff]: Transferred to bob, adopting the role of bob immediately.",
        ],
        [],
    ),
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the OpenAI SDK's, of MagenticOne's schema
@pytest.mark.parametrize("name", CASES)
async def test_it_goes_on_where_it_was(
    name: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Wherever a person is asked: every model is called once, every tool runs once, and nothing is told twice."""
    case = CASES[name]
    add(folder, case.made)
    openai.replies = case.replies
    lived = await live(with_openai, case.answers)
    assert lived.said == case.said
    assert lived.questions == case.questions
    assert (len(openai.requests), lived.calls) == (len(case.replies), len(case.replies))
    assert lived.tokens == (11 * len(case.replies), 7 * len(case.replies))
    assert tuple(NOTES) == case.notes
