"""What a provider's failure means to a caller, in our words alone: theirs may carry keys and prompts.

Classes are told by name, not by import: which SDKs and HTTP libraries are loaded depends on the models.
"""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, Literal

from app.errors import ProviderFailed

Reason = Literal["authentication", "rate_limit", "bad_request", "unavailable", "timeout"]
Kind = tuple[Reason, str]


class UnreadableAnswerError(RuntimeError):
    """The provider's answer is not what its protocol says."""


class ProviderFailure(ProviderFailed):
    """A `ProviderFailed` that knows its kind."""

    def __init__(self, reason: Reason, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.reason = reason


REFUSED: Kind = "authentication", "The model provider refused the service's credentials."
LIMITED: Kind = "rate_limit", "The model provider's rate limit or quota is reached."
REJECTED: Kind = "bad_request", "The model provider rejected the request."
NO_MODEL: Kind = "bad_request", "The model provider does not have the model."
TOO_LONG: Kind = "bad_request", "The model's answer was cut off at its greatest length."
FILTERED: Kind = "bad_request", "The model provider's content filter stopped the answer."
ENDLESS: Kind = "bad_request", "The model's answer is longer than MAX_MESSAGE_CHARS allows."
DOWN: Kind = "unavailable", "The model provider is unavailable."
UNREADABLE: Kind = "unavailable", "The model provider's answer could not be read."
NOT_LOCAL: Kind = "unavailable", "The embedded model is unavailable."
SLOW: Kind = "timeout", "The model provider did not answer in time."

KINDS: dict[str, Kind] = {
    "openai.APITimeoutError": SLOW,
    "openai.APIResponseValidationError": UNREADABLE,
    "openai.LengthFinishReasonError": TOO_LONG,
    "openai.ContentFilterFinishReasonError": FILTERED,
    "openai.OpenAIError": DOWN,
    "anthropic.APITimeoutError": SLOW,
    "anthropic.APIResponseValidationError": UNREADABLE,
    "anthropic.AnthropicError": DOWN,
    "ollama.RequestError": REJECTED,
    "httpx.TimeoutException": SLOW,
    "httpx.HTTPError": DOWN,
    "httpx.InvalidURL": DOWN,
    "httpx2.TimeoutException": SLOW,
    "httpx2.HTTPError": DOWN,
    "httpx2.InvalidURL": DOWN,
    "aiohttp.ServerTimeoutError": SLOW,
    "aiohttp.ClientError": DOWN,
    "app.UnreadableAnswerError": UNREADABLE,
    "app.AnswerTooLongError": ENDLESS,
    "app.LocalModelError": NOT_LOCAL,
}
"""By the class or the nearest of its bases, named with its top-level package."""

STATUSES: dict[str, Callable[[Any], int]] = {
    "openai.APIStatusError": attrgetter("status_code"),
    "anthropic.APIStatusError": attrgetter("status_code"),
    "ollama.ResponseError": attrgetter("status_code"),
    "httpx.HTTPStatusError": attrgetter("response.status_code"),
    "httpx2.HTTPStatusError": attrgetter("response.status_code"),
    "aiohttp.ClientResponseError": attrgetter("status"),
}
"""Where the errors that answers with a status become have it."""

BY_STATUS: dict[int, Kind] = {
    401: REFUSED,
    402: LIMITED,
    403: REFUSED,
    404: NO_MODEL,
    408: SLOW,
    429: LIMITED,
    504: SLOW,
}
"""Any other 4xx is REJECTED; anything else, also an error in the middle of a stream, is DOWN."""


def classify(error: BaseException) -> ProviderFailure | None:
    """What a caller may know of it; None if it is not a provider's, nor caused by one's."""
    for each in _causes(error):
        if isinstance(each, ProviderFailure):
            return each
        if (kind := _kind(each)) is not None:
            return ProviderFailure(*kind)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """It, the members of a group, and what it was explicitly raised from."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
    if error.__cause__ is not None:
        yield from _causes(error.__cause__)


def _kind(error: BaseException) -> Kind | None:
    for base in type(error).__mro__:
        name = f"{base.__module__.partition('.')[0]}.{base.__name__}"
        if name in STATUSES:
            return _by_status(STATUSES[name](error))
        if name in KINDS:
            return KINDS[name]
    return None


def _by_status(status: int) -> Kind:
    return BY_STATUS.get(status, REJECTED if 400 <= status < 500 else DOWN)
