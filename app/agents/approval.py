"""Tools that a person must allow: marked in the recipe, asked for where the tool itself is about to run.

A person may approve, also with other arguments, or deny. A denied call is told to the model like a tool's failure.
"""

import functools
import inspect
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import orjson
from autogen_core.tools import BaseTool, FunctionTool, StaticWorkbench, TextResultContent, ToolResult, Workbench

from app.agents.desk import put
from app.agents.journal import FLIGHT
from app.agents.orchestration import wrap
from app.telemetry.steps import other_arguments, refused

T = TypeVar("T")

_NEEDED = "_waggle_needs_approval"

DECISION = {
    "type": "object",
    "properties": {
        "decision": {"enum": ["approve", "deny"]},
        "reason": {"type": "string", "description": "Told to the model where the call is denied."},
        "arguments": {"type": "object", "description": "Used instead of the model's where the call is approved."},
    },
    "required": ["decision"],
    "additionalProperties": False,
}


class ToolDenied(Exception):
    """A person denied a tool's call; the message is for the model."""


def needs_approval(subject: T, *names: str) -> T:
    """Have a person asked before the tool runs: a function (also as a decorator) or a tool of AutoGen's.

    With a workbench, `names` are patterns like `delete_*`: its tools of these names. Raises TypeError for what cannot
    be marked.
    """
    if isinstance(subject, Workbench) != bool(names):
        raise TypeError(
            "Names belong to a workbench, and a workbench needs some: needs_approval(workbench, 'delete_*')"
        )
    if not isinstance(subject, BaseTool | Workbench) and not inspect.isroutine(subject):
        raise TypeError(f"{type(subject).__name__} is neither a function nor a tool nor a workbench")
    if isinstance(subject, BaseTool | Workbench) and not isinstance(subject, FunctionTool):
        _guard(subject)
    try:
        setattr(subject, _NEEDED, names or True)
    except AttributeError:
        raise TypeError("It cannot be marked: make a FunctionTool of it, and mark that") from None
    return subject


def is_needed(subject: object, name: str = "") -> bool:
    """Whether the tool, or the workbench's tool of that name, must be allowed."""
    if isinstance(subject, StaticWorkbench):
        original = subject._override_name_to_original.get(name, name)  # noqa: SLF001 AutoGen is pinned
        if any(tool.name == original and is_needed(tool) for tool in subject._tools):  # noqa: SLF001
            return True
    if isinstance(subject, Workbench):
        return any(fnmatchcase(name, pattern) for pattern in getattr(subject, _NEEDED, ()))
    return any(getattr(each, _NEEDED, False) for each in (subject, getattr(subject, "_func", None)))


async def allowed(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments to call the tool with; raises ToolDenied."""
    flight = FLIGHT.get()
    if flight is not None and flight.approved:
        return arguments
    shown = json.dumps(arguments, default=str, ensure_ascii=False)
    answer = await put(f"Call tool {name!r} with {shown}?", flight.agent if flight else None, DECISION, None)
    match answer:
        case {"decision": "approve", "arguments": dict() as others}:
            other_arguments(orjson.dumps(others).decode())
            arguments = others
        case {"decision": "approve"}:
            pass
        case _:
            reason = answer.get("reason") if isinstance(answer, Mapping) else None
            refused("denied")
            raise ToolDenied(f"A person denied this call: {reason}" if reason else "A person denied this call.")
    if flight is not None:
        flight.approved = True
    return arguments


def guard_functions() -> None:
    """Ask before each call of a function that is marked, whoever made a tool of it; once a process."""
    wrap(FunctionTool, "run_json", _asking_function)


def _asking_function(run_json: Callable[..., Any]) -> Callable[..., Any]:
    async def asking(tool: FunctionTool, args: Mapping[str, Any], *others: Any, **options: Any) -> Any:
        if is_needed(tool):
            args = await allowed(tool.name, args)
        return await run_json(tool, args, *others, **options)

    return asking


def _guard(subject: BaseTool[Any, Any] | Workbench) -> None:
    instance: Any = subject
    if getattr(instance, _NEEDED, None) is not None:
        return  # marked, and so wrapped, before
    if isinstance(subject, BaseTool):
        instance.run_json = _asking(subject.name, subject.run_json)
        if hasattr(subject, "run_json_stream"):
            instance.run_json_stream = _asking_stream(subject.name, subject.run_json_stream)
    else:
        instance.call_tool = _asking_workbench(subject, subject.call_tool)
        if hasattr(subject, "call_tool_stream"):
            instance.call_tool_stream = _asking_workbench_stream(subject, subject.call_tool_stream)


def _asking(name: str, run_json: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run_json)
    async def asking(args: Mapping[str, Any], *others: Any, **options: Any) -> Any:
        return await run_json(await allowed(name, args), *others, **options)

    return asking


def _asking_stream(name: str, run_json_stream: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run_json_stream)
    async def asking(args: Mapping[str, Any], *others: Any, **options: Any) -> AsyncGenerator[Any, None]:
        async for item in run_json_stream(await allowed(name, args), *others, **options):
            yield item

    return asking


def _asking_workbench(workbench: Workbench, call_tool: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call_tool)
    async def asking(name: str, arguments: Mapping[str, Any] | None = None, *others: Any, **options: Any) -> ToolResult:
        if is_needed(workbench, name):
            try:
                arguments = await allowed(name, arguments or {})
            except ToolDenied as denied:
                return _told(name, denied)
        result: ToolResult = await call_tool(name, arguments, *others, **options)
        return result

    return asking


def _asking_workbench_stream(workbench: Workbench, call_tool_stream: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call_tool_stream)
    async def asking(
        name: str, arguments: Mapping[str, Any] | None = None, *others: Any, **options: Any
    ) -> AsyncGenerator[Any, None]:
        if is_needed(workbench, name):
            try:
                arguments = await allowed(name, arguments or {})
            except ToolDenied as denied:
                yield _told(name, denied)
                return
        async for item in call_tool_stream(name, arguments, *others, **options):
            yield item

    return asking


def _told(name: str, denied: ToolDenied) -> ToolResult:
    return ToolResult(name=name, result=[TextResultContent(content=str(denied))], is_error=True)
