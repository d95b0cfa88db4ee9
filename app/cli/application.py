"""The commands, put together."""

from typing import Annotated

import typer

from app import VERSION
from app.cli import agents, doctor, new, openapi, run, serve, sessions

HELP = """Serve AutoGen agents over HTTP, and try them out on this terminal.

Without a command it serves, as `waggle serve` does. Settings come from the environment and from .env;
.env.example has every one.

\b
First steps:
  waggle new my_agent                    write an agent, and a test of it
  waggle run my_agent "Hello!"           talk to it, without a server
  waggle serve --reload                  serve it over HTTP
"""

application = typer.Typer(
    name="waggle",
    help=HELP,
    rich_markup_mode=None,  # plain text is there in a third of the time, and can be copied
    pretty_exceptions_enable=False,  # they would show local variables, keys among them
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"waggle {VERSION}")
        raise typer.Exit


@application.callback(invoke_without_command=True)
def waggle(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 its callback is all
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        serve.serve()


application.command()(serve.serve)
application.command()(run.run)
application.command()(new.new)
application.add_typer(agents.application)
application.add_typer(sessions.application)
application.command()(doctor.doctor)
application.command()(openapi.openapi)
