"""Talk to an agent with OpenAI's own client: `pip install openai`, then `python chat.py "Why is the sky blue?"`.

WAGGLE_URL, WAGGLE_KEY and AGENT say where and to whom.
"""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("WAGGLE_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ.get("WAGGLE_KEY", "none"),
)
messages = [{"role": "user", "content": " ".join(sys.argv[1:]) or "Hello!"}]
stream = client.chat.completions.create(
    model=os.environ.get("AGENT", "assistant"),
    messages=messages,
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    elif chunk.usage:
        print(f"\n{chunk.usage.total_tokens} tokens")
