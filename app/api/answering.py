"""How a run that waits for a person goes on, in every protocol: it is answered, and watched from there."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from app.api.dependencies import Parts
from app.api.problems import invalid
from app.api.schemas import AnswerIn, RunId
from app.caller import Caller
from app.errors import NotFound, NotWaiting
from app.events import InputRequest, Placed, Position, Run
from app.store.runs import Standing

_RUN_ID: TypeAdapter[str] = TypeAdapter(RunId)


class Going(NamedTuple):
    """A run that was answered, as it stood then, and its events from there on."""

    run: Run
    events: AsyncIterator[list[Placed]]


async def waiting(parts: Parts, caller: Caller, agent: str, run_id: str) -> Standing:
    """The run of that id, if it waits for a person. Raises NotFound and NotWaiting."""
    standing = await parts.runs.standing(run_id_in(run_id), caller)
    if standing.run.agent != agent:
        raise NotFound(f"There is no run {run_id!r} of agent {agent!r}.")
    question_of(standing)
    return standing


def question_of(standing: Standing) -> InputRequest:
    """What it waits for. Raises NotWaiting."""
    if (question := standing.run.input_request) is None:
        raise NotWaiting(f"Run {standing.run.run_id!r} does not wait for input.")
    return question


def as_answer(said: Any, standing: Standing) -> Any:
    """What was said, as the answer: text is read as JSON where the question asks for more than text, if it is that."""
    if question_of(standing).schema is None or not isinstance(said, str):
        return said
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError:  # it may be text that is asked for
        return said


async def going_on(parts: Parts, caller: Caller, standing: Standing, answer: Any) -> Going:
    """The run and what follows its question: that is its last event.

    Raises NotWaiting, and InvalidInput for what is no answer.
    """
    run_id, question, answer = standing.run.run_id, question_of(standing), fit(answer)
    asked_at = Position(standing.attempt, standing.last_seq or 0)
    with parts.runner.audience.watch(run_id):
        run = await parts.control.answer(run_id, caller, question.input_id, answer)
        view = await parts.viewing.open(run_id, caller, asked_at)
    if view.events is None:
        raise NotWaiting(f"Run {run_id!r} was stopped before it could go on.")
    return Going(run, view.events)


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
