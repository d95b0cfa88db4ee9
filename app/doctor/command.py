"""The command: prints, and ends in time whatever hangs."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from threading import Timer

from app.doctor.environment import Environment
from app.doctor.examination import Examination
from app.doctor.report import JsonReport, Report, TextReport
from app.doctor.result import Result

GRACE_S = 5
"""After the deadline, for what is going on to be left in an orderly way."""
LEAVE_S = 2
"""After the report, for the process to end; threads that hang in a backend or a user's file are left behind."""


def doctor(*, offline: bool, as_json: bool, timeout_s: float) -> int:
    """Examine, print, and return the exit status: 1 if something failed, else 0."""
    surroundings = Environment.read(os.environ)
    logging.getLogger().addHandler(logging.NullHandler())  # else what is logged is printed, tracebacks too
    out = sys.stdout
    report: Report = JsonReport(out) if as_json else TextReport(out)
    examination = Examination(surroundings, offline=offline, timeout_s=timeout_s, told=report.told)

    def give_up() -> None:
        found = f"{examination.current} blocks the whole process"
        result = Result("deadline", "fail", found, "Look for code that blocks: a user's agent, a sitecustomize.")
        examination.results.append(result)
        report.told(result)
        report.end(examination)
        os._exit(1)

    overdue = _later(timeout_s + GRACE_S, give_up)
    with redirect_stdout(sys.stderr):  # what users' files and SDKs print is not the report
        try:
            asyncio.run(examination.run())
        except KeyboardInterrupt:
            return 130
    overdue.cancel()
    report.end(examination)
    status = int(examination.status == "fail")
    _later(LEAVE_S, lambda: os._exit(status))
    return status


def _later(seconds: float, act: Callable[[], None]) -> Timer:
    timer = Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer
