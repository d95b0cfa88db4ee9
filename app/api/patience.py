"""A deadline for each of the many short waits of one task."""

import asyncio
from math import inf
from types import TracebackType


class OverdueError(TimeoutError):
    """What was waited for did not come in time."""


class Patience:
    """`with patience.until(when): await …` is `asyncio.timeout_at(when)` at a tenth of its price.

    A stream waits twice for each token, and hardly ever in vain. So there is one timer, which is not set anew for each
    wait: when it goes off, it looks whether the wait that goes on is overdue, and else comes back when that will be.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._rings = inf
        self._overdue = False

    def until(self, when: float) -> "Patience":
        """Let the block go on till then, on the event loop's clock; always of the same task."""
        if self._task is None:
            self._task = asyncio.current_task()
            assert self._task is not None, "no task"  # noqa: S101
        self._due = when
        self._cancelling = self._task.cancelling()
        if when < self._rings:
            self._ring_at(when)
        return self

    def close(self) -> None:
        """Forget the task, and the timer."""
        self._task = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises OverdueError, unless somebody else has cancelled the task too."""
        self._due = inf
        if self._overdue and self._task is not None:
            self._overdue = False
            if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise OverdueError from error

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = when
        self._timer = asyncio.get_running_loop().call_at(when, self._ring, when)

    def _ring(self, when: float) -> None:
        self._rings = inf
        if self._due <= when and self._task is not None:
            self._overdue = True
            self._task.cancel()
        elif self._due < inf:
            self._ring_at(self._due)
