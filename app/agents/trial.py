"""One tiny call of the model, and a look at every agent, with what is wrong in a word. For `waggle doctor`."""

import sys
import time
from collections.abc import Iterator
from ctypes import CDLL
from dataclasses import dataclass, replace
from typing import Literal

from autogen_core.models import UserMessage

from app.agents.card import AgentCard
from app.agents.models import Models
from app.agents.provider_errors import NO_MODEL, classify
from app.agents.providers import PROVIDERS, endpoint
from app.agents.registry import Registry
from app.errors import ModelUnavailable
from app.settings import Settings

Fault = Literal["none", "key refused", "model unknown", "unreachable", "limited", "rejected", "failing", "silent"]

_FAULTS: dict[str, Fault] = {
    "authentication": "key refused",
    "rate_limit": "limited",
    "bad_request": "rejected",
    "unavailable": "failing",
    "timeout": "silent",
}
_NOT_CONNECTED = {"APIConnectionError", "ConnectError", "ConnectionError", "ConnectTimeout"}
"""The SDKs' classes for a call that found nobody."""


@dataclass(frozen=True, slots=True)
class ModelTrial:
    """How the call went; `fault` is None where it was answered."""

    model: str
    provider: str
    url: str
    """Where the provider is reached; empty for the embedded model and for scripts."""
    fault: Fault | None = None
    detail: str = ""
    took_s: float = 0
    key_setting: str = ""
    """The variable of the provider's key, where it has one."""
    has_base_url: bool = False
    """MODEL_BASE_URL says where it is."""


async def try_model(settings: Settings) -> ModelTrial:
    """Ask the default model for a word; what it fails with is in the answer, unless it is no provider's failure."""
    models = Models(settings)
    if models.default is None:
        return ModelTrial("", "", "", "none", models.problem() or "")
    trial = _described(str(models.default), models.default.provider, settings)
    if lack := models.problem():
        return _failed(trial, "none", lack)
    began = time.monotonic()
    try:
        client = models.client()
        await client.create([UserMessage(content="Answer with the one word OK.", source="user")])
    except ModelUnavailable as unavailable:
        return _failed(trial, "none", unavailable.detail)
    except Exception as error:
        failure = classify(error)
        if any(type(each).__name__ in _NOT_CONNECTED for each in _causes(error)):
            return _failed(trial, "unreachable", "nothing answers there")
        if failure is None:
            raise
        unknown = failure.detail == NO_MODEL[1]
        return _failed(trial, "model unknown" if unknown else _FAULTS[failure.reason], failure.detail)
    finally:
        await models.aclose()
    return replace(trial, took_s=time.monotonic() - began)


def _described(model: str, provider: str, settings: Settings) -> ModelTrial:
    key = PROVIDERS[provider].key_setting
    return ModelTrial(
        model=model,
        provider=provider,
        url=endpoint(provider, settings).url,
        key_setting=key.upper() if key else "",
        has_base_url=bool(settings.model and settings.model_base_url),
    )


def _failed(trial: ModelTrial, fault: Fault, detail: str) -> ModelTrial:
    return replace(trial, fault=fault, detail=detail)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


async def try_agents(settings: Settings) -> list[AgentCard]:
    """Every agent that would be served, the invalid ones with their reasons."""
    registry = Registry(settings)
    try:
        await registry.start()
        return [registry.cards[name] for name in sorted(registry.cards)]
    finally:
        await registry.close()


def embedded_model_problem(settings: Settings) -> str | None:
    """Why the embedded model cannot run, empty where it can; None where another model is the default."""
    models = Models(settings)
    chosen = models.default.provider if models.default else (settings.model or "local").partition(":")[0]
    if chosen != "local":
        return None
    return models.problem() or _lacks_openmp()


def _lacks_openmp() -> str:
    """Slim images have no libgomp, and the runtime then ends with the loader's words alone."""
    if sys.platform != "linux":
        return ""
    try:
        CDLL("libgomp.so.1")
    except OSError:
        return "The system's library libgomp.so.1 is missing: install it, on Debian `apt-get install libgomp1`."
    return ""
