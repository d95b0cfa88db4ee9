"""The token that stops a run.

AutoGen's own keeps a callback for every future it was linked to, one for each streamed chunk, until the run ends:
the garbage stops every stream of the process for 300–500 ms at a time. This one forgets finished futures.
"""

from asyncio import Future, isfuture
from typing import Any

from autogen_core import CancellationToken


class RunToken(CancellationToken):
    """A `CancellationToken` whose size follows what is pending, not what has been. One event loop uses it."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: set[Future[Any]] = set()

    def cancel(self) -> None:
        super().cancel()
        for future in tuple(self._pending):
            future.cancel()

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
