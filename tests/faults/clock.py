"""A clock on the wall that a test may set, for all of the service's code; the loop's clock goes on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest


@contextmanager
def settable() -> Iterator[list[timedelta]]:
    """By how much it is wrong is the list's only item."""
    wrong = [timedelta()]

    class Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class Clock(datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + wrong[0]

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("app.") and vars(module).get("datetime") is datetime:
                patch.setattr(module, "datetime", Clock)
        yield wrong
