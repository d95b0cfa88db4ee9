"""What a model call costs, by genai-prices' tables."""

from functools import lru_cache
from typing import Literal, NamedTuple

from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TieredPrices

_PRICED_AS = {
    "openai": "openai",
    "azure.ai.openai": "azure",
    "anthropic": "anthropic",
    "gcp.gemini": "google",
}
"""genai-prices' name of a provider; the others have no public price."""


def price(provider: str, model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
    """US dollars; None where the tables do not have the model, or no tokens were told.

    `provider` is named as `gen_ai.provider.name` has it; the cached tokens are among the input's.
    """
    known_as = _PRICED_AS.get(provider)
    if known_as is None or not (input_tokens or output_tokens):
        return None
    cached = min(cached_tokens, input_tokens)
    rates = _rates(known_as, model)
    if isinstance(rates, Rates):
        return (input_tokens - cached) * rates.input + cached * rates.cached + output_tokens * rates.output
    if rates is None:
        return None
    tokens = Usage(input_tokens=input_tokens, cache_read_tokens=cached, output_tokens=output_tokens)
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
