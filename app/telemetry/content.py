"""What of a run's content the traces may hold: all, masked, or none; everywhere at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from re import Pattern
from typing import Literal

MASK = "[redacted]"

CONTENT = re.compile(
    r"""
      input\.value | output\.value | message | url\.query | url\.full | http\.target | http\.url
    | gen_ai\.(input|output)\.messages | gen_ai\.system_instructions | gen_ai\.tool\.call\.(arguments|result)
    | gen_ai\.(prompt|completion|event\.content)(\..*)? | gen_ai\.memory\.(query\.text|records)
    | llm\.(input|output)_messages\..*\.(content|contents|function_call_arguments_json|arguments|text|url)(\..*)?
    | llm\.(prompts|completions)(\..*)? | llm\.(choices)\..* | llm\.prompt_template\..*
    | traceloop\.entity\.(input|output) | honeyhive_(inputs|outputs)\..*
    | tool\.parameters | input\.audio\..* | output\.audio\..*
    | exception\.(message|stacktrace) | gen_ai\.evaluation\.explanation | honeyhive_feedback\.comment
    """,
    re.VERBOSE,
)
"""The attributes that hold what people, models and tools said: GenAI's, OpenInference's, Traceloop's, HoneyHive's
and our own; a query string holds a task (`GET …/stream?task=`), an exception's text may hold anything."""

_CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
DEFAULT_PATTERNS = (
    r"\b(?:sk|pk|rk|hh|xai|gsk|ghp|gho|ghu|ghs|ghr|glpat|xox[abprs])[-_][A-Za-z0-9_-]{8,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bAIza[0-9A-Za-z_-]{35}\b",
    r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}",
    r"(?i:\bbearer\s+)[A-Za-z0-9._~+/-]{8,}=*",
    r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}\b",
)
"""Keys of the usual makes, JSON web tokens, bearer tokens, e-mail addresses. Each is linear in the text."""


@dataclass(frozen=True, slots=True)
class Content:
    """What may be told.

    `masked` keeps the words and masks what looks like a secret; patterns of the operator's own mask whatever the
    policy. Beyond `limit` characters a value is cut, and says so.
    """

    policy: Literal["all", "masked", "none"] = "all"
    patterns: Sequence[Pattern[str]] = ()
    limit: int = 32_768

    @classmethod
    def of(cls, policy: Literal["all", "masked", "none"], own: Sequence[str], limit: int) -> "Content":
        """With the default patterns where it masks, and the operator's own in any case."""
        chosen = (*(DEFAULT_PATTERNS if policy == "masked" else ()), *own)
        return cls(policy, tuple(re.compile(pattern) for pattern in chosen), limit)

    def may_show(self, name: str) -> bool:
        """Whether an attribute of that name may leave at all."""
        return self.policy != "none" or CONTENT.fullmatch(name) is None

    def text(self, value: str) -> str:
        """The text as it may leave."""
        for pattern in self.patterns:
            value = pattern.sub(MASK, value)
        if self.policy == "masked":
            value = _CARD.sub(_mask_card, value)
        if len(value) > self.limit:
            value = f"{value[: self.limit]}… [cut: {len(value) - self.limit} characters more]"
        return value


def _mask_card(match: re.Match[str]) -> str:
    digits = [int(digit) for digit in match[0] if digit.isdigit()]
    return MASK if _luhn(digits) else match[0]


def _luhn(digits: Sequence[int]) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1, annex B)."""
    doubled = [digit if index % 2 == 0 else digit * 2 - 9 * (digit > 4) for index, digit in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0
