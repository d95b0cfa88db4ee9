"""What a run's model calls came to.

A team reports neither its selector's tokens nor its failures' types. So both are written down where every call
passes, on a sheet that travels with the run's context.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from autogen_core.models import RequestUsage
from genai_prices import Usage as Tokens
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from app.errors import ProviderFailed
from app.events import Usage

_PRICED_AS = {
    "openai": "openai",
    "azure.ai.openai": "azure",
    "anthropic": "anthropic",
    "gcp.gemini": "google",
}
"""genai-prices' name of a provider; the others have no public price."""


@dataclass(slots=True)
class Ledger:
    """One run's sheet."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """None once a call's price is unknown."""
    calls: int = 0
    termination: str | None = None
    """The termination condition that ended the team, or its manager where a number of turns did."""
    failure: ProviderFailed | None = None
    """The last failure of a provider, for a team's RuntimeError that tells no more than a text."""

    def add(self, usage: RequestUsage, cost_usd: float | None) -> None:
        self.calls += 1
        self.input_tokens += usage.prompt_tokens
        self.output_tokens += usage.completion_tokens
        self.cost_usd = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd

    def usage(self) -> Usage:
        return Usage(self.input_tokens, self.output_tokens, self.cost_usd if self.calls else None)


LEDGER: ContextVar[Ledger | None] = ContextVar("waggle_ledger", default=None)


def price(provider: str, model: str, usage: RequestUsage, cached_tokens: int | None = None) -> float | None:
    """US dollars, from genai-prices' tables; None where they do not have the model, or no tokens were told."""
    known_as = _PRICED_AS.get(provider)
    if known_as is None or not (usage.prompt_tokens or usage.completion_tokens):
        return None
    cached = cached_tokens or 0
    asked = usage.prompt_tokens + (cached if provider == "anthropic" else 0)  # which counts them apart
    cached = min(cached, asked)
    rates = _rates(known_as, model)
    if isinstance(rates, Rates):
        return (asked - cached) * rates.input + cached * rates.cached + usage.completion_tokens * rates.output
    if rates is None:
        return None
    tokens = Tokens(input_tokens=asked, cache_read_tokens=cached, output_tokens=usage.completion_tokens)
    return float(calc_price(tokens, model_ref=model, provider_id=known_as).total_price)


class Rates(NamedTuple):
    """Dollars a token."""

    input: float
    cached: float
    output: float


@lru_cache(maxsize=256)
def _rates(known_as: str, model: str) -> Rates | Literal["it depends"] | None:
    """A model's, looked up once: genai-prices takes 80 µs a call, more for a model that it does not know.

    None where it does not; "it depends" where a rate is another one at times, or from a number of tokens on.
    """
    try:
        _, found = get_snapshot().find_provider_model(model, None, known_as, None)
    except LookupError:
        return None
    prices = found.prices
    if not isinstance(prices, ModelPrice):
        return "it depends"
    rates: list[float | None] = []
    for rate in (prices.input_mtok, prices.cache_read_mtok, prices.output_mtok):
        if isinstance(rate, TieredPrices):
            return "it depends"
        rates.append(None if rate is None else float(rate) / 1e6)
    by_input, by_cached, by_output = rates
    whole = by_input or 0.0
    return Rates(whole, whole if by_cached is None else by_cached, by_output or 0.0)
