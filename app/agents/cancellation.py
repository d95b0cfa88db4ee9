"""The token that stops a run.

AutoGen's own keeps a callback for every future it was linked to, one for each streamed chunk, until the run ends:
the garbage stops every stream of the process for 300–500 ms at a time. This one forgets finished futures.

And it stops tools that look at no token, MCP's among them. AutoGen runs an answer's tool calls as a task that nobody
cancels with its agent: it would go on behind the run, and for ever where one of its calls was cancelled
(microsoft/autogen #7956).
"""

from asyncio import Future, Task, all_tasks, isfuture
from collections.abc import Iterator
from typing import Any

from autogen_core import CancellationToken

_TOOL_CALLS = "_execute_tool_calls"
"""AutoGen's name of that task's coroutine, which knows its run's token as `cancellation_token`."""


class RunToken(CancellationToken):
    """A `CancellationToken` whose size follows what is pending, not what has been. One event loop uses it."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: set[Future[Any]] = set()

    def cancel(self) -> None:
        super().cancel()
        for future in tuple(self._pending):
            future.cancel()
        for task in self._tool_calls():
            task.cancel()

    def link_future(self, future: Any) -> Any:
        """AutoGen's MCP workbench links a coroutine, which nothing but the task that awaits it can cancel."""
        if not isfuture(future):
            return future
        if self.is_cancelled():
            future.cancel()
        elif not future.done():
            self._pending.add(future)
            future.add_done_callback(self._pending.discard)
        return future

    def _tool_calls(self) -> Iterator[Task[Any]]:
        for task in all_tasks():
            frame = getattr(task.get_coro(), "cr_frame", None)
            if frame and frame.f_code.co_name == _TOOL_CALLS and frame.f_locals.get("cancellation_token") is self:
                yield task
