"""Talk to an agent: `pip install ./clients/python`, then `python chat.py "Why is the sky blue?"`.

WAGGLE_URL, WAGGLE_KEY and AGENT say where and to whom. What the agent asks is answered here; Ctrl-C cancels its run.
"""

import json
import os
import sys

from waggle_client import Waggle, WaggleError


def answer(question):
    """Text, or what the question's schema asks for."""
    print(f"\n{question['prompt']}")
    if question["schema"] is None:
        return input("> ")
    print(json.dumps(question["schema"]))
    return json.loads(input("JSON> "))


def main(task):
    waggle = Waggle(os.environ.get("WAGGLE_URL", "http://localhost:8000"), token=os.environ.get("WAGGLE_KEY"))
    with waggle, waggle.stream(os.environ.get("AGENT", "assistant"), task) as events:
        try:
            for event in events:
                if event["type"] == "text.delta":
                    print(event["delta"], end="", flush=True)
                elif event["type"] == "input.required":
                    waggle.runs.input(event["run_id"], answer(event), input_id=event["input_id"])
                elif event["type"] == "run.failed":
                    sys.exit(f"{event['error']['title']}: {event['error']['detail']}")
        except KeyboardInterrupt:
            if events.run_id:
                waggle.runs.cancel(events.run_id)
        except WaggleError as error:
            sys.exit(str(error))
    print()


main(" ".join(sys.argv[1:]) or "Hello!")
