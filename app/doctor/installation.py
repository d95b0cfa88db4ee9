"""The installation: Python, the packages, and whether the service can be imported from them at all.

Nothing but the standard library is needed to look.
"""

import platform
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from app.doctor.result import Finding, Result, summed

PINS = {
    "autogen-agentchat": "==0.7.5",
    "autogen-core": "==0.7.5",
    "autogen-ext": "==0.7.5",
    "anthropic": "<1",
    "mcp": "<2",
    "openai": "<4",
    "protobuf": "<6",
}
"""What breaks AutoGen at run time and shows in no `pip check`."""


def python() -> Result:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Result("python", "ok", found)
    return Result("python", "fail", found, "Run Waggle with Python 3.11, 3.12 or 3.13.")


def packages() -> Result:
    return summed("packages", _wrong_pins(), ", ".join(f"{name} {_installed(name)}" for name in PINS))


def imports() -> Result:
    """Everything that the service is made of; takes seconds the first time."""
    try:
        import_module("app.doctor.examination")  # it needs all that the service does
    except ModuleNotFoundError as error:
        return _unimportable(f"there is no module {error.name!r}")
    except Exception as error:  # noqa: BLE001 a package may fail in any way while it is imported
        return _unimportable(f"{type(error).__name__} {_place(error)}")
    return Result("imports", "ok", "the service can be imported")


def _unimportable(why: str) -> Result:
    advice = (
        "Install Waggle's packages as its lock has them: `make install` in its folder, or `pip install waggle` anew. "
        f"This Python is {sys.executable}."
    )
    return Result("imports", "fail", f"the service cannot be imported: {why}", advice)


def _place(error: BaseException) -> str:
    """The innermost line that failed; the words stay out, for they may hold anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace is not None else ""


def _wrong_pins() -> Iterator[Finding]:
    for name, pin in PINS.items():
        installed = _installed(name)
        if installed is None:
            yield Finding("fail", f"{name} is not installed", f"Install it: `pip install '{name}{pin}'`.")
        elif not _fits(installed, pin):
            found = f"{name} {installed} is installed, but it must be {pin}"
            yield Finding("fail", found, f"`pip install '{name}{pin}'`: AutoGen 0.7.5 fails with others when it runs.")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _fits(installed: str, pin: str) -> bool:
    if pin.startswith("=="):
        return installed == pin.removeprefix("==")
    major = re.match(r"\d+", installed)
    return major is not None and int(major[0]) < int(pin.removeprefix("<"))
