"""A run through each provider: the same tree, whoever the model's provider is."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from autogen_core.models import UserMessage

from app.agents.observed import ObservedClient
from app.agents.providers.call import Answer
from tests.agents.providers.cases import CASES as PROVIDERS
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Garbage, HttpError, Reply
from tests.servers.trees import Span, tree, walk
from tests.servers.wire import Wire
from tests.telemetry.bench import (
    AGENTS,
    CASES,
    CHAT,
    OPENAI,
    Bench,
    End,
    Names,
    Way,
    answered,
    bench,
    of,
    one_root,
    whole,
)

VARYING = re.compile(r"cost|^waggle\.stream\.|time_to_first|^llm\.input_messages\.")
"""What depends on price and punctuality; and AutoGen's selector asks OpenAI's models by a system message, others by a
user's."""
LLAMA = """
from pathlib import Path
from types import SimpleNamespace

def CommonParams():
    return SimpleNamespace(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())

class Server:
    def __init__(self, params):
        self.listening_address = Path(params.model.path).read_text()
"""

NAMES = {
    "azure": Names("azure.ai.openai", "my-deployment", "my-deployment"),
    "gemini": Names("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash"),
    "anthropic": Names("anthropic", "claude-haiku-4-5", "claude-haiku-4-5"),
    "ollama": Names("ollama", "qwen3:8b", "qwen3:8b", refusal="ResponseError"),
    "local": Names("local", "made-up", "made-up"),
}


FULLY: tuple[tuple[End, Way], ...] = (
    ("completed", "run"),
    ("completed", "stream"),
    ("failed", "stream"),
    ("cancelled", "run"),
)
CELLS: list[tuple[str, End, Way]] = [
    *((name, end, way) for name in ("single", "parallel-tools", "round-robin", "selector") for end, way in FULLY),
    *((name, "left", "stream") for name in ("parallel-tools", "round-robin")),
    *((name, "completed", "stream") for name in ("failing-tool", "agent-as-tool", "team-as-tool", "memory")),
    *((name, "completed", "stream") for name in ("swarm", "graph", "nested")),
]
"""Of the table of kinds and ends, which is whole for OpenAI, those that every provider goes through too."""
Told = list[tuple[str, str, list[str]]]


@dataclass(frozen=True)
class Provided:
    """A bench whose model is of a certain provider."""

    bench: Bench
    names: Names

    async def play(self, name: str, end: End, way: Way) -> list[Span]:
        """A run whose last model call ends so."""
        return await self.bench.play(CASES[name].agent, replies(name, end), way, end)


def replies(name: str, end: End) -> list[Reply]:
    *earlier, last = CASES[name].replies
    return [
        *earlier,
        HttpError(400) if end == "failed" else CASES[name].endless if end in ("cancelled", "left") else last,
    ]


@asynccontextmanager
async def provider(name: str, folder: Path) -> AsyncIterator[Provided]:
    """A service of the agents, whose models are of that provider."""
    agents = folder / "agents"
    agents.mkdir()
    for same in {CASES[name].agent for name, _, _ in CELLS}:
        shutil.copy(AGENTS / f"{same}.py", agents)
    case = PROVIDERS.get(name)
    with pytest.MonkeyPatch.context() as patch:
        async with case.wire() if case else OpenAIWire() as wire:
            settings = {"model": case.model, **case.settings(wire.url)} if case else local(wire, folder, patch)
            async with bench(wire, folder, agents, **settings) as made:
                yield Provided(made, NAMES.get(name, OPENAI))


@pytest.fixture(scope="module")
async def reference(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, End, Way], Told]:
    """What the spans of the same runs tell where the provider is OpenAI."""
    async with provider("openai", tmp_path_factory.mktemp("openai")) as openai:
        return {(name, end, way): told(await openai.play(name, end, way)) for name, end, way in CELLS}


@pytest.fixture(scope="module", params=NAMES)
async def provided(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    reference: Mapping[tuple[str, End, Way], Told],
) -> AsyncIterator[Provided]:
    async with provider(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


def local(wire: Wire, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The embedded model's settings; its process runs, its llama.cpp tells that it listens where the wire does."""
    fake = folder / "fake"
    fake.mkdir()
    (fake / "xllamacpp.py").write_text(LLAMA, encoding="utf-8")
    weights = folder / "made-up.gguf"
    weights.write_text(wire.url)
    patch.syspath_prepend(fake)
    patch.setenv("PYTHONPATH", os.pathsep.join((str(fake), str(Path(__file__).parents[2]))))
    return {"model": "local", "model_path": weights, "model_cache_dir": folder / "cache"}


@pytest.mark.parametrize(("name", "end", "way"), CELLS)
async def test_every_provider_gives_the_same_tree(
    name: str, end: End, way: Way, provided: Provided, reference: Mapping[tuple[str, End, Way], Told]
) -> None:
    """But for names and numbers: the same spans, which tell the same things."""
    case, names = CASES[name], provided.names
    spans = await provided.play(name, end, way)
    last = len(case.replies) - 1
    expected = case.whole(way) if end == "completed" else case.until(last, way)
    assert tree(spans) == expected.replace(CHAT, f"chat {names.model}")
    whole(spans)
    one_root(spans, calls=last + (end == "completed"))
    calls = of(spans, "chat")
    for call in calls if end == "completed" else calls[:-1]:
        answered(call, names)
    assert calls[-1].attributes["gen_ai.provider.name"] == names.provider
    if end == "failed":
        assert calls[-1].attributes["error.type"] == names.refusal
    assert told(spans) == reference[name, end, way]


def told(spans: Sequence[Span]) -> Told:
    """Each span's kind, status, and the names of what it tells, but for what varies."""
    return [
        (span.name.split()[0], span.status, sorted(key for key in span.attributes if not VARYING.search(key)))
        for _, span in walk(spans)
    ]


async def test_what_anthropic_took_from_its_cache() -> None:
    """Its streams tell that, and the model, in their first event."""
    usage = {"input_tokens": 11, "cache_read_input_tokens": 8, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": usage}
    text = {"type": "text", "text": "Hi."}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi."}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    streamed = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    at_once = json.dumps(message | {"content": [text], "stop_reason": "end_turn"})
    case = PROVIDERS["anthropic"]
    async with case.wire([Garbage(streamed.encode()), Garbage(at_once.encode())]) as wire:
        models = case.models(wire.url)
        client = ObservedClient(models.client(), "anthropic", "claude-haiku-4-5", spans=False)
        asked = [UserMessage(content="Hello", source="user")]
        *_, last = [piece async for piece in client.create_stream(asked)]
        for answer in (last, await client.create(asked)):
            assert isinstance(answer, Answer)
            assert (answer.content, answer.model, answer.cached_tokens) == ("Hi.", "claude", 8)
        await models.aclose()
