"""`waggle sessions`: conversations, in the database of the settings or on a server."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from app.cli.place import ApiKey, Url, User

if TYPE_CHECKING:
    import httpx

application = typer.Typer(
    name="sessions", help="Look at the conversations that were had, and delete them.", no_args_is_help=True
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Session = Annotated[
    str, typer.Argument(metavar="SESSION", help="The session's id, as `waggle sessions list` shows it.")
]


@application.command("list")
def list_sessions(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many at most.")] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    user: User = None,
    as_json: Json = False,
) -> None:
    """List the sessions, the latest first.

    \b
    Examples:
      waggle sessions list
      waggle sessions list --user ann --limit 100
      waggle sessions list --url https://agents.example.com
    """
    from app.cli.place import ask
    from app.cli.screen import Screen

    async def show(client: "httpx.AsyncClient") -> int:
        items = [item async for item in _items(client, "/sessions", limit)]
        screen = Screen()
        if as_json:
            screen.json(items)
        else:
            rows = [(each["session_id"], each["agent"], str(each["turns"]), each["updated_at"]) for each in items]
            screen.table(("session", "agent", "turns", "last used"), rows)
        return 0

    raise typer.Exit(ask(show, url=url, api_key=api_key, user=user, needs="store"))


@application.command("show")
def show_session(
    session: Session,
    url: Url = None,
    api_key: ApiKey = None,
    user: User = None,
    as_json: Json = False,
) -> None:
    """Show what was said in a session, oldest first.

    \b
    Example:
      waggle sessions show trip
    """
    from app.cli.place import ask
    from app.cli.screen import Screen

    async def show(client: "httpx.AsyncClient") -> int:
        messages = [item async for item in _items(client, f"/sessions/{quote(session, safe='')}/messages")]
        screen = Screen()
        if as_json:
            screen.json(messages)
        for message in () if as_json else messages:
            screen.message(message)
        return 0

    raise typer.Exit(ask(show, url=url, api_key=api_key, user=user, needs="store"))


@application.command("delete")
def delete_session(
    session: Session,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    user: User = None,
) -> None:
    """Delete a session, with its messages, runs and saved states. There is no way back.

    \b
    Example:
      waggle sessions delete trip
    """
    from app.cli.place import ask

    if not yes:
        typer.confirm(f"Delete session {session!r} and everything of it?", abort=True)

    async def delete(client: "httpx.AsyncClient") -> int:
        from app.cli.api import call

        await call(client, "DELETE", f"/sessions/{quote(session, safe='')}")
        typer.echo(f"Deleted {session}")
        return 0

    raise typer.Exit(ask(delete, url=url, api_key=api_key, user=user, needs="store"))


async def _items(client: "httpx.AsyncClient", path: str, limit: int | None = None) -> AsyncIterator[Any]:
    """Page after page."""
    from app.cli.api import call

    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        size = 100 if left is None else min(left, 100)
        page = await call(client, "GET", path, params={"limit": size} | ({"cursor": cursor} if cursor else {}))
        for item in page["items"]:
            yield item
        left = None if left is None else left - len(page["items"])
        if (cursor := page["next_cursor"]) is None:
            return
