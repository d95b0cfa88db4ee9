"""Why an agent cannot be served, for anybody who lists the agents.

A foreign error's text may hold paths, keys and data. So it is told what kind of error it is and in which line, names
that stand in the file, and what the interpreter says of them; the log has the rest.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import yaml
from pydantic import ValidationError

from app.agents.components import ComponentInvalid
from app.agents.files import FileInvalid
from app.agents.spec import NoAgent
from app.errors import AppError

_SIGNATURE = re.compile(r"[\w.<>]+\(\) (?:got|missing|takes) [\w ',:.?-]+")
"""The interpreter's TypeError for a call that does not fit: it holds names only."""
_NAME_IMPORTED = re.compile(r"cannot import name '(\w+)'")


def reason(error: BaseException, file: Path | None = None) -> str:
    """What is wrong with the agent of that file, if it has one."""
    match error:
        case AppError():
            return error.detail
        case FileInvalid() | ComponentInvalid() | NoAgent():
            return str(error)
        case SyntaxError() if file is not None and error.filename == str(file):
            return f"syntax error in line {error.lineno}: {error.msg}"
        case orjson.JSONDecodeError():
            return f"not JSON: line {error.lineno}, column {error.colno}"
        case yaml.MarkedYAMLError(problem_mark=yaml.Mark(line=line, column=column)):
            return f"not YAML: line {line + 1}, column {column + 1}"
        case yaml.YAMLError():
            return "not YAML"
        case TimeoutError():
            return "it took too long to build"
        case ValidationError():
            return f"its configuration is wrong: {', '.join(_fields(error))}"
        case SystemExit():
            return f"it ends the program{_line(error, file)}"
    return f"{_told(error)}{_line(error, file)}; the service's log has the whole"


def _told(error: BaseException) -> str:
    text, kind = str(error), type(error).__name__
    match error:
        case ModuleNotFoundError(name=str() as name):
            return f"there is no module {name!r}"
        case ImportError(name=str() as name) if imported := _NAME_IMPORTED.match(text):
            return f"{name!r} has no {imported[1]!r} to import"
        case NameError(name=str() as name):
            return f"the name {name!r} is not defined"
        case AttributeError(name=str() as name):
            return f"{type(error.obj).__name__} has no attribute {name!r}"
        case TypeError() if _SIGNATURE.fullmatch(text):
            return f"{kind}: {text}"
    return kind


def _fields(error: ValidationError) -> Iterator[str]:
    """Each field that is wrong and how, without what it holds; a validator's own words may hold that too."""
    for found in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(str(part) for part in found["loc"]) or "it"
        yield where if found["type"] in ("value_error", "assertion_error") else f"{where}: {found['msg']}"


def _line(error: BaseException, file: Path | None) -> str:
    """Where in the user's own file."""
    lines = [line for name, line in _frames(error) if file is not None and name == str(file)]
    return f" (line {lines[-1]})" if lines else ""


def _frames(error: BaseException) -> Iterator[tuple[str, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
