"""The agents in AGENTS_DIR: each file is one, named after it. Python holds a recipe, JSON and YAML a component.

The files whose names begin with `_` are no agents; the others may share them (`from . import _tools`).
"""

import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha1
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, NoReturn, TypeVar

import orjson
import yaml

from app.agents.components import ClientMaker, ComponentInvalid, recipe
from app.agents.spec import AgentSpec

T = TypeVar("T")
SUFFIXES = {".py", ".json", ".yaml", ".yml"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MAX_COMPONENT_BYTES = 2**20


class FileInvalid(ValueError):
    """A file that gives no agent; the message is for whoever reads GET /agents."""


def agent_files(folder: Path) -> dict[str, list[Path]]:
    """The files to serve, by the agents' names; hidden ones and those that begin with `_` are left out.

    They are run in threads of their own, while others' clients are made. OpenAI's SDK looks at `httpx` whenever it is
    among the modules, which it is from the moment some file begins to import it: hence it is whole before any does.
    """
    import_module("httpx")
    found: dict[str, list[Path]] = {}
    if folder.is_dir():
        for path in sorted(folder.absolute().iterdir()):
            if path.suffix in SUFFIXES and path.is_file() and path.name[0] not in "._":
                found.setdefault(path.stem, []).append(path)
    return found


async def read(paths: Sequence[Path], client_of: ClientMaker) -> AgentSpec:
    """The agent of a file. Raises what reading it raises: see `app.agents.reasons`."""
    if len(paths) > 1:
        kinds = ", ".join(path.suffix for path in paths)
        raise FileInvalid(f"{len(paths)} files have its name ({kinds}): rename or remove all but one")
    return await _in_thread(lambda: _read(paths[0], client_of))


def _read(path: Path, client_of: ClientMaker) -> AgentSpec:
    if not NAME.fullmatch(path.stem):
        raise FileInvalid("its name must be 1 to 64 letters, digits, _ or -, since it is the agent's")
    if path.suffix == ".py":
        return _python(path)
    return AgentSpec(path.stem, recipe(_component(path), client_of), file=path)


def _component(path: Path) -> Any:
    if path.stat().st_size > MAX_COMPONENT_BYTES:
        raise FileInvalid(f"it is larger than the {MAX_COMPONENT_BYTES} bytes that a component may have")
    text = path.read_bytes()
    try:
        return orjson.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except RecursionError:
        raise ComponentInvalid("it is nested too deeply") from None


def _python(path: Path) -> AgentSpec:
    """`build` makes the agent; DESCRIPTION and MODEL may describe it."""
    # A SyntaxError before anything runs; not by `ast.parse`, whose depth two threads of CPython 3.11 count together.
    compile(path.read_bytes(), path, "exec", dont_inherit=True)
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
        file=path,
    )


def _run(path: Path) -> ModuleType:
    name = f"{_package(path.parent)}.{path.stem}"
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


def _package(folder: Path) -> str:
    """The folder as a package, for what its files share; its path is in the name, since tests serve many."""
    name = f"waggle_agents_{sha1(str(folder).encode(), usedforsecurity=False).hexdigest()[:12]}"
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules.setdefault(name, package)
    return name


async def _in_thread(work: Callable[[], T]) -> T:
    """What it returns or raises; a thread that hangs in a user's file is left behind, and keeps nobody from exiting."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Callable[[], T]] = loop.create_future()

    def settle(outcome: Callable[[], T]) -> None:
        if not done.done():
            done.set_result(outcome)

    def run() -> None:
        outcome: Callable[[], T]
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 it is raised where it is waited for
            outcome = partial(_raise, error)
        else:
            outcome = partial(_same, result)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, outcome)

    Thread(target=run, name="agent file", daemon=True).start()
    return (await done)()


def _same(result: T) -> T:
    return result


def _raise(error: BaseException) -> NoReturn:
    raise error
