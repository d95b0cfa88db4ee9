"""Tool calls and memory, made visible: AutoGen's tool spans tell neither arguments nor results, and memory has none.

Tools are wrapped on the instance: a span's words are told inside of it. A memory is replaced by one that acts as it.
"""

import functools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_core import CancellationToken, FunctionCall
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from autogen_core.memory import Memory, MemoryContent, MemoryQueryResult, UpdateContextResult
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import FunctionExecutionResult
from autogen_core.tools import BaseTool, Workbench

from app.agents.approval import ToolDenied
from app.agents.bounds import cut
from app.agents.orchestration import wrap
from app.agents.recording import recorded_execution
from app.telemetry.llm import as_json, fail
from app.telemetry.steps import calling_tool, code_result, code_step, current_span, step, tool_call_of, tool_result
from app.telemetry.watchdog import name_task


def observe_calls() -> None:
    """AssistantAgent's calls of tools; once a process."""
    wrap(AssistantAgent, "_execute_tool_call", lambda execute: recorded_execution(_executed(execute)))


def observe_tool(tool: BaseTool[Any, Any]) -> None:
    """Its spans tell what it was called with and what it gave; a tool that is shared by runs is wrapped once."""
    if "run" in vars(tool):
        return
    instance: Any = tool
    instance.return_value_as_string = _cut(tool.return_value_as_string)
    instance.run_json, instance.run = _called(tool.name, tool.run_json), _ran(tool)
    if hasattr(tool, "run_stream"):
        instance.run_stream = _streamed(tool)


def _cut(as_string: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: cut(as_string(value))


def _executed(execute: Callable[..., Any]) -> Callable[..., Any]:
    """What an agent refuses itself has a span too: arguments that are no JSON, a tool that there is not."""

    async def executed(*, tool_call: FunctionCall, **options: Any) -> Any:
        with calling_tool(tool_call.arguments) as call:
            result: FunctionExecutionResult
            made, result = await execute(tool_call=tool_call, **options)
            result = result.model_copy(update={"content": cut(result.content)})
            if not call.has_span:
                error = _refusal(tool_call.arguments) if result.is_error else None
                call.unknown = error is not None and not await _is_offered(tool_call.name, **options)
                call.ended(tool_call.name, tool_call.id, result.content, error)
            return made, result

    return executed


def _refusal(arguments: str) -> str:
    try:
        json.loads(arguments)
    except json.JSONDecodeError as error:
        return type(error).__name__
    return "tool_error"


async def _is_offered(name: str, *, workbench: Sequence[Workbench], handoff_tools: Sequence[Any], **_: Any) -> bool:
    """A model may ask for any tool; what it made up is its words, not a name."""
    offered = [tool["name"] for bench in workbench for tool in await bench.list_tools()]
    return name in (*offered, *(tool.name for tool in handoff_tools))


def _called(name: str, run_json: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run_json)
    async def called(args: Mapping[str, Any], *others: Any, **options: Any) -> Any:
        name_task()
        outermost = tool_call_of(None) is None
        with calling_tool(as_json(args)) as call:
            try:
                return await run_json(args, *others, **options)
            except ToolDenied as denied:
                if outermost:
                    call.ended(name, "", str(denied), None)
                raise

    return called


def _ran(tool: Any) -> Callable[..., Any]:
    run = tool.run

    @functools.wraps(run)
    async def ran(*args: Any, **options: Any) -> Any:
        span = current_span()
        value = await run(*args, **options)
        tool_result(span, tool.return_value_as_string(value))
        return value

    return ran


def _streamed(tool: Any) -> Callable[..., Any]:
    run_stream = tool.run_stream

    @functools.wraps(run_stream)
    async def streamed(*args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        span = current_span()
        value = None
        async for value in run_stream(*args, **options):
            yield value
        tool_result(span, tool.return_value_as_string(value))

    return streamed


def observe_code(executor: CodeExecutor) -> None:
    """What a CodeExecutorAgent runs has a span, for which AutoGen has none; to be called before it is recorded."""
    if "execute_code_blocks" in vars(executor):
        return
    instance: Any = executor
    name, execute = type(executor).__name__, executor.execute_code_blocks

    @functools.wraps(execute)
    async def executed(code_blocks: list[CodeBlock], *others: Any, **options: Any) -> CodeResult:
        with code_step(name, as_json([vars(block) for block in code_blocks])) as span:
            result = await execute(code_blocks, *others, **options)
            result.output = cut(result.output)
            code_result(span, result.output, result.exit_code)
            return result

    instance.execute_code_blocks = executed


def observe_mcp(workbench: Any) -> None:
    """The same for the tools of a started MCP workbench, whose results come from its session."""
    actor = workbench._actor  # noqa: SLF001 AutoGen is pinned
    if "call" in vars(actor):
        return
    call = actor.call

    @functools.wraps(call)
    async def answered(type_: str, args: Any) -> Any:
        pending = await call(type_, args)
        return _told(pending, current_span()) if type_ == "call_tool" else pending

    actor.call = answered


async def _told(pending: Awaitable[Any], span: Any) -> Any:
    span.set_attribute("gen_ai.tool.type", "extension")
    try:
        result = await pending
    except BaseException as error:  # AutoGen tells the model of it, and nobody else
        fail(span, error)
        raise
    said = "\n".join(getattr(part, "text", f"[{part.type}]") for part in result.content)
    tool_result(span, cut(said), "tool_error" if result.isError else None)
    return result


class ObservedMemory(Memory):
    """Acts as `inner`; each query and each addition is a span, also where a tool makes it, which has `inner` itself."""

    component_type = "memory"

    def __init__(self, inner: Memory) -> None:
        self.inner = inner
        self._name = str(getattr(inner, "name", None) or type(inner).__name__)
        if "query" not in vars(inner):  # one that is shared by runs is wrapped once
            instance: Any = inner
            instance.query, instance.add = _queried(self._name, inner.query), _added(self._name, inner.add)

    async def update_context(self, model_context: ChatCompletionContext) -> UpdateContextResult:
        with _memory_step("search_memory", self._name) as span:
            result = await self.inner.update_context(model_context)
            span.set_attributes(_found(result.memories.results))
            return result

    async def query(
        self, query: str | MemoryContent, cancellation_token: CancellationToken | None = None, **kwargs: Any
    ) -> MemoryQueryResult:
        return await self.inner.query(query, cancellation_token, **kwargs)

    async def add(self, content: MemoryContent, cancellation_token: CancellationToken | None = None) -> None:
        await self.inner.add(content, cancellation_token)

    async def clear(self) -> None:
        await self.inner.clear()

    async def close(self) -> None:
        await self.inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _queried(name: str, query: Callable[..., Awaitable[MemoryQueryResult]]) -> Callable[..., Any]:
    @functools.wraps(query)
    async def queried(text: str | MemoryContent, *others: Any, **options: Any) -> MemoryQueryResult:
        asked = {"gen_ai.memory.query.text": text if isinstance(text, str) else str(text.content)}
        outer = current_span()
        if getattr(outer, "name", None) == f"search_memory {name}":  # a memory's own, to update a context
            outer.set_attributes(asked)
            return await query(text, *others, **options)
        with _memory_step("search_memory", name) as span:
            span.set_attributes(asked)
            result = await query(text, *others, **options)
            span.set_attributes(_found(result.results))
            return result

    return queried


def _added(name: str, add: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    @functools.wraps(add)
    async def added(content: MemoryContent, *others: Any, **options: Any) -> None:
        with _memory_step("create_memory", name) as span:
            span.set_attributes(_found([content]))
            await add(content, *others, **options)

    return added


def _memory_step(operation: str, name: str) -> AbstractContextManager[Any]:
    return step(f"{operation} {name}", {"gen_ai.operation.name": operation, "waggle.memory": name})


def _found(records: list[MemoryContent]) -> dict[str, Any]:
    contents = [str(record.content) for record in records]
    return {"waggle.memory.records": len(contents), "gen_ai.memory.records": as_json(contents)}
