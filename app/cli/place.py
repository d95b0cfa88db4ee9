"""Where a command finds the service: on a server, or in this process. Both are asked in the same way, by `httpx`."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from threading import Timer
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    import httpx

Needs = Literal["all", "agents", "store"]
"""What of the service a command asks for, and so has to be started in this process."""
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="WAGGLE_URL", help="Ask the service there, as http://127.0.0.1:8000; else none is needed."
    ),
]
ApiKey = Annotated[
    str | None, typer.Option(metavar="KEY", envvar="WAGGLE_API_KEY", help="An API key or a token of the service.")
]
User = Annotated[str | None, typer.Option(metavar="USER", help="The end user whose sessions they are.")]

TIMEOUT_S = 30
"""For an answer; an event stream says at least every 15 s that it is there."""
LEAVE_S = 2
"""After the last word, for the process to end; threads that hang in a tool are left behind."""
INTERRUPTED = 130
"""The exit status after Ctrl-C, as of a shell."""


def ask(
    work: "Callable[[httpx.AsyncClient], Awaitable[int]]",
    *,
    url: str | None,
    api_key: str | None,
    user: str | None = None,
    needs: Needs = "all",
) -> int:
    """The exit status that the work comes to; what keeps it from being done is said in a sentence, and is 1."""
    import asyncio

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    headers |= {"X-User-ID": user} if user else {}
    if url is None:
        from app.cli.here import here

        reached = here(headers, needs)
    else:
        reached = _there(url, headers)
    try:
        return asyncio.run(_done(work, reached))
    except KeyboardInterrupt:
        return INTERRUPTED


@asynccontextmanager
async def _there(url: str, headers: dict[str, str]) -> "AsyncIterator[httpx.AsyncClient]":
    import httpx

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S) as client:
        yield client


async def _done(work: "Callable[[httpx.AsyncClient], Awaitable[int]]", reached: "_Reached") -> int:
    from app.cli.api import CannotAsk, Refused

    status = INTERRUPTED
    try:
        async with reached as client:
            try:  # within: the service's task groups would wrap what passes through them
                status = await work(client)
            except (Refused, CannotAsk) as error:
                typer.echo(str(error), err=True)
                status = 1
    finally:
        timer = Timer(LEAVE_S, os._exit, (status,))
        timer.daemon = True
        timer.start()
    return status


if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    _Reached = AbstractAsyncContextManager[httpx.AsyncClient]
