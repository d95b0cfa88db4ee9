"""Books journeys: a tool asks by a schema, and a person has the last word."""

from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.teams import RoundRobinGroupChat

from app.agents.person import ask
from app.agents.spec import AgentContext

SCHEMA = {
    "type": "object",
    "properties": {
        "date": {"type": "string", "title": "When", "description": "The day that you leave"},
        "travellers": {"type": "integer", "title": "Travellers", "minimum": 1, "maximum": 9, "default": 1},
        "by": {"enum": ["train", "bicycle"], "title": "By"},
        "return": {"type": "boolean", "title": "There and back"},
    },
    "required": ["date", "travellers", "by"],
}


async def book(city: str) -> str:
    """Book a journey."""
    return f"Booked to {city}: {await ask(f'How do you want to go to {city}?', schema=SCHEMA)}"


def build(context: AgentContext) -> RoundRobinGroupChat:
    """Books journeys, and asks the traveller."""
    agent = AssistantAgent(
        "agent",
        model_client=context.model(),
        model_client_stream=True,
        tools=[book],
        system_message="You book journeys.",
    )
    return RoundRobinGroupChat([agent, UserProxyAgent("traveller")], max_turns=2)
