"""Which model an agent gets, and what it is told when it can get none."""

import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from anthropic import AnthropicError
from autogen_core.models import ChatCompletionClient, UserMessage
from openai import OpenAIError

from app.agents.models import ModelRef, Models
from app.agents.providers.replay import ReplayClient
from app.errors import ModelUnavailable
from tests.agents.providers.cases import Case, Given, each_provider
from tests.servers.openai_wire import OpenAIWire

NOWHERE = Path("nowhere.gguf")
"""For MODEL_PATH: the embedded model is not to be had."""


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GGUF file, and a runtime, as far as anybody looks before starting it."""
    (tmp_path / "xllamacpp.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    weights = tmp_path / "tiny.gguf"
    weights.touch()
    return weights


@pytest.mark.parametrize("text", ["openai:gpt-4o-mini", "ollama:qwen3:8b", "replay:/a/b.json", "local", "local:x"])
def test_a_reference_is_written_as_it_is_read(text: str) -> None:
    """A name may have colons of its own."""
    assert str(ModelRef.parse(text)) == text
    assert str(ModelRef.parse(f" {text}\n")) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpt-4o-mini", "write provider:name, with provider one of local, openai, azure, anthropic, ollama, gemini"),
        ("", "'' names no provider"),
        ("OpenAI:gpt-4o", "'OpenAI:gpt-4o' names no provider"),
        ("openai", "write openai:name, as in openai:gpt-4o-mini"),
        ("ollama:", "write ollama:name"),
    ],
)
def test_what_is_no_reference(text: str, says: str) -> None:
    """The sentence says how to write one, wherever it stands."""
    with pytest.raises(ValueError, match=says):
        ModelRef.parse(text)
    if text:
        models = Models(Given(model=text))
        assert models.default is None
        assert says in str(models.problem())
        assert str(models.problem()).startswith("MODEL is not understood: ")
    assert says in str(Models(Given(model="local", model_path=NOWHERE)).problem(text))


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ({"model": "ollama:qwen3", "openai_api_key": "k"}, "ollama:qwen3"),
        ({"model": "openai:o9"}, "openai:o9"),
        ({"openai_api_key": "k", "anthropic_api_key": "k"}, "openai:gpt-4o-mini"),
        ({"anthropic_api_key": "k", "gemini_api_key": "k"}, "anthropic:claude-haiku-4-5"),
        ({"gemini_api_key": "k"}, "gemini:gemini-2.5-flash"),
        ({"ollama_host": "http://127.0.0.1:1", "model_api_key": "k"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_default(settings: dict[str, Any], chosen: str | None) -> None:
    """MODEL; else the first provider with a key; else nothing, where the embedded model is not installed."""
    models = Models(Given(model_path=NOWHERE, **settings))
    assert models.default == (ModelRef.parse(chosen) if chosen else None)


def test_the_embedded_model_is_the_last_choice(embedded: Path) -> None:
    """It is taken when no key is set, and has its weights' name."""
    assert Models(Given(model_path=embedded)).default == ModelRef("local", "tiny")
    assert Models(Given(model_path=embedded, model="local")).default == ModelRef("local", "tiny")
    assert str(Models(Given(model_path=embedded, openai_api_key="k")).default) == "openai:gpt-4o-mini"
    assert Models(Given(model_path=embedded)).problem() is None


def test_nothing_to_call() -> None:
    """The embedded model says what can be done."""
    models = Models(Given(model_path=NOWHERE))
    assert models.problem() == "MODEL_PATH is not a file: point it at a GGUF file, or leave it empty."
    with pytest.raises(ModelUnavailable, match="MODEL_PATH is not a file"):
        models.client()


def test_azure_s_key_alone() -> None:
    """Which deployment it is for cannot be guessed, and nobody else is asked instead."""
    models = Models(Given(azure_openai_api_key="k", anthropic_api_key="k"))
    assert models.default is None
    assert models.problem() == "Which model of azure to call is not said: set MODEL=azure:name."


@pytest.mark.parametrize(
    ("settings", "ref", "sentence"),
    [
        (
            {"model": "openai:gpt-4o-mini"},
            None,
            "MODEL=openai:gpt-4o-mini needs OPENAI_API_KEY: set it, or choose another MODEL.",
        ),
        (
            {"model": "anthropic:c"},
            None,
            "MODEL=anthropic:c needs ANTHROPIC_API_KEY: set it, or choose another MODEL.",
        ),
        ({"model": "gemini:g"}, None, "MODEL=gemini:g needs GEMINI_API_KEY: set it, or choose another MODEL."),
        (
            {"model": "azure:d"},
            None,
            "MODEL=azure:d needs AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY: set them, or choose another MODEL.",
        ),
        (
            {"model": "azure:d", "azure_openai_api_key": "k"},
            None,
            "MODEL=azure:d needs AZURE_OPENAI_ENDPOINT: set it, or choose another MODEL.",
        ),
        (
            {"openai_api_key": "k"},
            "anthropic:c",
            "The model anthropic:c needs ANTHROPIC_API_KEY: set it, or choose another model.",
        ),
        ({"model": "local", "model_path": NOWHERE}, None, "MODEL_PATH is not a file"),
        (
            {"model": "local:other", "model_path": NOWHERE},
            None,
            "The embedded model is 'nowhere', not 'other': write `local` alone.",
        ),
    ],
    ids=str,
)
def test_what_is_missing(settings: dict[str, Any], ref: str | None, sentence: str) -> None:
    """The sentence names the variable, and `client` raises what `problem` says."""
    models = Models(Given(**settings))
    problem = models.problem(ref)
    assert problem is not None
    assert problem.startswith(sentence)
    with pytest.raises(ModelUnavailable) as raised:
        models.client(ref)
    assert raised.value.detail == problem


@each_provider
async def test_nothing_is_missing(case: Case) -> None:
    """With what each provider needs there is no problem, and asking builds nothing."""
    models = case.models("http://127.0.0.1:9")
    assert models.problem() is None
    assert models._clients == {}


async def test_the_address_and_the_key_of_model_are_its_provider_s() -> None:
    """MODEL_BASE_URL and MODEL_API_KEY reach other models of that provider, and nobody else."""
    async with OpenAIWire() as wire:
        models = Models(
            Given(
                model="openai:a",
                model_base_url=f"{wire.url}/v1",
                model_api_key="sk-model",
                azure_openai_endpoint=wire.url,
                azure_openai_api_key="sk-azure",
            )
        )
        for ref in (None, "openai:b", "azure:c"):
            await models.client(ref).create([UserMessage(content="Hello?", source="user")])
        assert models.problem("anthropic:c") is not None
        await models.aclose()
    seen = [(r.asked.model, r.headers.get("authorization"), r.headers.get("api-key")) for r in wire.requests]
    assert seen == [("a", "Bearer sk-model", None), ("b", "Bearer sk-model", None), ("c", None, "sk-azure")]


async def test_one_client_for_each_model() -> None:
    """Built once, wrapped once."""
    wrapped: list[str] = []

    def wrap(client: ChatCompletionClient, ref: ModelRef) -> ChatCompletionClient:
        wrapped.append(str(ref))
        return client

    models = Models(Given(model="openai:a", openai_api_key="k"), wrap)
    assert models.client() is models.client() is models.client("openai:a")
    assert models.client("openai:b") is not models.client()
    assert wrapped == ["openai:a", "openai:b"]
    await models.aclose()


@each_provider
async def test_closing(case: Case) -> None:
    """Every client is closed for good; who asks nevertheless gets another one."""
    question = [UserMessage(content="Hello?", source="user")]
    async with case.wire() as wire:
        models = case.models(wire.url)
        client = models.client()
        await client.create(question)
        await models.aclose()
        with pytest.raises((OpenAIError, AnthropicError, RuntimeError), match=r"closed|Connection error"):
            await client.create(question)
        assert len(wire.requests) == 1
        await models.client().create(question)
        await models.aclose()
    assert len(wire.requests) == 2


class Stuck(ReplayClient):
    """A client whose connections do not close."""

    def __init__(self) -> None:
        super().__init__([])
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1
        await anyio.sleep_forever()


async def test_closing_what_does_not_close() -> None:
    """It is given up after a second, whoever else does not close either."""
    stuck = [Stuck(), Stuck()]
    models = Models(Given(openai_api_key="k"), lambda _, ref: stuck[ref.name == "b"])
    models.client("openai:a")
    models.client("openai:b")
    began = time.monotonic()
    await models.aclose()
    assert time.monotonic() - began < 1.9  # both within their second
    assert [client.closed for client in stuck] == [1, 1]


class Failing(ReplayClient):
    """A client that fails to close."""

    def __init__(self) -> None:
        super().__init__([])

    async def close(self) -> None:
        raise RuntimeError("no")


async def test_a_client_that_fails_to_close() -> None:
    """The others are closed nevertheless, and somebody hears of it."""
    closed = anyio.Event()

    class Slow(ReplayClient):
        async def close(self) -> None:
            await anyio.wait_all_tasks_blocked()
            closed.set()

    clients = {"a": Failing(), "b": Slow([])}
    models = Models(Given(openai_api_key="k"), lambda _, ref: clients[ref.name])
    models.client("openai:a")
    models.client("openai:b")
    with pytest.raises(ExceptionGroup):
        await models.aclose()
    assert closed.is_set()


async def test_warming_what_is_not_embedded() -> None:
    """Costs nothing: no client is built, nobody is called."""
    models = Models(Given(openai_api_key="k"))
    await models.warm()
    await Models(Given(model_path=NOWHERE)).warm()
    assert models._clients == {}
