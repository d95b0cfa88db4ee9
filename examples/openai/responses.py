"""A conversation that the service keeps, with OpenAI's responses: `pip install openai`, then `python responses.py`.

WAGGLE_URL, WAGGLE_KEY and AGENT say where and to whom.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("WAGGLE_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ.get("WAGGLE_KEY", "none"),
)
agent = os.environ.get("AGENT", "assistant")
first = client.responses.create(model=agent, input="My name is Zoe. Remember it.")
print(first.output_text)
with client.responses.stream(model=agent, input="What is my name?", previous_response_id=first.id) as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
print()
