"""Tools that a person must allow."""

import sys
from pathlib import Path
from typing import Any

import pytest

from app.agents.approval import DECISION
from app.agents.desk import Question
from app.agents.person import ask, needs_approval
from app.agents.registry import Registry
from app.settings import Settings
from app.telemetry.identity import Identity, carrying
from app.telemetry.provider import Telemetry
from tests.agents.folder import NOTES, Folder, folder
from tests.agents.waiting import add, live
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.replies import Text, ToolCall, ToolCalls
from tests.servers.trees import Span

__all__ = ["folder"]

APPROVE = {"decision": "approve"}
DENY = {"decision": "deny", "reason": "Too much."}


def calls(*named: tuple[str, dict[str, Any]]) -> ToolCalls:
    return ToolCalls(tuple(ToolCall(name, arguments) for name, arguments in named))


def asked(name: str, arguments: str, source: str = "ann") -> Question:
    return Question(f"Call tool '{name}' with {arguments}?", source, DECISION)


PAY = calls(("pay", {"amount": 3}))

DECIDED = {
    "approved": (APPROVE, "Paid 3.", ["pay 3"]),
    "denied": (DENY, "A person denied this call: Too much.", []),
    "denied without a reason": ({"decision": "deny"}, "A person denied this call.", []),
    "edited": (APPROVE | {"arguments": {"amount": 2}}, "Paid 2.", ["pay 2"]),
    "edited so that it does not fit": (APPROVE | {"arguments": {"amount": "much"}}, "1 validation error", []),
    "something else": ("Well.", "A person denied this call.", []),
}


@pytest.mark.parametrize("decision", DECIDED)
async def test_a_decision(decision: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """The tool runs as it was allowed to, or the model is told why not, and the run goes on."""
    answer, result, notes = DECIDED[decision]
    add(folder, 'agent("ann", pay, reflect_on_tool_use=True)')
    openai.replies = [PAY, Text("Well then.")]
    lived = await live(with_openai, [answer])
    assert lived.questions == [asked("pay", '{"amount": 3}')]
    *before, told, last = lived.said
    assert before == ["user: Begin.", 'ann calls pay({"amount":3})']
    assert told.startswith(f"ann [tool_result]: {result}")
    assert last == "ann: Well then."
    (message,) = (message for message in lived.messages if message.type == "tool_result")
    assert message.is_error is not bool(notes)
    assert notes == NOTES
    assert openai.requests[1].asked.results[0] == message.content


async def test_two_at_once(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Of calls made together each is asked for, one after the other; what needs no approval runs before, once."""
    add(folder, 'agent("ann", note, pay, reflect_on_tool_use=True)')
    openai.replies = [
        calls(("pay", {"amount": 1}), ("note", {"text": "n"}), ("pay", {"amount": 2}), ("pay", {"amount": 1})),
        Text("Done."),
    ]
    lived = await live(with_openai, [APPROVE, DENY, APPROVE])
    assert lived.questions == [
        asked("pay", '{"amount": 1}'),
        asked("pay", '{"amount": 2}'),
        asked("pay", '{"amount": 1}'),
    ]
    results = [message.content for message in lived.messages if message.type == "tool_result"]
    assert results == ["Paid 1.", "Noted n.", "A person denied this call: Too much.", "Paid 1."]
    assert NOTES == ["n", "pay 1", "pay 1"]
    assert len(openai.requests) == 2


async def test_a_tool_that_asks_itself(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """It is allowed, and then it asks: the approval is not asked for again."""
    add(folder, 'agent("ann", send)')
    openai.replies = [calls(("send", {"to": "Bob"}))]
    lived = await live(with_openai, [APPROVE, "Zoe"])
    assert lived.questions == [asked("send", '{"to": "Bob"}'), Question("Signed by whom, to Bob?", "send")]
    assert NOTES == ["send Bob Zoe"]


MARKED = {
    "function": 'agent("ann", pay)',
    "function tool": 'agent("ann", FunctionTool(pay, "Pay."))',
    "tool": 'agent("ann", needs_approval(FunctionTool(plain, "Pay.", name="pay")))',
    "workbench": (
        'agent("ann", workbench=needs_approval(StaticWorkbench([FunctionTool(plain, "Pay.", name="pay")]), "p*"))'
    ),
    "both": 'agent("ann", workbench=needs_approval(StaticWorkbench([FunctionTool(pay, "Pay.")]), "pay"))',
    "in a team": 'team(agent("ann", pay))',
}


@pytest.mark.parametrize("marked", MARKED)
async def test_a_mark(marked: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """However it was marked, it is asked for once and runs once; the agent's card tells it."""
    made = MARKED[marked]
    add(folder, made)
    file = folder.path / "it.py"
    plain = "def plain(amount: int) -> str:\n    NOTES.append(f'pay {amount}')\n    return f'Paid {amount}.'\n\n\n"
    file.write_text(file.read_text(encoding="utf-8").replace("def build(", plain + "def build("), encoding="utf-8")
    openai.replies = [PAY]
    lived = await live(with_openai, [APPROVE])
    assert lived.questions == [asked("pay", '{"amount": 3}')]
    assert lived.said[-1] == "ann: Paid 3."
    assert NOTES == ["pay 3"]


async def test_a_workbench_whose_other_tools_need_none(
    folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Only the names that the patterns match."""
    add(
        folder,
        'agent("ann", workbench=needs_approval(StaticWorkbench([FunctionTool(note, "Note."), '
        'FunctionTool(book, "Book.", name="delete_it")]), "delete_*"), reflect_on_tool_use=True)',
    )
    openai.replies = [calls(("note", {"text": "n"})), Text("Done.")]
    assert (await live(with_openai)).questions == []


async def test_an_agent_as_a_tool(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """An agent may need approval too, and what it calls in its turn."""
    add(folder, 'agent("boss", needs_approval(AgentTool(agent("ann", pay))))')
    openai.replies = [calls(("ann", {"task": "Pay."})), PAY]
    lived = await live(with_openai, [APPROVE, APPROVE])
    assert lived.questions == [asked("ann", '{"task": "Pay."}', "boss"), asked("pay", '{"amount": 3}')]
    assert NOTES == ["pay 3"]
    assert len(openai.requests) == 2
    openai.replies = [calls(("ann", {"task": "Pay."}))]
    denied = await live(with_openai, [DENY])
    assert denied.said[-2:] == [
        "boss [tool_result]: A person denied this call: Too much.",
        "boss: A person denied this call: Too much.",
    ]


async def test_an_agent_of_a_users_own(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """It calls its tools itself, and each is asked for and runs once, however often the agent is run again."""
    add(
        folder,
        'Own((FunctionTool(note, "Note."), {"text": "n"}), (FunctionTool(pay, "Pay."), {"amount": 1}), '
        '(FunctionTool(pay, "Pay."), {"amount": 2}))',
    )
    lived = await live(with_openai, [APPROVE, DENY, "Fine."])
    assert [question.prompt for question in lived.questions] == [
        "Call tool 'pay' with {\"amount\": 1}?",
        "Call tool 'pay' with {\"amount\": 2}?",
        "Well?",
    ]
    assert lived.said[-1] == "own: Noted n. | Paid 1. | ToolFailed: A person denied this call: Too much. | Fine."
    assert NOTES == ["n", "pay 1"]


async def test_a_tool_of_an_mcp_server(
    folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path
) -> None:
    """By its name; it is called once, by the process that has the answer."""
    server = [str(Path(__file__).with_name("mcp_server.py")), str(tmp_path / "pids")]
    folder.add(
        "it.py",
        """
        from autogen_agentchat.agents import AssistantAgent
        from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams
        from app.agents.person import needs_approval

        def build(context):
            server = StdioServerParams(command=$python, args=$server, read_timeout_seconds=60)
            workbench = needs_approval(McpWorkbench(server), "fail", "who*")
            return AssistantAgent("ann", context.model(), workbench=workbench, reflect_on_tool_use=True)
        """,
        python=sys.executable,
        server=server,
    )
    openai.replies = [calls(("whoami", {}), ("fail", {"secret": "it"})), Text("Done.")]
    lived = await live(with_openai, [APPROVE, DENY])
    assert lived.questions == [asked("whoami", "{}"), asked("fail", '{"secret": "it"}')]
    results = [message.content for message in lived.messages if message.type == "tool_result"]
    assert results[0] in (tmp_path / "pids").read_text(encoding="utf-8").split()
    assert results[1] == "A person denied this call: Too much."
    assert len(openai.requests) == 2


async def test_the_card(folder: Folder, with_openai: dict[str, Any]) -> None:
    """It says which tools need approval."""
    add(folder, 'agent("ann", note, pay, needs_approval(AgentTool(agent("bob"))))')
    registry = Registry(Settings(**{"_env_file": None, **with_openai}))
    await registry.start()
    tools = {tool.name: tool.needs_approval for tool in registry.card("it").tools}
    await registry.close()
    assert tools == {"note": False, "pay": True, "bob": True}


def test_what_cannot_be_marked() -> None:
    """It is said at once, not when the tool has run."""
    with pytest.raises(TypeError, match="Names belong to a workbench"):
        needs_approval(sorted, "sort*")
    with pytest.raises(TypeError, match="str is neither"):
        needs_approval("pay")
    with pytest.raises(TypeError, match="make a FunctionTool of it"):
        needs_approval([].append)


async def test_asking_outside_of_a_run() -> None:
    """Nobody could answer."""
    with pytest.raises(RuntimeError, match="in a run only"):
        await ask("Well?")


async def spans_of(settings: dict[str, Any], collector: Collector, answers: list[Any]) -> list[Span]:
    """What a collector gets of a run."""
    telemetry = Telemetry(Settings(**{"_env_file": None, "otel_exporter_otlp_endpoint": collector.url, **settings}))
    await telemetry.start()
    try:
        with carrying(Identity("r", "s", "it", "t", None)):
            await live(settings, answers)
    finally:
        await telemetry.stop()
    return sorted(collector.spans(), key=lambda span: span.start)


SPANS: dict[str, tuple[dict[str, Any], str, str, str | None]] = {
    "approved": (APPROVE, '{"amount": 3}', "Paid 3.", None),
    "edited": (APPROVE | {"arguments": {"amount": 2}}, '{"amount":2}', "Paid 2.", None),
    "denied": (DENY, '{"amount": 3}', "A person denied this call: Too much.", "denied"),
}


@pytest.mark.parametrize("decision", SPANS)
async def test_its_span(
    decision: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any], collector: Collector
) -> None:
    """A call has one span, which says what it was called with and what became of it; a model's call has one too."""
    answer, arguments, result, error = SPANS[decision]
    add(folder, 'team(agent("ann", pay))')
    openai.replies = [PAY]
    spans = await spans_of(with_openai, collector, [answer])
    (tool,) = (span for span in spans if span.name == "execute_tool pay")
    assert tool.attributes["gen_ai.tool.call.arguments"] == arguments
    assert tool.attributes["gen_ai.tool.call.result"] == result
    assert tool.attributes.get("error.type") == error
    assert len([span for span in spans if span.name.startswith("chat ")]) == 1


@pytest.mark.parametrize("made", ['agent("ann", book)', 'team(team(agent("ann", book)))', "team(proxy)", "proxy"])
async def test_a_pause_is_no_failure(
    made: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any], collector: Collector
) -> None:
    """The spans that it cuts say so, and are neither errors nor cancelled."""
    add(folder, made)
    openai.replies = [calls(("book", {"city": "Rome"}))]
    spans = await spans_of(with_openai, collector, [])
    cut = [span.name for span in spans if span.attributes.get("waggle.paused")]
    assert any(name.startswith("invoke_agent") for name in cut)
    assert ("execute_tool book" in cut) == ("book" in made)
    assert [span.name for span in spans if span.status == "error" or "error.type" in span.attributes] == []


async def test_what_is_done_again_is_marked(
    folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any], collector: Collector
) -> None:
    """AutoGen makes spans of it a second time: they say so, and are not counted."""
    add(folder, 'team(agent("ann", note), proxy, agent("bob"))')
    openai.replies = [calls(("note", {"text": "n"})), Text("Bye.")]
    spans = await spans_of(with_openai, collector, ["Go on."])
    marked = [span.name for span in spans if span.attributes.get("waggle.replayed")]
    assert marked == ["select_speaker", "invoke_agent ann", "select_speaker"]
    assert [span.name for span in spans].count("invoke_agent ann") == 2
    assert [span.name for span in spans].count("execute_tool note") == 1
