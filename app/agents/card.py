"""What an agent is, for those who call it: read off an instance that was built to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autogen_agentchat.base import ChatAgent, Team
from autogen_core.tools import Workbench

from app.agents.adoption import clients_of, participants_of, parts_of
from app.agents.approval import is_needed
from app.agents.spec import AgentSpec


@dataclass(frozen=True, slots=True)
class ToolCard:
    """A tool that the agent may call."""

    name: str
    """As the model calls it."""
    description: str
    """As the model is told."""
    parameters: dict[str, Any]
    """The JSON schema of its arguments."""
    needs_approval: bool = False
    """A person is asked before it runs."""


@dataclass(frozen=True, slots=True)
class ParticipantCard:
    """A member of a team."""

    name: str
    """The `source` of what it says."""
    description: str
    """What it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCard:
    """An agent as `GET /agents` shows it."""

    name: str
    """What it is called by."""
    description: str = ""
    """What it is for."""
    status: Literal["ready", "invalid"] = "ready"
    """Whether it is served."""
    reason: str | None = None
    """Why an invalid one is not served."""
    kind: Literal["agent", "team"] | None = None
    """Null where the agent could not be built."""
    model: str | None = None
    """`provider:name`; the first one of a team that has several."""
    tools: Sequence[ToolCard] = ()
    """What it may call; of a team, what its members may."""
    participants: Sequence[ParticipantCard] = ()
    """A team's members, in order."""
    output_schema: dict[str, Any] | None = None
    """The JSON schema of structured output."""


async def card_of(spec: AgentSpec, agent: ChatAgent | Team) -> AgentCard:
    """The tools of a team are those of its members."""
    clients = clients_of(agent)
    schema = getattr(agent, "_output_content_type", None)
    tools: dict[str, ToolCard] = {}
    for workbench in parts_of(agent):
        if isinstance(workbench, Workbench):
            for tool in await workbench.list_tools():
                name, parameters = tool["name"], dict(tool.get("parameters") or {})
                tools[name] = ToolCard(name, tool.get("description", ""), parameters, is_needed(workbench, name))
    return AgentCard(
        name=spec.name,
        description=spec.description or (spec.build.__doc__ or "").strip().partition("\n\n")[0],
        kind="team" if isinstance(agent, Team) else "agent",
        model=clients[0].ref if clients else None,
        tools=list(tools.values()),
        participants=[ParticipantCard(m.name, m.description) for m in participants_of(agent)],
        output_schema=schema.model_json_schema() if schema else None,
    )
