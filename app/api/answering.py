"""How the protocols that ask again let a run that waits for a person go on: it is answered, and watched from there."""

from contextlib import suppress
from typing import Any

import orjson

from app.api.dependencies import Parts
from app.caller import Caller
from app.errors import NotFound, NotWaiting
from app.events import Position, RunStatus
from app.runs.viewing import View


async def going_on(parts: Parts, caller: Caller, agent: str, run_id: str, value: Any) -> View:
    """The run and what follows its question. Raises NotFound, NotWaiting, and InvalidInput for what is no answer.

    Text is read as JSON where the question asks for more than text.
    """
    standing = await parts.runs.standing(run_id, caller)
    if standing.run.agent != agent:
        raise NotFound(f"There is no run {run_id!r} of agent {agent!r}.")
    question = standing.run.input_request
    if question is None or standing.run.status is not RunStatus.INPUT_REQUIRED:
        raise NotWaiting(f"Run {run_id!r} does not wait for input.")
    if question.schema is not None and isinstance(value, str):
        with suppress(ValueError):  # it may be text that is asked for
            value = orjson.loads(value)
    asked_at = Position(standing.attempt, standing.last_seq or 0)
    with parts.runner.audience.watch(run_id):
        await parts.control.answer(run_id, caller, question.input_id, value)
        return await parts.viewing.open(run_id, caller, asked_at)
