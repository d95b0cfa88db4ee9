"""What of a run's content the traces may hold: all, masked, or none; everywhere at once."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson
import regex

logger = logging.getLogger(__name__)

MASK = "[redacted]"

CONTENT = re.compile(
    r"""
      input\.value | output\.value | message | url\.query | url\.full | http\.target | http\.url
    | gen_ai\.(input|output)\.messages | gen_ai\.system_instructions | gen_ai\.tool\.call\.(arguments|result)
    | gen_ai\.(prompt|completion|event\.content)(\..*)? | gen_ai\.memory\.(query\.text|records)
    | gen_ai\.retrieval\.(query\.text|documents)
    | llm\.(input|output)_messages\..*\.(content|contents|function_call_arguments_json|arguments|text|url)(\..*)?
    | llm\.(input|output)_messages\..*\.name
    | llm\.(prompts|completions|choices|function_call)(\..*)? | llm\.prompt_template\..*
    | traceloop\.entity\.(input|output) | honeyhive_(inputs|outputs)\..*
    | tool\.parameters | input\.audio\..* | output\.audio\..*
    | (retrieval|reranker)\..* | document\.(content|metadata) | embedding\.(text|embeddings)(\..*)?
    | exception\.(message|stacktrace) | gen_ai\.evaluation\.explanation | honeyhive_feedback\.comment
    | waggle\.(run|team)\.stop_reason
    """,
    re.VERBOSE,
)
"""The attributes that hold what people, models and tools said: GenAI's, OpenInference's, Traceloop's, HoneyHive's
and our own. A query string holds a task (`GET …/stream?task=`), an exception's text may hold anything, and why
MagenticOne's orchestrator stopped is its model's own words."""

_START = r"(?:(?<!\w)(?!(?<=\\)[bfnrtu])|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))"
"""As `\\b`, and after what stands for a line's end in JSON or in Python's repr: the n of `\\nsk-…` is no letter."""
_CARD = re.compile(
    rf"{_START}(?:(?P<uuid>[0-9a-fA-F]{{8}}-(?:[0-9a-fA-F]{{4}}-){{3}}[0-9a-fA-F]{{12}})|\d(?:[ -]?\d){{12,18}})\b"
)
_DEFAULT = (
    r"(?:sk|pk|rk|hh|xai|gsk|ghp|gho|ghu|ghs|ghr|glpat|xox[abprs])[-_][A-Za-z0-9_-]{8,}",
    r"AKIA[0-9A-Z]{16}\b",
    r"AIza[0-9A-Za-z_-]{35}\b",
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}",
    r"(?i:bearer\s+)[A-Za-z0-9._~+/-]{8,}=*",
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}\b",
)
"""Keys of the usual makes, JSON web tokens, bearer tokens, e-mail addresses. Each is linear in the text."""
MARGIN = 4096
"""Characters beyond the limit that are looked at too, so that no part of a secret is left at the edge."""

IDENTITIES = frozenset({"session.id", "gen_ai.conversation.id", "user.id", "honeyhive_user_properties.user_id"})
"""Whose run it is: one made of digits is no card."""


class DefaultPatterns:
    """Those above. Most texts hold none of them, which one search for all tells in a quarter of the time of six."""

    _ANY = re.compile(f"{_START}(?:{'|'.join(_DEFAULT)})")
    _EACH = tuple(re.compile(_START + pattern) for pattern in _DEFAULT)

    def sub(self, mask: str, text: str) -> str:
        """As `re.Pattern.sub`, of one after the other."""
        if self._ANY.search(text) is not None:
            for pattern in self._EACH:
                text = pattern.sub(mask, text)
        return text


class OwnPattern:
    """An operator's, which may take for ever with a text that was made for it: `regex` gives up, unlike `re`.

    The text is then masked as a whole; the next one gets less time, since somebody may be at it.
    """

    TIMEOUT_S, TIMEOUT_AGAIN_S = 0.05, 0.002

    def __init__(self, pattern: str) -> None:
        self._pattern = regex.compile(pattern)
        self._timeout_s = self.TIMEOUT_S

    def sub(self, mask: str, text: str) -> str:
        """As `re.Pattern.sub`, but in bounded time."""
        try:
            return self._pattern.sub(mask, text, timeout=self._timeout_s)
        except TimeoutError:
            if self._timeout_s == self.TIMEOUT_S:
                logger.warning("A pattern of TRACE_REDACT takes too long: what it cannot look through is masked whole")
            self._timeout_s = self.TIMEOUT_AGAIN_S
            return f"{mask} (a pattern took too long)"


@dataclass(frozen=True, slots=True)
class Content:
    """What may be told.

    `masked` keeps the words and masks what looks like a secret; patterns of the operator's own mask whatever the
    policy. Beyond `limit` characters a value is cut, and says so.
    """

    policy: Literal["all", "masked", "none"] = "all"
    patterns: Sequence[DefaultPatterns | OwnPattern] = ()
    limit: int = 32_768

    @classmethod
    def of(cls, policy: Literal["all", "masked", "none"], own: Sequence[str], limit: int) -> "Content":
        """With the default patterns where it masks, and the operator's own in any case."""
        defaults = (DefaultPatterns(),) if policy == "masked" else ()
        return cls(policy, (*defaults, *map(OwnPattern, own)), limit)

    def may_show(self, name: str) -> bool:
        """Whether an attribute of that name may leave at all."""
        return self.policy != "none" or not _is_content(name)

    @property
    def whole(self) -> int:
        """The characters up to which a text leaves as it is, where it is ASCII: most attributes are such."""
        return -1 if self.patterns or self.policy == "masked" else self.limit

    def text(self, value: str, *, identity: bool = False) -> str:
        """The text as it may leave."""
        shown = value = encodable(value)
        if self.patterns:
            shown = self._masked(value[: self.limit + MARGIN], identity=identity)
            if len(value) > self.limit + MARGIN:
                shown = shown[: max(0, len(shown) - MARGIN)]
        if len(shown) <= self.limit and len(value) <= self.limit + MARGIN:
            return shown
        shown = shown[: self.limit]
        return f"{shown}… [cut: {len(value) - len(shown)} characters more]"

    def _masked(self, text: str, *, identity: bool = False) -> str:
        if text[:1] in ("{", "["):
            text = self._masked_json(text)
        for pattern in self.patterns:
            text = pattern.sub(MASK, text)
        return _CARD.sub(_mask_card, text) if self.policy == "masked" and not identity else text

    def _masked_json(self, text: str) -> str:
        """Each string by itself: as JSON writes them, a pattern does not see where a word begins."""
        try:
            value = orjson.loads(text)
            masked = self._masked_value(value)
        except (orjson.JSONDecodeError, RecursionError):  # no JSON after all, or too deep to be meant
            return text
        return text if masked == value else orjson.dumps(masked).decode()

    def _masked_value(self, value: Any) -> Any:
        match value:
            case str():
                return self._masked(value)
            case bool() | float() | None:
                return value
            case int():
                return value if self._masked(str(value)) == str(value) else MASK
            case list():
                return [self._masked_value(item) for item in value]
            case _:
                return {self._masked(name): self._masked_value(item) for name, item in value.items()}


@lru_cache(4096)
def _is_content(name: str) -> bool:
    return CONTENT.fullmatch(name) is not None


def encodable(text: str) -> str:
    """Without half characters: a file's name may have them, UTF-8 has not."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def _mask_card(match: re.Match[str]) -> str:
    if match["uuid"]:
        return match[0]
    digits = [int(digit) for digit in match[0] if digit.isdigit()]
    return MASK if _luhn(digits) else match[0]


def _luhn(digits: Sequence[int]) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1, annex B)."""
    doubled = [digit if index % 2 == 0 else digit * 2 - 9 * (digit > 4) for index, digit in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0
