"""Tool calls and memory, made visible: AutoGen's tool spans tell neither arguments nor results, and memory has none.

Tools are wrapped on the instance: a span's words are told inside of it. A memory is replaced by one that acts as it.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

import orjson
from autogen_core import CancellationToken
from autogen_core.memory import Memory, MemoryContent, MemoryQueryResult, UpdateContextResult
from autogen_core.model_context import ChatCompletionContext
from autogen_core.tools import BaseTool
from pydantic import BaseModel

from app.telemetry.steps import calling_tool, current_span, step, tool_arguments, tool_result


def observe_tool(tool: BaseTool[Any, Any]) -> None:
    """Its spans tell what it was called with and what it gave; a tool that is shared by runs is wrapped once."""
    if "run_json" in vars(tool):
        return
    instance: Any = tool
    instance.run_json, instance.run = _called(tool.run_json), _ran(tool)
    if hasattr(tool, "run_stream"):
        instance.run_stream = _streamed(tool)


def _called(run_json: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run_json)
    async def called(args: Mapping[str, Any], *others: Any, **options: Any) -> Any:
        with calling_tool(_json(args)):
            return await run_json(args, *others, **options)

    return called


def _ran(tool: Any) -> Callable[..., Any]:
    run = tool.run

    @functools.wraps(run)
    async def ran(*args: Any, **options: Any) -> Any:
        span = current_span()
        value = await run(*args, **options)
        tool_result(span, "function", tool.return_value_as_string(value))
        return value

    return ran


def _streamed(tool: Any) -> Callable[..., Any]:
    run_stream = tool.run_stream

    @functools.wraps(run_stream)
    async def streamed(args: Any, *others: Any, **options: Any) -> AsyncGenerator[Any, None]:
        span = current_span()
        tool_arguments(_json(args.model_dump(mode="json") if isinstance(args, BaseModel) else args))
        value = None
        async for value in run_stream(args, *others, **options):
            yield value
        tool_result(span, "function", tool.return_value_as_string(value))

    return streamed


def observe_mcp(workbench: Any) -> None:
    """The same for the tools of a started MCP workbench, whose results come from its session."""
    actor = workbench._actor  # noqa: SLF001 AutoGen is pinned
    if "call_tool" in vars(workbench):
        return
    call_tool, call = workbench.call_tool, actor.call

    @functools.wraps(call_tool)
    async def called(name: str, arguments: Mapping[str, Any] | None = None, *others: Any, **options: Any) -> Any:
        with calling_tool(_json(arguments or {})):
            return await call_tool(name, arguments, *others, **options)

    @functools.wraps(call)
    async def answered(type_: str, args: Any) -> Any:
        pending = await call(type_, args)
        return _told(pending, current_span()) if type_ == "call_tool" else pending

    workbench.call_tool, actor.call = called, answered


async def _told(pending: Awaitable[Any], span: Any) -> Any:
    result = await pending
    said = "\n".join(getattr(part, "text", f"[{part.type}]") for part in result.content)
    tool_result(span, "extension", said, is_error=bool(result.isError))
    return result


class ObservedMemory(Memory):
    """Acts as `inner`; each query and each addition is a span."""

    component_type = "memory"

    def __init__(self, inner: Memory) -> None:
        self.inner = inner
        self._name = str(getattr(inner, "name", None) or type(inner).__name__)

    async def update_context(self, model_context: ChatCompletionContext) -> UpdateContextResult:
        with self._step("search_memory") as span:
            result = await self.inner.update_context(model_context)
            span.set_attributes(_found(result.memories.results))
            return result

    async def query(
        self, query: str | MemoryContent, cancellation_token: CancellationToken | None = None, **kwargs: Any
    ) -> MemoryQueryResult:
        with self._step("search_memory") as span:
            span.set_attribute("gen_ai.memory.query.text", query if isinstance(query, str) else str(query.content))
            result = await self.inner.query(query, cancellation_token, **kwargs)
            span.set_attributes(_found(result.results))
            return result

    async def add(self, content: MemoryContent, cancellation_token: CancellationToken | None = None) -> None:
        with self._step("create_memory") as span:
            span.set_attributes(_found([content]))
            await self.inner.add(content, cancellation_token)

    async def clear(self) -> None:
        await self.inner.clear()

    async def close(self) -> None:
        await self.inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def _step(self, operation: str) -> Any:
        return step(f"{operation} {self._name}", {"gen_ai.operation.name": operation, "waggle.memory": self._name})


def _found(records: list[MemoryContent]) -> dict[str, Any]:
    contents = [str(record.content) for record in records]
    return {"waggle.memory.records": len(contents), "gen_ai.memory.records": _json(contents)}


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
