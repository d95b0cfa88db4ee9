"""The command: prints, and ends in time whatever hangs.

It comes up with the standard library alone, and imports the service as the first thing that may fail.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from threading import Timer
from typing import TYPE_CHECKING

from app.doctor.installation import imports, packages, python
from app.doctor.report import JsonReport, Report, TextReport
from app.doctor.result import Result, worst

if TYPE_CHECKING:
    from app.doctor.probe import Probe

IMPORTS_S = 120
"""For everything to be imported, on a busy machine; `--timeout` begins after that."""
GRACE_S = 15
"""After the deadline, for what is going on to be left in an orderly way; a service that is ending takes some of it."""
LEAVE_S = 2
"""After the report, for the process to end; threads that hang in a backend or a user's file are left behind."""


def doctor(*, offline: bool, as_json: bool, timeout_s: float) -> int:
    """Examine, print, and return the exit status: 1 if something failed, else 0."""
    variables = dict(os.environ)
    logging.getLogger().addHandler(logging.NullHandler())  # else what is logged is printed, tracebacks too
    desk = _Desk(JsonReport(sys.stdout) if as_json else TextReport(sys.stdout))
    with redirect_stdout(sys.stderr):  # what users' files and SDKs print is not the report
        desk.told(python())
        desk.told(packages())
        overdue = desk.gives_up_after(IMPORTS_S, lambda: "importing the service")
        desk.told(imports())
        overdue.cancel()
        if desk.status == 1:
            desk.end()
            return 1
        try:
            asyncio.run(_examine(desk, variables, offline=offline, timeout_s=timeout_s))
        except KeyboardInterrupt:
            return 130
    return desk.status


class _Desk:
    """Where results come in, one by one, and the report goes out, once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._results: list[Result] = []

    def told(self, result: Result) -> None:
        self._results.append(result)
        self._report.told(result)

    @property
    def status(self) -> int:
        """The exit status so far."""
        return int(worst(self._results) == "fail")

    def end(self, probe: Probe | None = None) -> None:
        self._report.end(self._results, probe)

    def gives_up_after(self, seconds: float, at: Callable[[], str]) -> Timer:
        """End the process then, with what is known: nothing else of it may run any more."""

        def give_up() -> None:
            advice = "Look for code that blocks: a user's agent, a sitecustomize."
            self.told(Result("deadline", "fail", f"{at()} blocks the whole process", advice))
            self.end()
            os._exit(1)

        return _later(seconds, give_up)


async def _examine(desk: _Desk, variables: Mapping[str, str], *, offline: bool, timeout_s: float) -> None:
    from app.doctor.environment import Environment  # noqa: PLC0415 they need the service, which may be broken
    from app.doctor.examination import Examination  # noqa: PLC0415

    examination = Examination(Environment.read(variables), offline=offline, timeout_s=timeout_s, told=desk.told)
    overdue = desk.gives_up_after(timeout_s + GRACE_S, lambda: examination.current)
    await examination.run()
    overdue.cancel()
    desk.end(examination.probe)
    _later(LEAVE_S, lambda: os._exit(desk.status))


def _later(seconds: float, act: Callable[[], None]) -> Timer:
    timer = Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer
