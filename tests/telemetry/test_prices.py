"""What a model call costs."""

import pytest
from autogen_core.models import RequestUsage
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from app.agents.ledger import price
from app.telemetry.prices import _PRICED_AS, Rates, _rates

MODELS = [
    (provider, known_as, model.id)
    for provider, known_as in _PRICED_AS.items()
    for listed in get_snapshot().providers
    if listed.id == known_as
    for model in listed.models
]


@pytest.mark.parametrize("tokens", [(1000, 0, 10), (1000, 800, 10), (300_000, 100, 5000)])
def test_every_listed_model_costs_what_the_tables_say(tokens: tuple[int, int, int]) -> None:
    """Most have one rate for each kind of token, which is kept; the others are asked for each time."""
    asked, cached, answered = tokens
    flat = 0
    for provider, known_as, model in MODELS:
        apart = cached if provider == "anthropic" else 0
        usage = RequestUsage(prompt_tokens=asked - apart, completion_tokens=answered)
        counted = Usage(input_tokens=asked, cache_read_tokens=cached, output_tokens=answered)
        try:
            expected = float(calc_price(counted, model_ref=model, provider_id=known_as).total_price)
        except LookupError:  # listed as a family's, and called otherwise
            expected = None
        assert price(provider, model, usage, cached) == pytest.approx(expected), model
        flat += isinstance(_rates(known_as, model), Rates)
    assert len(MODELS) > flat > len(MODELS) / 2


def test_what_is_not_known_has_no_price() -> None:
    """Neither a model that nobody lists, nor a provider without prices, nor a call without tokens."""
    usage = RequestUsage(prompt_tokens=11, completion_tokens=7)
    assert price("openai", "gpt-that-is-not", usage) is None
    assert price("ollama", "qwen3:8b", usage) is None
    assert price("openai", "gpt-4o-mini", RequestUsage(prompt_tokens=0, completion_tokens=0)) is None


def test_what_came_from_the_cache_is_cheaper() -> None:
    """OpenAI counts it among the prompt's tokens, Anthropic beside them."""
    usage = RequestUsage(prompt_tokens=1000, completion_tokens=0)
    assert price("openai", "gpt-4o-mini", usage, 800) == pytest.approx((200 * 0.15 + 800 * 0.075) / 1e6)
    assert price("anthropic", "claude-haiku-4-5", usage, 800) == pytest.approx((1000 * 1 + 800 * 0.1) / 1e6)
