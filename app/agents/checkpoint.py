"""A run that waits for a person, as bytes: all that another process needs to go on with it, but the session's state."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from app.agents.asked import PersonAsked
from app.agents.desk import Question, changed
from app.agents.journal import Entry
from app.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where a run stands. A leg begins with a state and a task; what it has done since is in the journal."""

    version: Literal[1] = 1
    agent: str
    shape: str
    """What the agent is made of: another one would do other things."""
    question: Question
    handoff_target: str | None = None
    """A team has ended with a hand-off to that person: the answer is the next leg's task."""
    task: dict[str, Any]
    """The leg's, as AutoGen dumps it."""
    state: str | None = None
    """The agent's at the beginning of the leg, where that is not the session's."""
    journal: list[Entry]
    messages: list[Annotated[Message, Field(discriminator="type")]]
    """The run's until now."""
    earlier: int
    """How many of these are of earlier legs."""
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None

    def replayed(self, answer: Any) -> list[Entry]:
        """The journal, with the answer in it."""
        asked = PersonAsked(self.question.source, self.question.prompt, self.question.schema)
        return [*self.journal, Entry("answer", asked.keys({}), {"answer": answer})]

    def dumps(self) -> bytes:
        return orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def loads(cls, agent: str, content: bytes) -> "Checkpoint":
        """Raises StateConflict for what is none, or another agent's."""
        try:
            found = _CHECKPOINT.validate_json(content)
        except ValidationError as error:
            raise changed(agent) from error
        if found.agent != agent:
            raise changed(agent)
        return found


_CHECKPOINT = TypeAdapter(Checkpoint)
