"""The settings, or a sentence about what is wrong with them; and what is logged while a command runs."""

import logging

import typer
from pydantic import ValidationError

from app.settings import Settings


def settings() -> Settings:
    """Exits with 1 where they do not fit."""
    try:
        return Settings()
    except ValidationError as error:
        for found in error.errors(include_input=False):
            name = ".".join(str(part) for part in found["loc"]).upper()
            typer.echo(f"{name or 'Settings'}: {found['msg'].removeprefix('Value error, ')}", err=True)
        raise typer.Exit(1) from None


def quiet(found: Settings) -> None:
    """What a command says itself is enough, unless LOG_LEVEL asks for more."""
    if "log_level" in found.model_fields_set:
        from app.telemetry import logs

        logs.configure(found)
    else:
        logging.getLogger().addHandler(logging.NullHandler())  # else Python prints warnings itself
