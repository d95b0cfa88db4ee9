"""docs/tracing.md has every attribute that leaves, and none that does not."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Garbage, HttpError, Text
from tests.servers.trees import Span
from tests.telemetry.bench import AGENTS, CASES, Bench, bench

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")
RUNS = ("structured", "parallel-tools", "failing-tool", "no-such-tool", "swarm", "selector", "memory", "code")
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
ANSWER = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "So it is."}, "finish_reason": "stop"}],
    "usage": USAGE,
}


async def test_the_page_has_every_attribute(openai: OpenAIWire, honeyhive: HoneyHive, tmp_path: Path) -> None:
    """Of runs of each kind, that complete and fail, with all that a request may say, and of what is said of them."""
    settings = {
        "model": "openai:gpt-4o-mini",
        "model_base_url": f"{openai.url}/v1",
        "openai_api_key": "sk-test",
        "hh_api_url": honeyhive.url,
        "hh_api_key": honeyhive.api_key,
    }
    async with bench(openai, tmp_path, AGENTS, **settings) as made:
        told = {name for span in [span async for span in spans(made)] for name in names(span)}
    patterns = [re.compile(re.escape(name).replace(r"\*", ".+")) for name in listed(PAGE)]
    assert {name for name in told if not any(pattern.fullmatch(name) for pattern in patterns)} == set()
    assert {pattern.pattern for pattern in patterns if not any(map(pattern.fullmatch, told))} == set()


async def spans(made: Bench) -> AsyncIterator[Span]:
    for name in RUNS:
        for span in await made.play(CASES[name].agent, CASES[name].replies, "stream", "completed"):
            yield span
    for span in await made.play("single", [HttpError(400)], "run", "failed"):
        yield span
    body = f"data: {json.dumps(ANSWER)}\n\ndata: [DONE]\n\n"
    for span in await made.play("single", [Garbage(body.encode())], "run", "completed"):
        yield span
    for span in await made.talk("single", [Text("Hello."), Text("Hello again.")]):
        yield span


def names(span: Span) -> Iterator[str]:
    """Its attributes', and its events'."""
    yield from span.attributes
    for event in span.events:
        yield from event.attributes


def listed(page: str) -> Iterator[str]:
    """The attributes in the first column of the tables under "Every attribute"."""
    chapter = page.partition("## Every attribute\n")[2].partition("\n## ")[0]
    for line in chapter.splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split("|")[1])
