"""What a run's model calls came to.

A team reports neither its selector's tokens nor its failures' types. So both are written down where every call
passes, on a sheet that travels with the run's context.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from autogen_core.models import RequestUsage

from app.errors import ProviderFailed
from app.events import Usage
from app.telemetry import prices


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
    """US dollars; None where the price is not known, or no tokens were told."""
    cached = cached_tokens or 0
    asked = usage.prompt_tokens + (cached if provider == "anthropic" else 0)  # which counts them apart
    return prices.price(provider, model, asked, usage.completion_tokens, cached)
