"""How the protocols that ask again let a run that waits for a person go on: it is answered, and watched from there."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from app.api.dependencies import Parts
from app.api.problems import invalid
from app.api.schemas import AnswerIn, RunId
from app.caller import Caller
from app.errors import NotFound, NotWaiting
from app.events import Placed, Position, Run, RunStatus

_RUN_ID: TypeAdapter[str] = TypeAdapter(RunId)


class Going(NamedTuple):
    """A run that was answered, and its events from there on."""

    run: Run
    events: AsyncIterator[list[Placed]]


async def going_on(parts: Parts, caller: Caller, agent: str, run_id: str, value: Any) -> Going:
    """The run and what follows its question. Raises NotFound, NotWaiting, and InvalidInput for what is no answer.

    Text is read as JSON where the question asks for more than text.
    """
    standing = await parts.runs.standing(run_id_in(run_id), caller)
    if standing.run.agent != agent:
        raise NotFound(f"There is no run {run_id!r} of agent {agent!r}.")
    question = standing.run.input_request
    if question is None or standing.run.status is not RunStatus.INPUT_REQUIRED:
        raise NotWaiting(f"Run {run_id!r} does not wait for input.")
    if question.schema is not None and isinstance(value, str):
        with suppress(ValueError):  # it may be text that is asked for
            value = orjson.loads(value)
    value = fit(value)
    asked_at = Position(standing.attempt, standing.last_seq or 0)
    with parts.runner.audience.watch(run_id):
        await parts.control.answer(run_id, caller, question.input_id, value)
        view = await parts.viewing.open(run_id, caller, asked_at)
    if view.events is None:
        raise NotWaiting(f"Run {run_id!r} was stopped before it could go on.")
    return Going(view.run, view.events)


def fit(value: Any) -> Any:
    """The answer, if it can be kept. Raises InvalidInput."""
    try:
        return AnswerIn(input=value).input
    except ValidationError as error:
        raise invalid([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None


def run_id_in(name: str) -> str:
    """What may be a run's id: a database need not be asked for anything else. Raises NotFound."""
    try:
        return _RUN_ID.validate_python(name)
    except ValidationError:
        raise NotFound("There is no run of that id.") from None
