"""A tool that ends the program ends its call, and not the service: argparse does so for a wrong argument.

Where a task raises SystemExit, asyncio stops the event loop. So it is caught in the tool's own task.
"""

import functools
from asyncio import iscoroutinefunction
from collections.abc import Callable
from typing import Any

from autogen_core.tools import BaseTool

_MARK = "_waggle_contained"


class ToolExited(RuntimeError):
    """A tool ended the program."""


def contain(tool: BaseTool[Any, Any]) -> None:
    """Have an exit be the tool's error, of which the model is told; a tool that is shared by runs is wrapped once."""
    if getattr(tool, _MARK, False):
        return
    instance: Any = tool
    setattr(instance, _MARK, True)
    instance.run_json = _contained(tool.run_json)
    function = getattr(tool, "_func", None)
    if iscoroutinefunction(function):  # AutoGen makes a task of it
        instance._func = _contained(function)  # noqa: SLF001 AutoGen is pinned


def _contained(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    async def contained(*args: Any, **options: Any) -> Any:
        try:
            return await run(*args, **options)
        except SystemExit as error:
            raise ToolExited(f"The tool ended with exit status {error.code!r}.") from error

    return contained
