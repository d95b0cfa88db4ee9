"""Ask an agent over A2A, with its SDK's own client: `pip install a2a-sdk`, then `python a2a_client.py [URL]`."""

import asyncio
import sys
from uuid import uuid4

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import Message, Part, Role, SendMessageRequest


async def main(url: str) -> None:
    async with httpx.AsyncClient(timeout=300) as http:  # headers={"Authorization": "Bearer YOUR_KEY"}
        card = await A2ACardResolver(http, url).get_agent_card()
        print(f"{card.name}: {card.description}")
        client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        context = None
        for text in ("My name is Ann.", "What is my name?"):
            message = Message(message_id=str(uuid4()), role=Role.ROLE_USER, parts=[Part(text=text)], context_id=context)
            async for event in client.send_message(SendMessageRequest(message=message)):
                if event.HasField("task"):
                    context = event.task.context_id
                for part in event.artifact_update.artifact.parts:
                    print(part.text, end="", flush=True)
            print()


asyncio.run(main(*sys.argv[1:] or ["http://127.0.0.1:8000/a2a/assistant"]))
