"""A tool that ends the program ends its call, and not the service: argparse does so for a wrong argument.

Where a task raises SystemExit or KeyboardInterrupt, asyncio stops the event loop; of anything else that is no
Exception, AutoGen tells no model. So they are caught in the tool's own task. Ctrl-C is the server's, by a signal.

And a tool that is no coroutine runs in a thread, which nothing can end. Those that never return are not to take the
threads that the service itself, and the look-up of every name, goes on with: so tools have threads of their own.
"""

import asyncio
import functools
from asyncio import iscoroutinefunction
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from autogen_core.tools import BaseTool, FunctionTool

_MARK = "_waggle_contained"
_THREADS = ThreadPoolExecutor(max_workers=256, thread_name_prefix="tool")


class ToolExited(RuntimeError):
    """A tool ended the program, or raised what is no Exception."""


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
    elif isinstance(tool, FunctionTool):
        instance._func = _threaded(tool._func)  # noqa: SLF001


def _threaded(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def threaded(**arguments: Any) -> Any:
        call = functools.partial(function, **arguments)
        return await asyncio.get_running_loop().run_in_executor(_THREADS, call)

    return threaded


def _contained(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    async def contained(*args: Any, **options: Any) -> Any:
        try:
            return await run(*args, **options)
        except SystemExit as error:
            raise ToolExited(f"The tool ended with exit status {error.code!r}.") from error
        except (Exception, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # KeyboardInterrupt, or somebody's own
            raise ToolExited(f"The tool raised {type(error).__name__}.") from error

    return contained
