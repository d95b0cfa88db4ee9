"""What is around a service that is soaked: a provider that fails now and then, and a trace backend that hangs.

`python bench/soak_world.py 5` fails at 5 of 100 calls, and prints both addresses as JSON.
"""

import asyncio
import json
import random
import sys
from dataclasses import replace
from uuid import uuid4

from tests.servers.echo import echo
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.replies import Cut, Garbage, Hang, HttpError, Reply, Request, Text, ToolCalls

FAULTS: tuple[Reply, ...] = (HttpError(500), HttpError(429, retry_after=0.1), Cut(), Hang(), Hang(("Well",)), Garbage())
KEPT = 100
"""Requests that the provider remembers: it must not run out of memory itself."""


def answering(wire: OpenAIWire, percent: float) -> None:
    """Have it echo, some milliseconds a word, or fail."""
    chance = random.Random(5)  # noqa: S311 the same faults every time

    def reply(request: Request) -> Reply:
        del wire.requests[:-KEPT]
        if chance.random() * 100 < percent:
            return chance.choice(FAULTS)
        match echo(request):
            case Text(text):
                return Text(text[-400:], interval_s=0.005)
            case ToolCalls(calls):
                return ToolCalls(tuple(replace(call, id=f"call_{uuid4().hex}") for call in calls))
            case other:
                return other

    wire.replies = reply


async def main() -> None:
    """Until killed."""
    async with OpenAIWire() as wire:
        answering(wire, float(sys.argv[1]))
        with Collector() as backend:
            backend.hang()
            print(json.dumps({"provider": wire.url, "backend": backend.url}), flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
