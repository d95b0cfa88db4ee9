"""Tools and code executors, written into the run's journal, and answered from it where a run is brought back.

An AssistantAgent's calls are recorded where it makes them, whatever the tool; another agent's at the tool, workbench or
code executor that it calls. A tool that runs agents is run again, since they must know what they said before: what
they ask of models and tools is answered from the journal.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeGuard

from autogen_agentchat.tools._task_runner_tool import TaskRunnerTool
from autogen_core import FunctionCall
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from autogen_core.models import FunctionExecutionResult
from autogen_core.tools import BaseTool, StaticWorkbench, ToolResult, Workbench
from pydantic import BaseModel

from app.agents.asked import ToolAsked
from app.agents.journal import AGAIN, FLIGHT, JOURNAL, Value

_RECORDED = "_waggle_recorded"
Run = Callable[..., Any]


class ToolFailed(RuntimeError):
    """What a tool failed with before its run waited."""


def recorded_execution(execute: Run) -> Run:
    """AssistantAgent's own call of a tool."""

    async def recorded(*, tool_call: FunctionCall, agent_name: str, **options: Any) -> Any:
        journal = JOURNAL.get()
        if journal is None:
            return await execute(tool_call=tool_call, agent_name=agent_name, **options)
        call = ToolAsked(agent_name, tool_call.name, tool_call.arguments)
        if journal.replaying and _is_result(found := await journal.recall(call)):
            return tool_call, FunctionExecutionResult(call_id=tool_call.id, name=tool_call.name, **found)
        with journal.flight(call, tool_call.name, agent_name) as flight:
            given = await execute(tool_call=tool_call, agent_name=agent_name, **options)
            journal.note("tool", call, given[1], _again if flight.again else _told, flight)
        return given

    return recorded


def record_tool(tool: BaseTool[Any, Any]) -> None:
    """Calls of it that no AssistantAgent makes; a tool that is shared by runs is wrapped once."""
    if not _first(tool):
        return
    instance: Any = tool
    runs_agents = isinstance(tool, TaskRunnerTool)
    run_json, encode, decode = tool.run_json, functools.partial(_plain, tool), functools.partial(_value, tool)

    @functools.wraps(run_json)
    async def recorded(args: Mapping[str, Any], *others: Any, **options: Any) -> Any:
        if JOURNAL.get() is None or _entered(runs_agents=runs_agents):
            return await run_json(args, *others, **options)
        run = functools.partial(run_json, args, *others, **options)
        return await _recorded(ToolAsked("", tool.name, dict(args)), run, _again if runs_agents else encode, decode)

    instance.run_json = recorded
    if hasattr(tool, "run_json_stream"):
        instance.run_json_stream = _entering(tool.run_json_stream, runs_agents=runs_agents)


def _entering(run_json_stream: Run, *, runs_agents: bool) -> Run:
    @functools.wraps(run_json_stream)
    async def entering(*args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        _entered(runs_agents=runs_agents)
        async for item in run_json_stream(*args, **options):
            yield item

    return entering


def record_workbench(workbench: Workbench) -> None:
    """The same for a workbench whose tools are elsewhere, MCP's."""
    if isinstance(workbench, StaticWorkbench) or not _first(workbench):
        return
    instance: Any = workbench
    call_tool = workbench.call_tool

    @functools.wraps(call_tool)
    async def recorded(
        name: str, arguments: Mapping[str, Any] | None = None, *others: Any, **options: Any
    ) -> ToolResult:
        if JOURNAL.get() is None or _entered():
            return await call_tool(name, arguments, *others, **options)
        run = functools.partial(call_tool, name, arguments, *others, **options)
        call = ToolAsked("", name, dict(arguments or {}))
        result: ToolResult = await _recorded(call, run, _dumped, ToolResult.model_validate)
        return result

    instance.call_tool = recorded


def record_code(executor: CodeExecutor) -> None:
    """The same for the code that a CodeExecutorAgent runs."""
    if not _first(executor):
        return
    instance: Any = executor
    execute = executor.execute_code_blocks

    @functools.wraps(execute)
    async def recorded(code_blocks: list[CodeBlock], *others: Any, **options: Any) -> CodeResult:
        if JOURNAL.get() is None:
            return await execute(code_blocks, *others, **options)
        run = functools.partial(execute, code_blocks, *others, **options)
        call = ToolAsked("", type(executor).__name__, list(code_blocks))
        result: CodeResult = await _recorded(call, run, _ran, lambda found: CodeResult(**found))
        return result

    instance.execute_code_blocks = recorded


async def _recorded(
    call: ToolAsked, run: Callable[[], Awaitable[Any]], encode: Callable[[Any], Value], decode: Callable[[Value], Any]
) -> Any:
    journal = JOURNAL.get()
    assert journal is not None, "no run"  # noqa: S101
    if journal.replaying and _is_result(found := await journal.recall(call)):
        if "error" in found:
            raise ToolFailed(found["error"])
        return decode(found)
    with journal.flight(call, call.name) as flight:
        flight.entered = True
        try:
            value = await run()
        except Exception as error:
            journal.note("tool", call, str(error), encode if encode is _again else _failed, flight)
            raise
        journal.note("tool", call, value, encode, flight)
        return value


def _first(part: object) -> bool:
    """Whether it is not wrapped yet."""
    if getattr(part, _RECORDED, False):
        return False
    setattr(part, _RECORDED, True)
    return True


def _entered(*, runs_agents: bool = False) -> bool:
    """Whether this is what an AssistantAgent has called, and recorded already."""
    flight = FLIGHT.get()
    if flight is None or flight.entered:
        return False
    flight.entered = True
    flight.again = runs_agents
    return True


def _is_result(found: Value | None) -> TypeGuard[Value]:
    return found is not None and "again" not in found


def _again(_: Any) -> Value:
    return AGAIN


def _told(result: FunctionExecutionResult) -> Value:
    return {"content": result.content, "is_error": result.is_error}


def _failed(message: str) -> Value:
    return {"error": message}


def _dumped(result: ToolResult) -> Value:
    return result.model_dump(mode="json")


def _ran(result: CodeResult) -> Value:
    return {"exit_code": result.exit_code, "output": result.output}


def _plain(tool: BaseTool[Any, Any], value: Any) -> Value:
    """What a tool returned; one that JSON does not hold is made again."""
    if isinstance(value, BaseModel) and type(value) is tool.return_type():
        return {"model": value.model_dump(mode="json")}
    return {"value": value} if _is_plain(value) else AGAIN


def _value(tool: BaseTool[Any, Any], found: Value) -> Any:
    return found["value"] if "value" in found else tool.return_type().model_validate(found["model"])


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    return value is None or type(value) in (bool, int, float, str)
