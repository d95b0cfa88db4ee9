"""The service's own parts: its folder, its database, its agents, its model."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.agents.trial import ModelTrial, embedded_model_problem, try_agents, try_model
from app.api.identity.gate import Identity
from app.doctor.result import Finding, Result, skipped, summed
from app.doctor.threads import apart
from app.errors import Unavailable
from app.settings import Settings
from app.store.condition import Condition, condition, folder

LITTLE = 100 * 2**20
"""Bytes that a disk should have left."""


def data_dir(settings: Settings) -> Result:
    """The folder of the SQLite file: it can be written, or made."""
    where = folder(settings)
    if where is None:
        return skipped("data-dir", "the database is not SQLite")
    change = "the file that DATABASE_URL names" if settings.database_url else "DATA_DIR"
    advice = f"Point {change} at a folder that this user may write, or correct the folder's permissions."
    existing = where.absolute()
    try:
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir():
            return Result("data-dir", "fail", f"{existing} is a file, not a folder", advice)
        if existing == where.absolute():
            with tempfile.TemporaryFile(dir=where):
                pass
        elif not os.access(existing, os.W_OK | os.X_OK):
            return Result("data-dir", "fail", f"{where} cannot be made in {existing}", advice)
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Result("data-dir", "fail", f"{where} cannot be written: {error.strerror}", advice)
    if free < LITTLE:
        found = f"{where}'s disk has {free // 2**20} MiB left"
        return Result("data-dir", "warn", found, "Free some room, or move DATA_DIR to another disk.")
    return Result("data-dir", "ok", f"{where} can be written")


async def credentials(settings: Settings) -> Result:
    """Keys can be read, and the keys of the token issuer be had."""
    if not settings.asks_for_credentials:
        if settings.auth == "loopback":
            return Result("credentials", "ok", f"none are asked for; it listens on {settings.host} alone")
        advice = "Set API_KEYS or JWT_ISSUER, or see to it that only those reach the port who may do everything."
        return Result("credentials", "warn", "AUTH=none: none are asked for, of anybody who reaches the port", advice)
    try:
        identity = Identity(settings)
    except ValueError as error:
        return Result("credentials", "fail", str(error), "Correct it: docs/authentication.md shows the format.")
    try:
        if identity.tokens is not None:
            await identity.tokens.check()
    except Unavailable:
        advice = "Set JWT_ISSUER exactly as the provider names itself, or JWT_JWKS_URL to where its keys are."
        return Result("credentials", "fail", f"the keys of {settings.jwt_issuer} cannot be had", advice)
    finally:
        await identity.close()
    found = [f"{identity.keys.count} API keys"] if identity.keys.count else []
    return Result("credentials", "ok", " and ".join([*found, *(["tokens"] if identity.tokens else [])]) + " let in")


async def database(settings: Settings) -> Result:
    """It can be reached, and its migrations are those of this version."""
    found = await apart(lambda: asyncio.run(condition(settings)))
    if found.fault is not None:
        return Result("database", "fail", *_database_fault(found, settings))
    if found.revision is None:
        return Result("database", "ok", f"{found.where}: empty; the first start makes its tables")
    if found.revision == found.head:
        return Result("database", "ok", f"{found.where}: at migration {found.head}, the newest")
    if found.revision < found.head:
        return Result(
            "database", "ok", f"{found.where}: at migration {found.revision}; the next start brings {found.head}"
        )
    return Result(
        "database",
        "fail",
        f"{found.where}: at migration {found.revision}, which this version, at {found.head}, does not know",
        "Run the newer Waggle that migrated it, or point DATABASE_URL at another database.",
    )


def _database_fault(found: Condition, settings: Settings) -> tuple[str, str]:
    """What was found, and what to do."""
    form = "DATABASE_URL=postgresql://user:password@host/database"
    match found.fault:
        case "not an address":
            return "DATABASE_URL is not a database's address", f"Write it as {form}, percent-encoding its parts."
        case "not supported":
            return f"{found.detail} is not supported", f"Write {form}, or unset DATABASE_URL for SQLite in DATA_DIR."
        case "unknown host":
            return f"{found.where}: the host is not known", "Correct the host in DATABASE_URL."
        case "unreachable":
            advice = (
                "Start the database, or correct host and port in DATABASE_URL; in a container, localhost is itself."
            )
            return f"{found.where}: nobody listens there", advice
        case "silent":
            return (
                f"{found.where}: no answer",
                "Correct the host in DATABASE_URL, or open the firewall between the two.",
            )
        case "refused":
            return f"{found.where}: the user or the password is refused", "Correct user and password in DATABASE_URL."
        case "no such database":
            return f"{found.where}: there is no such database", "Create it, or correct its name in DATABASE_URL."
    if settings.database_url is None:
        return f"{found.where}: {found.detail}", "Point DATA_DIR elsewhere, or put waggle.db back from a backup."
    return f"{found.where}: {found.detail}", "Correct DATABASE_URL."


async def agents(settings: Settings) -> Result:
    """Each is built once, in a thread with an event loop of its own: a recipe may block for ever."""
    cards = await apart(lambda: asyncio.run(try_agents(settings)))
    served = [card.name for card in cards if card.status == "ready"]
    otherwise = f"{len(served)} are valid: {', '.join(served)}"
    broken = [card for card in cards if card.status == "invalid"]
    findings = [Finding("fail", f"{card.name}: {card.reason}", _repair(card.name, settings)) for card in broken]
    if settings.agents_dir != Path("agents") and not settings.agents_dir.is_dir():
        found = f"AGENTS_DIR={str(settings.agents_dir)!r} is not a folder"
        findings.append(Finding("warn", found, "Point AGENTS_DIR at the folder of your agents."))
    return summed("agents", findings, otherwise)


def _repair(name: str, settings: Settings) -> str:
    return f"Correct or remove the file of agent {name!r} in AGENTS_DIR ({settings.agents_dir})."


def embedded_model(settings: Settings) -> Result:
    """Its runtime, its weights and the library they need, where it is the model."""
    problem = embedded_model_problem(settings)
    if problem is None:
        return skipped("embedded-model", "another model is configured")
    if problem:
        return Result("embedded-model", "fail", "the embedded model cannot run", problem)
    return Result("embedded-model", "ok", "runtime and weights are there")


async def model(settings: Settings) -> Result:
    """A tiny real completion."""
    trial = await try_model(settings.model_copy(update={"model_max_retries": 0}))
    if trial.fault is None:
        return Result("model", "ok", f"{trial.model} answered in {trial.took_s:.1f} s")
    where = f"{trial.model}: " if trial.model else ""
    found = f"{where}{_model_fault(trial)}"
    return Result("model", "fail", found, " ".join(_model_advice(trial, settings)))


def _model_fault(trial: ModelTrial) -> str:
    match trial.fault:
        case "key refused":
            return "the provider refuses the key"
        case "model unknown":
            return "the provider does not know the model, or nothing is at that address"
        case "unreachable":
            return f"nothing answers at {_address(trial)}"
        case "limited":
            return "the provider's rate limit or quota is reached"
        case "rejected":
            return "the provider rejects even a one-line request"
        case "silent":
            return "no answer in time"
        case "none":
            return "there is no model to call"
    return trial.detail.rstrip(".")


def _model_advice(trial: ModelTrial, settings: Settings) -> Iterator[str]:
    key = "MODEL_API_KEY" if settings.model_api_key else trial.key_setting or "MODEL_API_KEY"
    where = "MODEL_BASE_URL" if trial.has_base_url else "OLLAMA_HOST" if trial.provider == "ollama" else ""
    match trial.fault:
        case "none":
            yield trial.detail
        case "key refused":
            yield f"Set {key} to a key that {trial.provider} accepts: complete, not expired, of the right account."
        case "model unknown":
            yield f"Set MODEL to a model that this account may use, as in MODEL={trial.provider}:name."
            if trial.has_base_url:
                yield "MODEL_BASE_URL must have its whole path, usually ending with /v1."
        case "unreachable":
            yield f"Correct {where}, or start the server there." if where else "Let this machine reach the provider."
            yield "Behind a proxy, set HTTPS_PROXY; in a container, localhost is the container itself."
        case "limited":
            yield "Wait, or raise the quota or the balance of the provider's account, or choose another MODEL."
        case "rejected":
            yield f"Choose a chat model: MODEL={trial.provider}:name."
        case "silent":
            yield f"Try again; if it stays so, check {where or 'the way to the provider'}, or choose a faster MODEL."
        case _:
            yield "Try again; the provider's status page may know more."


def _address(trial: ModelTrial) -> str:
    """Without credentials or query."""
    scheme, _, rest = trial.url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}" if rest else trial.url or "its address"
