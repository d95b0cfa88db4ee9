"""`waggle openapi`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def openapi(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write to this file instead of printing.")
    ] = None,
) -> None:
    """Print the API's description, openapi.json, as the service has it.

    For generators of clients, and to see what changed. It depends on the settings: with API keys, it asks for them.

    \b
    Examples:
      waggle openapi --output openapi.json
      waggle openapi | jq '.paths | keys'
    """
    from app.cli.environment import quiet, settings
    from app.main import create_app

    found = settings()
    quiet(found)
    text = json.dumps(create_app(found).openapi(), indent=2, ensure_ascii=False)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")
