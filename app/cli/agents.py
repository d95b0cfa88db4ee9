"""`waggle agents`: which there are, and what is wrong with them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.place import ApiKey, Url

if TYPE_CHECKING:
    import httpx

    from app.agents.card import AgentCard
    from app.settings import Settings

application = typer.Typer(
    name="agents", help="Show the agents that are served, and what is wrong with their files.", no_args_is_help=True
)


@application.command("list")
def list_agents(
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, as GET /agents has it.")] = False,
) -> None:
    """List the agents: those of AGENTS_DIR and the examples that Waggle has, or those of a server.

    \b
    Examples:
      waggle agents list
      waggle agents list --url https://agents.example.com
    """
    from app.cli.place import ask
    from app.cli.screen import Screen

    async def show(client: "httpx.AsyncClient") -> int:
        from app.cli.api import call

        screen, items = Screen(), (await call(client, "GET", "/agents"))["items"]
        if as_json:
            screen.json(items)
        else:
            screen.table(("agent", "kind", "model", "what it is for"), [_row(card) for card in items])
        return 0

    raise typer.Exit(ask(show, url=url, api_key=api_key, needs="agents"))


def _row(card: dict[str, Any]) -> tuple[str, ...]:
    about = card["description"] if card["status"] == "ready" else f"invalid: {card['reason']}"
    return card["name"], card["kind"] or "", card["model"] or "", about


@application.command()
def validate() -> None:
    """Build every agent of AGENTS_DIR, and say what is wrong in each file.

    No model is asked, and no key is needed. Exits with 1 if a file gives no agent: for a check before a deployment.
    With LOG_LEVEL=error, tracebacks are shown too.

    \b
    Examples:
      waggle agents validate
      AGENTS_DIR=examples/agents waggle agents validate
    """
    from app.agents.files import agent_files
    from app.cli.environment import settings
    from app.cli.screen import Screen

    found = settings()
    if not found.agents_dir.is_dir():
        typer.echo(f"There is no folder {str(found.agents_dir)!r}: make one, or set AGENTS_DIR.", err=True)
        raise typer.Exit(1)
    files, cards, screen = agent_files(found.agents_dir), _cards(found), Screen()
    for name, paths in files.items():
        shown = ", ".join(path.name for path in paths)
        screen.verdict(shown, cards[name].reason)
    broken = sum(cards[name].status == "invalid" for name in files)
    screen.aside(f"{len(files)} agents in {found.agents_dir}, {broken} of them invalid")
    raise typer.Exit(int(broken > 0))


def _cards(found: "Settings") -> "dict[str, AgentCard]":
    import asyncio

    from app.agents.trial import try_agents
    from app.cli.environment import quiet

    quiet(found)
    return {card.name: card for card in asyncio.run(try_agents(found))}
