"""For recipes: asking a person. `docs/agents.md` says what becomes of a run that does.

from app.agents.person import ask, needs_approval, person
"""

import builtins
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.agents._user_proxy_agent import cancellable_input
from autogen_core import CancellationToken

from app.agents.approval import needs_approval
from app.agents.desk import put
from app.agents.journal import FLIGHT

__all__ = ["ask", "needs_approval", "person"]


async def ask(prompt: str, schema: dict[str, Any] | None = None, expires_in_s: float | None = None) -> Any:
    """Ask a person, in an async tool or an agent of your own: the answer, text or what the JSON schema says.

    Raises RuntimeError outside of a run. What the tool did before it asked is done again when the answer has come.
    """
    flight = FLIGHT.get()
    return await put(prompt, flight.name if flight else None, schema, expires_in_s)


def person(
    *, schema: dict[str, Any] | None = None, expires_in_s: float | None = None
) -> Callable[[str, CancellationToken | None], Awaitable[str]]:
    """The `input_func` of a UserProxyAgent whose answers have a JSON schema, or that has to be answered in time."""
    return partial(_answer, None, schema, expires_in_s)


async def _answer(
    source: str | None,
    schema: dict[str, Any] | None,
    expires_in_s: float | None,
    prompt: str,
    cancellation_token: CancellationToken | None = None,  # noqa: ARG001 AutoGen's interface
) -> str:
    answer = await put(prompt.strip(), source, schema, expires_in_s)
    return answer if isinstance(answer, str) and schema is None else orjson.dumps(answer).decode()


def seat(proxy: UserProxyAgent) -> None:
    """Have it ask the run's person, where it would read from a terminal; an `input_func` of the user's own stays."""
    function: Any = proxy.input_func
    match function:
        case partial(func=f, args=(_, schema, expires_in_s)) if f is _answer:
            proxy.input_func = partial(_answer, proxy.name, schema, expires_in_s)
        case _ if function in (cancellable_input, builtins.input):
            proxy.input_func = partial(_answer, proxy.name, None, None)
        case _:
            return
    proxy._is_async = True  # noqa: SLF001 AutoGen is pinned
