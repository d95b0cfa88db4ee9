"""Greets people. The smallest agent there is: copy this file into AGENTS_DIR."""

from autogen_agentchat.agents import AssistantAgent


def build(context):
    return AssistantAgent(
        "greeter",
        model_client=context.model(),
        model_client_stream=True,
        system_message="You greet people, kindly and in one sentence.",
    )
