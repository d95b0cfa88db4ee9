"""How far long work has come: a bar where somebody looks, on a terminal; elsewhere the log tells of the work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


@contextmanager
def progress(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
    """Call what it gives with each part that is done; the parts come to `total`. The bar is gone at the end."""
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console  # noqa: PLC0415 a service in the background needs none of it
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn() if in_bytes else MofNCompleteColumn())
    console = Console(stderr=True)  # which heeds NO_COLOR itself
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as shown:
        yield partial(shown.advance, shown.add_task(what, total=total))


def _nothing(_done: int) -> None:
    pass
