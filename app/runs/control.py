"""What a caller may do to a run that there is: stop it, answer its question, say how good it was."""

import asyncio
from itertools import islice
from typing import Any

from app.caller import Caller
from app.errors import InvalidInput, NotWaiting
from app.events import ENDED, InputRequest, Run, RunStatus
from app.runs.bells import Bells
from app.runs.run import Stop, identity_of
from app.runs.runner import Runner
from app.store.peers import Peers
from app.store.runs import RunStore
from app.store.said import Feedback, Said
from app.telemetry.feedback import tell_feedback

LOOK_S = 0.5
"""How often a run that is being stopped elsewhere is looked at, should the notice of its end be missed."""
MAX_ERRORS, MAX_MESSAGE = 20, 200
"""Told of an answer that does not fit; a message quotes what it is about, however long that is."""
MARGIN_S = 5.0
"""What a stopped run gets to be recorded."""


class Control:
    """For runs wherever they are executed; they are found for their caller only."""

    def __init__(
        self, runner: Runner, store: RunStore, said: Said, peers: Peers, bells: Bells, cancel_timeout_s: float
    ) -> None:
        self._runner = runner
        self._store = store
        self._said = said
        self._peers = peers
        self._bells = bells
        self._deadline_s = cancel_timeout_s + MARGIN_S

    async def cancel(self, run_id: str, caller: Caller) -> Run:
        """Stop it, and return its record once it has really stopped; one that has ended is left as it is.

        Raises NotFound.
        """
        with self._bells.hearing(run_id) as bell:
            live = self._runner.live(run_id, caller)
            if live is not None and live.attempt > 0:
                live.stop(Stop.CANCELLED)
            else:
                why = Stop.CANCELLED
                stopped = await self._store.stop(run_id, caller, why.wish, why.value)
                await self._peers.tell("changed" if stopped.ended else "cancel", run_id)
            try:
                async with asyncio.timeout(self._deadline_s):
                    while (await self._store.standing(run_id, caller)).run.status not in ENDED:
                        await bell.wait(LOOK_S)
            except TimeoutError:
                pass  # as it stands: it is told to stop, and does
        return await self._store.get(run_id, caller)

    async def answer(self, run_id: str, caller: Caller, input_id: str | None, value: Any) -> Run:
        """Let a run that waits for a person go on with the answer.

        Raises NotFound, NotWaiting, and InvalidInput where the answer is not what was asked for.
        """
        question = await self._said.question(run_id, caller, input_id)
        if question is None:
            raise NotWaiting(f"Run {run_id!r} does not wait for input.")
        await asyncio.to_thread(_check, question, value)
        run, goes_on = await self._said.answer(run_id, caller, question.input_id, value)
        if goes_on:
            await self._peers.tell("queued", run_id)
            await self._peers.tell("changed", run_id)
        return run

    async def feedback(
        self, run_id: str, caller: Caller, *, score: float, label: str | None, comment: str | None
    ) -> None:
        """Keep what a person said of the run, and tell the trace backends. Raises NotFound."""
        run, root = await self._said.add_feedback(run_id, caller, score=score, label=label, comment=comment)
        if root is not None and run.status is not RunStatus.QUEUED:
            tell_feedback(identity_of(run, caller), run.trace_id, root, score, label, comment)

    async def told(self, run_id: str, caller: Caller, limit: int, after: str | None) -> list[Feedback]:
        """What was said of the run, the latest first, before the one of that id. Raises NotFound."""
        return await self._said.feedback(run_id, caller, limit, after)


def _check(question: InputRequest, value: Any) -> None:
    if question.schema is None:
        if not isinstance(value, str):
            raise InvalidInput(
                "The run waits for text: send input as a string.",
                errors=[{"loc": ["body", "input"], "msg": "Not a string."}],
            )
        return
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 0.1 s to import, and few agents ask by a schema
    from jsonschema.validators import validator_for  # noqa: PLC0415

    try:
        wrong = list(islice(validator_for(question.schema)(question.schema).iter_errors(value), MAX_ERRORS))
    except SchemaError:
        return  # the agent's own mistake: the answer is taken as it is
    if wrong:
        raise InvalidInput(
            "The input does not fit the schema of the run's input_request.",
            errors=[
                {"loc": ["body", "input", *error.absolute_path], "msg": error.message[:MAX_MESSAGE]} for error in wrong
            ],
        )
