"""/a2a: agents for other agents, over A2A's JSON-RPC; and the cards that describe them."""

import asyncio
from importlib import import_module
from typing import Any

from fastapi import APIRouter, Request, Response

from app.agents.card import AgentCard
from app.api.beginning import AskedDep
from app.api.dependencies import JsonOnly, Parts, PartsDep, PrincipalDep
from app.api.problems import problems
from app.errors import NotFound

router = APIRouter(tags=["a2a"])
CARD = "/.well-known/agent-card.json"
DEFAULT = "assistant"
"""Whose card is the service's, where it is served; else it is the first by name."""

ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The response; of methods that stream as server-sent events.",
        "content": {"application/json": {}, "text/event-stream": {}},
    }
}


@router.get(CARD, responses=problems(401, 404))
async def get_default_card(request: Request, parts: PartsDep, principal: PrincipalDep) -> dict[str, Any]:
    """The card of the service's default agent: `assistant`, or the first by name that the caller may see."""
    cards = parts.registry.cards
    seen = sorted(name for name, card in cards.items() if card.status == "ready" and principal.may("read", name))
    if not seen:
        raise NotFound("There is no agent here that could be shown.")
    return await _card(request, parts, cards[DEFAULT if DEFAULT in seen else seen[0]])


@router.get("/a2a/{name}" + CARD, responses=problems(401, 403, 404))
async def get_card(name: str, request: Request, parts: PartsDep) -> dict[str, Any]:
    """An agent's card."""
    return await _card(request, parts, parts.registry.card(name))


@router.post(
    "/a2a/{name}",
    responses=problems(400, 401, 403, 413, 415) | ANSWERED,
    dependencies=[JsonOnly],
    name="call_agent_over_a2a",
)
async def post_a2a(name: str, asked: AskedDep) -> Response:
    """A message for the agent, or what is asked of a task of it, as JSON-RPC: in the words of A2A 1.0 or 0.3."""
    calls = await asyncio.to_thread(import_module, "app.api.a2a_calls")  # 0.2 s, the first time
    answer: Response = await calls.answered(asked, name, await asked.request.body())
    return answer


async def _card(request: Request, parts: Parts, card: AgentCard) -> dict[str, Any]:
    wire = await asyncio.to_thread(import_module, "app.wire.a2a_card")
    url = str(request.url_for("call_agent_over_a2a", name=card.name))
    asks = parts.settings.asks_for_credentials
    found: dict[str, Any] = wire.card_of(card, url, request.app.version, asks_for_credentials=asks)
    return found
