"""Kinds of runs, what their traces must be, and a service through which one goes after the other."""

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from app.settings import Settings
from tests.servers.otlp import Collector
from tests.servers.replies import Drip, Hang, Reply, Request, Text, ToolCall, ToolCalls
from tests.servers.trees import OpenSpans, Span, orphans, roots, traces, unended
from tests.servers.wire import Wire
from tests.service import Service, serving

AGENTS = Path(__file__).with_name("agents")
CHAT = "chat gpt-4o-mini"
TASK = "My question."

Way = Literal["run", "stream"]
End = Literal["completed", "failed", "cancelled", "left"]


class Broken(ToolCall):
    """Arguments that are no JSON."""

    @property
    def arguments_json(self) -> str:
        return "{not json"


@dataclass(frozen=True)
class Tool:
    """What a tool's span tells; `result` is its beginning, None where there is none."""

    arguments: Any
    result: str | None
    error: str | None = None
    type: str = "function"


@dataclass(frozen=True)
class Case:
    """A run: what its model says, one answer after the other, and what comes of it."""

    agent: str
    replies: Sequence[Reply]
    tree: str
    tools: Sequence[Tool] = ()
    speakers: Sequence[Sequence[str]] = ()
    candidates: Sequence[str] = ()
    termination: str | None = None
    handoffs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By the team: `source>target`."""
    memory: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What was found or added, by the name of the span."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """What was run, what it printed, its exit code."""
    within: int | None = None
    """A model call in the middle, counted from 0."""
    endless: Reply = field(default_factory=Drip)
    """An answer that never ends."""

    def whole(self, way: Way) -> str:
        return f"POST /agents/{{name}}/{way}\n{indent(dedent(self.tree).strip(), '  ')}"

    def until(self, call: int, way: Way) -> str:
        """As far as a run comes whose model call of that number, counted from 0, does not return."""
        lines = self.whole(way).splitlines()
        calls = [number for number, line in enumerate(lines) if line.strip() == CHAT]
        return "\n".join(lines[: calls[call] + 1])


def called(name: str, **arguments: Any) -> ToolCalls:
    return ToolCalls((ToolCall(name, arguments),))


def ledger(satisfied: bool = False, progress: bool = True, speaker: str = "ann") -> Text:
    """What MagenticOne's orchestrator asks its model for before each step."""
    answers = {
        "is_request_satisfied": satisfied,
        "is_in_loop": False,
        "is_progress_being_made": progress,
        "next_speaker": speaker,
        "instruction_or_question": "Go on.",
    }
    return Text(json.dumps({name: {"reason": "So it is.", "answer": answer} for name, answer in answers.items()}))


def tool_tree(*names: str) -> str:
    tools = "".join(f"  execute_tool {name}\n" for name in names)
    return f"invoke_agent tools\n  {CHAT}\n{tools}  {CHAT}\nsave_state tools"


SAID = Text("So it is.")
CASES = {
    "single": Case(
        "single",
        [Text("Hello to you.")],
        f"""
        invoke_agent single
          {CHAT}
        save_state single
        """,
    ),
    "parallel-tools": Case(
        "tools",
        [ToolCalls((ToolCall("add", {"a": 1, "b": 2}), ToolCall("double", {"a": 4}))), SAID],
        tool_tree("add", "double"),
        tools=[Tool({"a": 1, "b": 2}, "3"), Tool({"a": 4}, "8")],
    ),
    "failing-tool": Case(
        "tools",
        [called("fail", reason="it rains"), SAID],
        tool_tree("fail"),
        tools=[Tool({"reason": "it rains"}, None, "ValueError")],
    ),
    "not-json": Case(
        "tools",
        [ToolCalls((Broken("add", {}), ToolCall("double", {"a": 4}))), SAID],
        tool_tree("add", "double"),
        tools=[Tool("{not json", "Error: Expecting", "JSONDecodeError"), Tool({"a": 4}, "8")],
    ),
    "wrong-types": Case(
        "tools",
        [called("add", a="one", b=2), SAID],
        tool_tree("add"),
        tools=[Tool({"a": "one", "b": 2}, None, "ValidationError")],
    ),
    "no-such-tool": Case(
        "tools",
        [called("subtract", a=1), SAID],
        tool_tree("subtract"),
        tools=[Tool({"a": 1}, "Error: tool 'subtract' not found", "tool_error")],
    ),
    "structured": Case(
        "structured",
        [Text('{"good": true, "why": "So it is."}')],
        f"""
        invoke_agent structured
          {CHAT}
        save_state structured
        """,
        endless=Hang(('{"good": true, ', '"why": "So')),  # the SDK parses what comes
    ),
    "agent-as-tool": Case(
        "agent_tool",
        [called("writer", task="Write."), Text("A poem."), Text("Here is a poem.")],
        f"""
        invoke_agent boss
          {CHAT}
          execute_tool writer
            invoke_agent writer
              {CHAT}
          {CHAT}
        save_state agent_tool
        """,
        tools=[Tool({"task": "Write."}, "A poem.")],
        within=1,
    ),
    "team-as-tool": Case(
        "team_tool",
        [called("ask_desk", task="Ask."), Text("Ann's."), Text("Bob's."), Text("They say so.")],
        f"""
        invoke_agent boss
          {CHAT}
          execute_tool ask_desk
            invoke_workflow desk
              select_speaker
              invoke_agent ann
                {CHAT}
              select_speaker
              invoke_agent bob
                {CHAT}
          {CHAT}
        save_state team_tool
        """,
        tools=[Tool({"task": "Ask."}, "Bob's.")],
        speakers=[["ann"], ["bob"]],
        candidates=["ann", "bob"],
        within=2,
    ),
    "round-robin": Case(
        "round_robin",
        [Text("Ann's words."), Text("CONTENT, says Bob.")],
        f"""
        invoke_workflow round_robin
          select_speaker
          invoke_agent ann
            {CHAT}
          select_speaker
          invoke_agent bob
            {CHAT}
        save_state round_robin
        """,
        speakers=[["ann"], ["bob"]],
        candidates=["ann", "bob"],
        termination="TextMentionTermination",
    ),
    "selector": Case(
        "selector",
        [Text("bob"), Text("Bob's words."), Text("cyd"), Text("Cyd's words.")],
        f"""
        invoke_workflow selector
          select_speaker
            {CHAT}
          invoke_agent bob
            {CHAT}
          select_speaker
            {CHAT}
          invoke_agent cyd
            {CHAT}
        save_state selector
        """,
        speakers=[["bob"], ["cyd"]],
        candidates=["ann", "bob", "cyd"],
        termination="SelectorGroupChatManager",
        within=2,
    ),
    "swarm": Case(
        "swarm",
        [called("transfer_to_bob"), Text("Bob's words.")],
        f"""
        invoke_workflow swarm
          select_speaker
          invoke_agent ann
            {CHAT}
            execute_tool transfer_to_bob
          select_speaker
          invoke_agent bob
            {CHAT}
        save_state swarm
        """,
        tools=[Tool({}, "Transferred to bob")],
        speakers=[["ann"], ["bob"]],
        candidates=["ann", "bob"],
        termination="TextMessageTermination",
        handoffs={"swarm": ["ann>bob"]},
    ),
    "graph": Case(
        "graph",
        [Text("First."), Text("Left or right."), Text("Right or left."), Text("Last.")],
        f"""
        invoke_workflow graph
          select_speaker
          invoke_agent first
            {CHAT}
          select_speaker
          invoke_agent left
            {CHAT}
          invoke_agent right
            {CHAT}
          select_speaker
          invoke_agent last
            {CHAT}
        save_state graph
        """,
        speakers=[["first"], ["left", "right"], ["last"]],
        candidates=["first", "left", "right", "last"],
        termination="GraphManager",
        within=0,
    ),
    "magentic": Case(
        "magentic",
        [Text("Facts."), Text("A plan."), ledger(), Text("Ann's words."), ledger(satisfied=True), Text("The answer.")],
        f"""
        invoke_workflow magentic
          {CHAT}
          {CHAT}
          select_speaker
            {CHAT}
          invoke_agent ann
            {CHAT}
          select_speaker
            {CHAT}
          {CHAT}
        save_state magentic
        """,
        speakers=[["ann"], []],
        candidates=["ann", "bob"],
        termination="MagenticOneOrchestrator",
        within=3,
    ),
    "magentic-that-stalls": Case(
        "magentic",
        [
            *(Text("Facts."), Text("A plan."), ledger(progress=False)),
            *(Text("New facts."), Text("A new plan."), ledger(speaker="bob"), Text("Bob's words.")),
            *(ledger(satisfied=True), Text("The answer.")),
        ],
        f"""
        invoke_workflow magentic
          {CHAT}
          {CHAT}
          select_speaker
            {CHAT}
          {CHAT}
          {CHAT}
          select_speaker
            {CHAT}
          invoke_agent bob
            {CHAT}
          select_speaker
            {CHAT}
          {CHAT}
        save_state magentic
        """,
        speakers=[[], ["bob"], []],
        candidates=["ann", "bob"],
        termination="MagenticOneOrchestrator",
        within=4,
    ),
    "nested": Case(
        "nested",
        [called("transfer_to_bob"), Text("Bob's words."), Text("Cyd's words.")],
        f"""
        invoke_workflow nested
          select_speaker
          invoke_workflow desk
            select_speaker
            invoke_agent ann
              {CHAT}
              execute_tool transfer_to_bob
            select_speaker
            invoke_agent bob
              {CHAT}
          select_speaker
          invoke_agent cyd
            {CHAT}
        save_state nested
        """,
        tools=[Tool({}, "Transferred to bob")],
        speakers=[["desk"], ["ann"], ["bob"], ["cyd"]],
        termination="RoundRobinGroupChatManager",
        handoffs={"desk": ["ann>bob"]},
        within=1,
    ),
    "memory": Case(
        "memory",
        [called("remember", fact="Bob likes coffee."), SAID],
        f"""
        invoke_agent memory
          search_memory notes
          {CHAT}
          execute_tool remember
            create_memory notes
          {CHAT}
        save_state memory
        """,
        tools=[Tool({"fact": "Bob likes coffee."}, "remembered")],
        memory={"search_memory notes": ["Ann likes tea."], "create_memory notes": ["Bob likes coffee."]},
    ),
    "code": Case(
        "code",
        [Text("```python\nfail()\n```"), SAID],
        f"""
        invoke_workflow code
          select_speaker
          invoke_agent writer
            {CHAT}
          select_speaker
          invoke_agent runner
            execute_code Executor
          select_speaker
          invoke_agent writer
            {CHAT}
        save_state code
        """,
        speakers=[["writer"], ["runner"], ["writer"]],
        candidates=["writer", "runner"],
        termination="RoundRobinGroupChatManager",
        code={"input": [{"code": "fail()\n", "language": "python"}], "output": "ran fail()", "exit": 1},
    ),
    "mcp": Case(
        "mcp",
        [called("whoami"), SAID],
        f"""
        invoke_agent mcp
          {CHAT}
          execute_tool whoami
          {CHAT}
        save_state mcp
        """,
        tools=[Tool({}, "", type="extension")],
    ),
    "mcp-that-fails": Case(
        "mcp",
        [called("fail", secret="it"), SAID],
        f"""
        invoke_agent mcp
          {CHAT}
          execute_tool fail
          {CHAT}
        save_state mcp
        """,
        tools=[Tool({"secret": "it"}, "Error executing tool fail", "tool_error", type="extension")],
    ),
}


@dataclass(frozen=True)
class Names:
    """What differs from one provider to another."""

    provider: str
    model: str
    answers: str
    """The model as the answer names it."""
    refusal: str = "BadRequestError"


OPENAI = Names("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18")


class Script:
    """Gives the replies one after the other; the last one stays, since it is meant not to be an answer."""

    def __init__(self, wire: Wire, replies: Sequence[Reply]) -> None:
        self._wire = wire
        self._replies = replies
        self._given = 0
        self._last = anyio.Event()
        self._streams = 0

    def __call__(self, request: Request) -> Reply:
        if request.json.get("max_tokens") == 1:  # the embedded model is warmed up, whenever its process is there
            return Text("Hello.")
        reply = self._replies[min(self._given, len(self._replies) - 1)]
        self._given += 1
        if self._given == len(self._replies):
            self._streams = self._wire.streams
            self._last.set()
        return reply

    async def until_the_last_streams(self) -> None:
        await self._last.wait()
        await self._wire.until_streaming(self._streams + 1)


class Bench:
    """A service, its model and its collector, through which one run goes after the other."""

    def __init__(self, service: Service, wire: Wire, collector: Collector, open_spans: OpenSpans) -> None:
        self._service = service
        self._wire = wire
        self._collector = collector
        self._open = open_spans

    async def play(
        self, agent: str, replies: Sequence[Reply], way: Way, end: End, until: str | None = None
    ) -> list[Span]:
        """The spans of a run that ends so, once its root is there and none is open any more.

        It is stopped when the last reply streams, or when the span of the name `until` is open.
        """
        self._collector.clear()
        script = Script(self._wire, replies)
        self._wire.replies = script
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(self._ask, agent, way)
                while until is not None and until not in self._open.names:
                    await anyio.lowlevel.checkpoint()
                if end in ("cancelled", "left") and until is None:
                    await script.until_the_last_streams()
                if end == "cancelled":
                    (run_id,) = self._service.parts.runner._live
                    response = await self._service.client.post(f"/runs/{run_id}/cancel", headers={"X-User-ID": "ann"})
                    assert response.json()["status"] == "cancelled"
                elif end == "left":
                    group.cancel_scope.cancel()
            root = f"POST /agents/{{name}}/{way}"
            await self._collector.wait_for_async(lambda spans: any(span.name == root for span in spans))
            while self._open.names:
                await anyio.lowlevel.checkpoint()
        spans = self._collector.spans()
        return traces(spans)[next(span.trace_id for span in spans if span.name == root)]

    async def talk(self, agent: str, replies: Sequence[Reply]) -> list[Span]:
        """The spans of a conversation's turns, one a reply, with metadata, and of what its user says of the last."""
        self._collector.clear()
        self._wire.replies = Script(self._wire, replies)
        who = {"user_id": "ann", "session_id": f"session-{os.urandom(4).hex()}", "metadata": {"plan": "pro"}}
        for _ in replies:
            response = await self._service.client.post(f"/agents/{agent}/run", json={"task": TASK, **who})
        said = {"score": 1, "label": "good", "comment": "Well said."}
        run = f"/runs/{response.json()['run_id']}"
        told = await self._service.client.post(f"{run}/feedback", json=said, headers={"X-User-ID": "ann"})
        assert told.is_success, told.text
        return await self._collector.wait_for_async(lambda spans: any(s.name == "user_feedback" for s in spans))

    async def _ask(self, agent: str, way: Way) -> None:
        """As a client that reads to the end."""
        body = {"task": TASK, "user_id": "ann", "session_id": f"session-{os.urandom(4).hex()}"}
        await self._service.client.post(f"/agents/{agent}/{way}", json=body)


@asynccontextmanager
async def bench(wire: Wire, folder: Path, agents: Path, **settings: Any) -> AsyncIterator[Bench]:
    """A service whose spans are sent off as soon as they have ended."""
    with pytest.MonkeyPatch.context() as patch, Collector() as collector:
        for name in (*Settings.model_fields, "google_api_key", "openai_base_url"):
            patch.delenv(name.upper(), raising=False)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")  # ms
        common = {"agents_dir": agents, "data_dir": folder, "disconnect_grace_s": 0, "model_max_retries": 0}
        async with serving(
            **common, otel_exporter_otlp_traces_endpoint=f"{collector.url}/v1/traces", **settings
        ) as service:
            open_spans = OpenSpans()
            service.parts.telemetry._processors.append(open_spans)
            yield Bench(service, wire, collector, open_spans)


def whole(spans: Sequence[Span]) -> None:
    """One trace, one root, no orphan, none that ends after the root, and the caller on each."""
    assert len(roots(spans)) == 1
    assert not orphans(spans)
    assert not unended(spans)
    root = roots(spans)[0]
    for span in spans:
        assert root.start <= span.start <= span.end <= root.end, span.name
        attributes = span.attributes
        assert attributes["user.id"] == "ann", span.name
        assert attributes["session.id"] == attributes["gen_ai.conversation.id"] == root.attributes["session.id"]
        assert attributes["waggle.run.id"] == root.attributes["waggle.run.id"]


def one_root(spans: Sequence[Span], calls: int) -> Mapping[str, Any]:
    """The root's attributes, whose sums are those of so many answers."""
    root = roots(spans)[0].attributes
    assert root["waggle.run.model_calls"] == calls
    assert (root["waggle.run.input_tokens"], root["waggle.run.output_tokens"]) == (11 * calls, 7 * calls)
    assert root["waggle.run.duration_s"] > 0
    assert root["input.value"] == TASK
    return root


def answered(span: Span, names: Names) -> None:
    """A model call's span tells of request and answer."""
    attributes = span.attributes
    assert span.status == "ok"
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == names.provider
    assert attributes["gen_ai.request.model"] == names.model
    assert attributes["gen_ai.response.model"] == names.answers
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (11, 7)
    (reason,) = attributes["gen_ai.response.finish_reasons"]
    if attributes["gen_ai.request.stream"]:
        assert 0 < attributes["gen_ai.response.time_to_first_chunk"] < (span.end - span.start) / 1e9
        assert reason != "stop" or attributes["waggle.stream.chunks"] >= 1
    else:
        assert "gen_ai.response.time_to_first_chunk" not in attributes


def of(spans: Sequence[Span], kind: str) -> list[Span]:
    """Those whose names begin so, in the order of their start."""
    return sorted((span for span in spans if span.name.split()[0] == kind), key=lambda span: span.start)
