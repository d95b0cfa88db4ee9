"""What credentials stand for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from app.caller import Caller
from app.errors import Forbidden

Action = Literal["read", "run"]

SCOPE = re.compile(r"agents:(\*|[A-Za-z0-9_-]{1,64}):(read|run)|metrics:read")
"""`agents:{name or *}:read` sees an agent and its runs and sessions, `…:run` may also make and change them."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A tenant, perhaps one end user of it, perhaps with fewer rights than all."""

    tenant: str = "default"
    user: str | None = None
    """The only end user it acts for; None: whichever it says."""
    scopes: frozenset[str] | None = None
    """What it may; None: everything that is the caller's own."""

    def caller(self, user: str | None) -> Caller:
        """Who a request that names this user is from; raises Forbidden for another one than the credentials'."""
        if self.user is not None and user not in (None, self.user):
            raise Forbidden("The credentials stand for another user than user_id names: leave it out.")
        return Caller(tenant=self.tenant, user=self.user or user)

    def may(self, action: Action, agent: str) -> bool:
        if self.scopes is None:
            return True
        actions = ("read", "run") if action == "read" else ("run",)
        return any(f"agents:{name}:{allowed}" in self.scopes for name in (agent, "*") for allowed in actions)

    def must(self, action: Action, agent: str) -> None:
        """Raises Forbidden where it may not."""
        if not self.may(action, agent):
            raise Forbidden(f"The credentials lack the scope 'agents:{agent}:{action}'.")

    def must_read_metrics(self) -> None:
        """Raises Forbidden where it may not."""
        if self.scopes is not None and "metrics:read" not in self.scopes:
            raise Forbidden("The credentials lack the scope 'metrics:read'.")


ANYBODY = Principal()
"""Where no credentials are asked for."""


def scopes_in(words: Iterable[str]) -> frozenset[str]:
    """Those of ours among them."""
    return frozenset(word for word in words if SCOPE.fullmatch(word))
