"""The agents in AGENTS_DIR: each file is one, named after it. Python holds a recipe, JSON and YAML a component."""

import ast
import logging
import re
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import orjson
import yaml

from app.agents.components import ClientMaker, ComponentInvalid, recipe
from app.agents.spec import AgentSpec

logger = logging.getLogger(__name__)

SUFFIXES = {".py", ".json", ".yaml", ".yml"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class FileInvalid(ValueError):
    """A file that gives no agent; the message is for whoever reads GET /agents."""


def agent_files(folder: Path) -> list[Path]:
    """The files to serve, by name; hidden ones and those that begin with `_` are left out."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file() and path.name[0] not in "._"
    )


def read(path: Path, client_of: ClientMaker) -> AgentSpec:
    """The agent of a file. Raises what reading it raises: see `reason`."""
    if not NAME.fullmatch(path.stem):
        raise FileInvalid("its name must be 1 to 64 letters, digits, _ or -, since it is the agent's")
    if path.suffix == ".py":
        return _python(path)
    text = path.read_bytes()
    component = orjson.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    return AgentSpec(path.stem, recipe(component, client_of))


def _python(path: Path) -> AgentSpec:
    """`build` makes the agent; DESCRIPTION and MODEL may describe it."""
    ast.parse(path.read_bytes())  # a SyntaxError before anything runs
    module = _run(path)
    build = getattr(module, "build", None)
    if not callable(build):
        raise FileInvalid("it has no function build(context) that returns an AutoGen agent or team")
    description = getattr(module, "DESCRIPTION", None) or build.__doc__ or module.__doc__ or ""
    return AgentSpec(
        name=path.stem,
        build=build,
        description=str(description).strip().partition("\n\n")[0],
        model=getattr(module, "MODEL", None),
    )


def _run(path: Path) -> ModuleType:
    name = f"waggle_agents.{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 a .py file has a loader
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def reason(error: BaseException, path: Path | None = None) -> str:
    """What is wrong, for anybody who lists the agents: no path, no value; the log has the rest."""
    match error:
        case FileInvalid() | ComponentInvalid():
            return str(error)
        case SyntaxError():
            return f"syntax error in line {error.lineno}: {error.msg}"
        case orjson.JSONDecodeError():
            return f"not JSON: line {error.lineno}, column {error.colno}"
        case yaml.YAMLError():
            return "not YAML"
        case TimeoutError():
            return "it took too long to build"
        case ImportError() | NameError() | AttributeError() | TypeError():
            return f"{type(error).__name__}: {error}{_line(error, path)}"
        case _:
            return f"{type(error).__name__}{_line(error, path)}; the service's log has the whole"


def _line(error: BaseException, path: Path | None) -> str:
    """Where in the user's own file."""
    lines = [line for file, line in _frames(error) if path is not None and Path(file) == path]
    return f" (line {lines[-1]})" if lines else ""


def _frames(error: BaseException) -> Iterator[tuple[str, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
