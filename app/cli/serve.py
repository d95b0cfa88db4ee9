"""`waggle serve`; with `--reload`, in a process that is started anew whenever a file of AGENTS_DIR changes."""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from watchfiles import Change


def serve(
    host: Annotated[str | None, typer.Option(metavar="HOST", help="The address to listen on, instead of HOST.")] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="The port to listen on, instead of PORT; 0: a free one."),
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when a file in AGENTS_DIR changes.")] = False,
) -> None:
    """Serve the agents over HTTP until Ctrl-C.

    http://127.0.0.1:8000/docs then describes the API. The settings are environment variables: see .env.example.

    \b
    Examples:
      waggle serve
      waggle serve --port 9000
      waggle serve --reload                      while you write an agent
      AGENTS_DIR=examples/agents waggle serve    other agents
    """
    flags = {"HOST": host, "PORT": port}
    os.environ.update({name: str(value) for name, value in flags.items() if value is not None})
    if reload:
        _reload()
    else:
        _serve()


def _serve() -> None:
    gc.disable()  # until the service is up: what imports make is there to stay, and looking at it takes 0.4 s
    from app.cli.environment import settings
    from app.supervisor import serve as serve_here

    serve_here(settings())


def _reload() -> None:
    """A change waits for no run: whoever writes an agent wants to see it."""
    from watchfiles import PythonFilter, run_process

    from app.agents.files import SUFFIXES
    from app.cli.environment import settings

    folder = settings().agents_dir
    if not folder.is_dir():
        typer.echo(f"There is no folder {str(folder)!r} to watch: make one, or set AGENTS_DIR.", err=True)
        raise typer.Exit(1)
    os.environ["DRAIN_S"] = "0"
    wanted = PythonFilter(extra_extensions=tuple(SUFFIXES - {".py"}))
    run_process(folder, target=_serve, watch_filter=wanted, callback=_tell)


def _tell(changes: "set[tuple[Change, str]]") -> None:
    names = sorted({Path(path).name for _, path in changes})
    typer.echo(f"Changed: {', '.join(names)}. Starting anew.", err=True)
