"""Which failure is whose, and what of it a caller may know; how real ones come about is in `providers`."""

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest

from app.agents.local import LocalModelError
from app.agents.provider_errors import UnreadableAnswerError, classify
from app.errors import ProviderFailed

SECRET = "sk-secret at https://host/path/models"
REQUEST, REQUEST2 = httpx.Request("POST", "https://host/path"), httpx2.Request("POST", "https://host/path")


def refused(status: int) -> list[Exception]:
    """A status, as each library raises it."""
    response, response2 = httpx.Response(status, request=REQUEST), httpx2.Response(status, request=REQUEST2)
    return [
        openai.APIStatusError(SECRET, response=response2, body={"error": SECRET}),
        anthropic.APIStatusError(SECRET, response=response, body={"error": SECRET}),
        ollama.ResponseError(SECRET, status),
        httpx.HTTPStatusError(SECRET, request=REQUEST, response=response),
        httpx2.HTTPStatusError(SECRET, request=REQUEST2, response=response2),
        foreign("ClientResponseError", "ClientError", status=status),
    ]


def foreign(name: str, base: str, **attributes: object) -> Exception:
    """An error of aiohttp, which nothing here depends on and which is therefore told by its name."""
    module = {"__module__": "aiohttp.client_exceptions"}
    return type(name, (type(base, (Exception,), module),), module | attributes)(SECRET)  # type: ignore[no-any-return]


STATUSES = {
    400: "bad_request",
    401: "authentication",
    402: "rate_limit",
    403: "authentication",
    404: "bad_request",
    408: "timeout",
    413: "bad_request",
    418: "bad_request",
    422: "bad_request",
    429: "rate_limit",
    500: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "timeout",
    529: "unavailable",
    200: "unavailable",
    -1: "unavailable",
}
"""The last two are of errors in the middle of a stream."""

OTHERS: list[tuple[Exception, str]] = [
    (openai.APITimeoutError(REQUEST2), "timeout"),
    (openai.APIConnectionError(message=SECRET, request=REQUEST2), "unavailable"),
    (openai.APIError(SECRET, REQUEST2, body=None), "unavailable"),
    (openai.APIResponseValidationError(httpx2.Response(200, request=REQUEST2), body=SECRET), "unavailable"),
    (openai.ContentFilterFinishReasonError(), "bad_request"),
    (anthropic.APITimeoutError(REQUEST), "timeout"),
    (anthropic.APIConnectionError(message=SECRET, request=REQUEST), "unavailable"),
    (ollama.RequestError(SECRET), "bad_request"),
    (httpx.ConnectError(SECRET), "unavailable"),
    (httpx.ConnectTimeout(SECRET), "timeout"),
    (httpx.RemoteProtocolError(SECRET), "unavailable"),
    (httpx.InvalidURL(SECRET), "unavailable"),
    (httpx2.ReadTimeout(SECRET), "timeout"),
    (httpx2.ReadError(SECRET), "unavailable"),
    (foreign("ClientConnectorError", "ClientError"), "unavailable"),
    (foreign("ServerTimeoutError", "ClientError"), "timeout"),
    (LocalModelError(SECRET), "unavailable"),
    (UnreadableAnswerError(SECRET), "unavailable"),
]

CASES = [(error, reason) for status, reason in STATUSES.items() for error in refused(status)] + OTHERS


@pytest.mark.parametrize(
    ("error", "reason"), CASES, ids=[f"{type(e).__module__.split('.')[0]}-{type(e).__name__}-{r}" for e, r in CASES]
)
def test_a_provider_s_error(error: Exception, reason: str) -> None:
    """It has a reason, and a sentence of ours without a word of theirs."""
    told = classify(error)
    assert isinstance(told, ProviderFailed)
    assert told.reason == reason
    assert told.detail.startswith(("The model", "The embedded model"))
    assert told.detail.endswith(".")
    assert not set(SECRET.split()) & set(told.detail.split())


def test_each_kind_has_its_own_sentence() -> None:
    """A caller can tell a missing model from a bad request, and a provider that is down from one that is slow."""
    details = {told.detail for error, _ in CASES if (told := classify(error)) is not None}
    assert len(details) == 9


@pytest.mark.parametrize(
    "error",
    [ValueError(SECRET), ConnectionError(SECRET), TimeoutError(SECRET), KeyError("openai"), KeyboardInterrupt()],
    ids=repr,
)
def test_nobody_s_error(error: BaseException) -> None:
    """What the agent's own code raises is not the provider's."""
    assert classify(error) is None


def test_a_cause() -> None:
    """What was raised because of a provider's error is the provider's, in groups too."""
    error = RuntimeError("the agent gave up")
    error.__cause__ = httpx.ReadTimeout(SECRET)
    group = BaseExceptionGroup("tasks", [ValueError("?"), ExceptionGroup("more", [error])])
    for raised in (error, group):
        told = classify(raised)
        assert told is not None
        assert told.reason == "timeout"


def test_what_was_merely_being_handled() -> None:
    """An error of the agent's own, in the middle of handling a provider's, is its own."""
    error = RuntimeError("the agent's mistake")
    error.__context__ = httpx.ReadTimeout(SECRET)
    assert classify(error) is None
