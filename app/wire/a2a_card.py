"""Agents, as the cards that A2A's clients look up."""

from typing import Any

from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types import AgentCapabilities, AgentInterface, AgentSkill, HTTPAuthSecurityScheme, SecurityScheme, StringList
from a2a.types import AgentCard as Card

from app.agents.card import AgentCard

TEXT, JSON = "text/plain", "application/json"
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
VERSIONS = ("1.0", "0.3")


def card_of(agent: AgentCard, url: str, version: str, *, asks_for_credentials: bool) -> dict[str, Any]:
    """The card in both forms at once: what 0.3 calls otherwise stands beside it. `url` is where it is called."""
    description = agent.description or agent.name
    card = Card(
        name=agent.name,
        description=description,
        version=version,
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=each) for each in VERSIONS
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False),
        default_input_modes=[TEXT, JSON, *IMAGES],
        default_output_modes=[TEXT, JSON, *IMAGES],
        skills=[
            AgentSkill(
                id=agent.name,
                name=agent.name,
                description=description,
                tags=[agent.kind or "agent", *(member.name for member in agent.participants)],
            )
        ],
    )
    if asks_for_credentials:
        scheme = SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="Bearer"))
        card.security_schemes["bearer"].CopyFrom(scheme)
        card.security_requirements.add().schemes["bearer"].CopyFrom(StringList())
    return agent_card_to_dict(card)
