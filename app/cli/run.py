"""`waggle run`: one run of an agent, on the terminal. What happens meanwhile is in `app.cli.watching`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.place import ApiKey, Url, User

if TYPE_CHECKING:
    import httpx


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The agent, as `waggle agents list` shows it.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="What it is asked; - reads it from standard input.")],
    session: Annotated[
        str | None,
        typer.Option("--session", "-s", metavar="SESSION", help="The conversation to go on with, or to begin."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the finished run, as one JSON object.")] = False,
    as_events: Annotated[bool, typer.Option("--events", help="Print every event, as a line of JSON.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    user: User = None,
) -> None:
    """Run an agent, and watch it work.

    What the agents say goes to standard output, tools and the rest to standard error. No server is needed: without
    --url the run is made here, with the settings, agents and database that a server started in this folder would
    have. Ctrl-C cancels it. If the run has a question, you are asked.

    \b
    Exit status: 0 completed, 1 failed, 3 waiting for an answer, 130 cancelled.

    \b
    Examples:
      waggle run weather "Will it rain in Lisbon tomorrow?"
      waggle run assistant "And in Porto?" --session trip
      cat letter.txt | waggle run ticket -
      waggle run assistant "Hello!" --json | jq .usage
      waggle run assistant "Hello!" --url https://agents.example.com
    """
    from app.cli.place import ask

    if as_json and as_events:
        raise typer.BadParameter("--json prints the end, and --events the way there: take one of them.")
    words = sys.stdin.read() if task == "-" else task
    if not words.strip():
        raise typer.BadParameter("The task is empty.")
    body = {"task": words} | ({"session_id": session} if session else {})

    async def work(client: "httpx.AsyncClient") -> int:
        from app.cli.watching import Watching

        return await Watching(client, "json" if as_json else "events" if as_events else "words").run(name, body)

    raise typer.Exit(ask(work, url=url, api_key=api_key, user=user))
