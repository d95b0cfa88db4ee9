"""A thread that does SQLite's transactions, each whole: a caller hops there and back once, whatever it asks for.

It is the database's own: users' tools that block fill the event loop's. A caller that does not wait any more, since it
was cancelled or its time is up, takes its transaction back unless that is being committed: there is no third way.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

T = TypeVar("T")
WAITING = 10_000
"""Transactions that may wait: more than are done within their deadline."""


class Lane:
    """One connection, and the thread that has it: its transactions are done in the order in which they are asked for.

    The connection is opened when it is first needed, and anew after it has failed.
    """

    def __init__(self, engine: Engine, timeout_s: float) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, "database")
        self._connection: Connection | None = None
        self._waiting = 0
        self._closed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do it, and commit. Raises TimeoutError, with nothing written, when it cannot be done within its time."""
        if self._closed or self._waiting >= WAITING:
            raise TimeoutError
        undecided = threading.Lock()  # whoever takes it decides: the thread to commit, or the caller to leave nothing
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work, undecided)
        self._waiting += 1
        answer.add_done_callback(self._done)
        try:
            await asyncio.wait((answer,), timeout=self._timeout_s)
            if not answer.done() and not undecided.acquire(blocking=False):
                await asyncio.wait((answer,), timeout=self._timeout_s)
        except asyncio.CancelledError:
            undecided.acquire(blocking=False)
            answer.cancel()
            raise
        if answer.done():
            return answer.result()
        answer.cancel()
        raise TimeoutError

    async def close(self) -> None:
        """What was asked for before is done first."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._drop)
            await asyncio.to_thread(self._thread.shutdown)

    def _done(self, answer: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not answer.cancelled():
            answer.exception()  # that of a caller who did not wait for it is nobody's

    def _transaction(self, work: Callable[[Connection], T], undecided: threading.Lock) -> T:
        if undecided.locked():
            raise TimeoutError  # it was taken back while it waited
        connection = self._connection = self._connection or self._engine.connect()
        try:
            with connection.begin() as transaction:
                result = work(connection)
                if not undecided.acquire(blocking=False):
                    transaction.rollback()
        except DBAPIError as error:
            if not isinstance(error, IntegrityError):
                self._drop()
            raise
        return result

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
