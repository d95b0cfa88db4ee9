"""What AutoGen reads of an answer, as attributes; what a provider leaves out is None, as it is in the SDK's models."""

import json
from collections.abc import Mapping
from typing import Any

import orjson


class Told:
    """An object of a provider's, with all of its fields."""

    arguments: Any = None
    bytes: Any = None
    cached_tokens: Any = None
    choices: Any = None
    completion_tokens: Any = None
    completion_tokens_details: Any = None
    content: Any = None
    finish_reason: Any = None
    function: Any = None
    function_call: Any = None
    id: Any = None
    index: Any = None
    logprob: Any = None
    logprobs: Any = None
    message: Any = None
    model: Any = None
    name: Any = None
    prompt_tokens: Any = None
    prompt_tokens_details: Any = None
    reasoning_tokens: Any = None
    token: Any = None
    tool_calls: Any = None
    top_logprobs: Any = None
    usage: Any = None

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self.__dict__.update({name: told(value) for name, value in fields.items()})
        if "arguments" in fields:  # of which some providers make an object, and AutoGen JSON again
            self.arguments = fields["arguments"]

    @property
    def model_extra(self) -> Mapping[str, Any]:
        """Where AutoGen looks for fields that OpenAI has not."""
        return self._fields

    def model_dump(self) -> Mapping[str, Any]:
        """For AutoGen's log of events."""
        return self._fields


class Delta:
    """What is new with a chunk."""

    __slots__ = ("content", "model_extra", "tool_calls")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.content = fields.get("content")
        self.tool_calls = told(fields.get("tool_calls"))
        self.model_extra = fields


class Choice:
    """One of the answers that a chunk goes on with: OpenAI is asked for one."""

    __slots__ = ("delta", "finish_reason", "logprobs")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.delta = Delta(fields["delta"])
        self.finish_reason = fields.get("finish_reason")
        self.logprobs = told(fields.get("logprobs"))


class Chunk:
    """One event of a stream. A token costs what this costs, which is why it is no `Told`."""

    __slots__ = ("choices", "model", "usage")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.choices = [Choice(choice) for choice in fields["choices"]]
        self.model = fields.get("model")
        self.usage = told(fields.get("usage"))


def piece_of(fields: Any) -> tuple[str, bool] | None:
    """The field of the delta in which a chunk has a piece of a text or thought; None where it has anything else.

    And whether it says that there is no thought, but not that the thought is over: AutoGen tells the two apart.
    """
    match fields:
        case {"choices": [{"delta": dict() as delta} as choice]}:
            if fields.get("error") or choice.get("finish_reason") is not None or choice.get("logprobs"):
                return None
            told = [name for name, value in delta.items() if value and name != "role"]
            if told in (["content"], ["reasoning_content"]) and isinstance(delta[told[0]], str):
                return told[0], delta.get("reasoning_content") == ""
    return None


def told(value: Any) -> Any:
    """The same, with attributes for fields."""
    if isinstance(value, dict):
        return Told(value)
    if isinstance(value, list):
        return [told(each) for each in value]
    return value


def parsed(text: bytes) -> Any:
    """JSON, also with the half characters and the NaN that orjson refuses and some providers send."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
