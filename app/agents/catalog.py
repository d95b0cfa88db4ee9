"""The agents that are served: one working example of each pattern. Change them, delete them, add yours.

Agents in files of their own go into AGENTS_DIR (see docs/agents.md); nothing here has to change for them.
`context.model()` is the model that MODEL chooses; `context.model("openai:gpt-4o-mini")` is another.
"""

from typing import Literal

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm
from pydantic import BaseModel, Field

from app.agents.climate import weather
from app.agents.spec import AgentContext, AgentSpec


def assistant(context: AgentContext) -> AssistantAgent:
    """A helpful assistant."""
    return AssistantAgent(
        "assistant",
        model_client=context.model(),
        model_client_stream=True,
        system_message="You are a helpful assistant served by Waggle. Answer in a few plain sentences.",
    )


def weather_agent(context: AgentContext) -> AssistantAgent:
    """Knows the usual weather of the world's big cities, through a tool."""
    return AssistantAgent(
        "weather",
        model_client=context.model(),
        model_client_stream=True,
        tools=[weather],
        reflect_on_tool_use=True,
        system_message="You answer questions about the weather with the weather tool. Name the city and the numbers.",
    )


def research(context: AgentContext) -> RoundRobinGroupChat:
    """A researcher collects facts, a writer makes a paragraph of them."""
    model = context.model()
    researcher = AssistantAgent(
        "researcher",
        model_client=model,
        model_client_stream=True,
        description="Collects the facts.",
        system_message="You are a researcher. List three short facts that answer the question. No introduction.",
    )
    writer = AssistantAgent(
        "writer",
        model_client=model,
        model_client_stream=True,
        description="Writes the answer.",
        system_message="You are a writer. Make one short paragraph of the researcher's facts.",
    )
    return RoundRobinGroupChat([researcher, writer], max_turns=2)  # without an end it would go on for ever


def support(context: AgentContext) -> Swarm:
    """A help desk: a receptionist hands the customer over to billing or to the technician."""
    model = context.model()
    reception = AssistantAgent(
        "reception",
        model_client=model,
        model_client_stream=True,
        description="Receives the customer.",
        handoffs=["billing", "technician"],
        system_message="You are a receptionist. Hand questions of money, invoices and refunds to billing, "
        "and questions of faults and how things work to technician. Do not answer them yourself.",
    )
    billing = AssistantAgent(
        "billing",
        model_client=model,
        model_client_stream=True,
        description="Answers questions of money.",
        system_message="You are the billing desk. Answer the customer in two sentences.",
    )
    technician = AssistantAgent(
        "technician",
        model_client=model,
        model_client_stream=True,
        description="Answers questions of faults.",
        system_message="You are a technician. Answer the customer in two sentences.",
    )
    answered = (
        TextMessageTermination("reception")
        | TextMessageTermination("billing")
        | TextMessageTermination("technician")
        | MaxMessageTermination(10)
    )
    return Swarm([reception, billing, technician], termination_condition=answered)


class Ticket(BaseModel):
    """A customer's message, sorted."""

    category: Literal["billing", "fault", "question", "other"]
    urgent: bool = Field(description="The customer cannot wait until tomorrow.")
    summary: str = Field(description="The message in one sentence.")


def ticket(context: AgentContext) -> AssistantAgent:
    """Sorts a customer's message: its answer is an object in a fixed schema."""
    return AssistantAgent(
        "ticket",
        model_client=context.model(),
        model_client_stream=True,
        output_content_type=Ticket,
        system_message="Sort the customer's message. Answer with a JSON object of category (billing, fault, "
        "question or other), urgent (true or false) and summary (one sentence).",
    )


CATALOG = (
    AgentSpec("assistant", assistant),
    AgentSpec("weather", weather_agent),
    AgentSpec("research", research),
    AgentSpec("support", support),
    AgentSpec("ticket", ticket),
)
