"""The embedded model: its weights, its process and its client; with a fake llama.cpp, and with the real one.

The real one needs the `[local]` extra and takes about a minute: `-m "not local_model"` leaves it out.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, TextMessage, ToolCallRequestEvent
from autogen_core import CancellationToken
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    SystemMessage,
    UserMessage,
)
from openai import APIConnectionError, BadRequestError

from app.agents.local import LocalModel, LocalModelError
from app.agents.local import client as client_module
from app.agents.local.client import LocalChatCompletionClient
from app.agents.local.weights import QWEN, STALE_S, Weights
from app.settings import Settings
from app.siblings import Worker
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import dead_url
from tests.servers.replies import Drip, Hang, Reply, Text

FAKES = Path(__file__).with_name("fakes")
ROOT = Path(__file__).parents[2]


def ask(text: str) -> list[LLMMessage]:
    return [UserMessage(content=text, source="user")]


async def whole(client: ChatCompletionClient, messages: Sequence[LLMMessage], **kwargs: Any) -> CreateResult:
    """The end of a stream."""
    *_, last = [piece async for piece in client.create_stream(messages, **kwargs)]
    assert isinstance(last, CreateResult)
    return last


class TestWeights:
    """The parts of a model are found, joined once and checked."""

    @pytest.fixture
    def weights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
        """Three installed parts that cannot be imported, nor written to."""
        site = tmp_path / "site"
        contents = [b"one", b"two" * 1000, b"three"]
        for number, content in enumerate(contents, 1):
            data = site / f"made_up_part{number}" / "data"
            data.mkdir(parents=True)
            data.with_name("__init__.py").write_text("raise AssertionError('it was imported')")
            (data / f"part{number:02d}.bin").write_bytes(content)
            data.chmod(0o555)
        monkeypatch.syspath_prepend(site)
        joined = b"".join(contents)
        return Weights(
            name="made-up",
            sha256=sha256(joined).hexdigest(),
            size=len(joined),
            parts=3,
            package="made_up_part{}",
            file="data/part{:02d}.bin",
        )

    def test_joined_once(self, weights: Weights, tmp_path: Path) -> None:
        """The parts become one file, in order; afterwards they are not needed."""
        cache = tmp_path / "new" / "cache"
        assert weights.found(cache)
        joined = weights.join(cache)
        assert sha256(joined.read_bytes()).hexdigest() == weights.sha256
        assert list(cache.iterdir()) == [joined]
        gone = replace(weights, package="uninstalled_part{}")
        assert gone.found(cache)
        assert gone.join(cache) == joined

    def test_missing_part(self, weights: Weights, tmp_path: Path) -> None:
        """Too few parts are no model."""
        lacking = replace(weights, parts=5)
        assert not lacking.found(tmp_path)
        with pytest.raises(LocalModelError, match="2 of the 5 parts of made-up are not installed"):
            lacking.join(tmp_path)

    def test_wrong_digest(self, weights: Weights, tmp_path: Path) -> None:
        """A file that is not what was published is not kept."""
        cache = tmp_path / "cache"
        with pytest.raises(LocalModelError, match="not what its makers published"):
            replace(weights, sha256="0" * 64).join(cache)
        assert list(cache.iterdir()) == []

    def test_full_disk(self, weights: Weights, tmp_path: Path) -> None:
        """Nothing is written that cannot fit."""
        cache = tmp_path / "cache"
        with pytest.raises(LocalModelError, match="too little room for the 1000000000000 MB of made-up"):
            replace(weights, size=10**18).join(cache)
        assert list(cache.iterdir()) == []

    def test_unwritable_cache(self, weights: Weights, tmp_path: Path) -> None:
        """The operator is told which setting to change."""
        (tmp_path / "file").touch()
        with pytest.raises(LocalModelError, match="MODEL_CACHE_DIR"):
            weights.join(tmp_path / "file" / "cache")

    def test_leftovers(self, weights: Weights, tmp_path: Path) -> None:
        """What a killed process left is removed; what another process is writing is not."""
        target = weights.join(tmp_path / "cache")
        target.unlink()
        left, writing = target.with_name(f".{target.name}.left"), target.with_name(f".{target.name}.now")
        for unfinished in (left, writing):
            unfinished.touch()
        old = left.stat().st_mtime - STALE_S - 1
        os.utime(left, (old, old))
        weights.join(tmp_path / "cache")
        assert sorted(target.parent.iterdir()) == sorted([target, writing])


@pytest.mark.parametrize(
    ("installed", "path", "problem"),
    [
        pytest.param(False, None, "The embedded model's runtime is not installed: ", id="no-runtime"),
        pytest.param(True, None, "The embedded model's weights are not installed: ", id="no-weights"),
        pytest.param(True, "no.gguf", "MODEL_PATH is not a file: ", id="no-file"),
        pytest.param(True, __file__, None, id="file"),
    ],
)
async def test_problem(
    installed: bool, path: str | None, problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is said in a sentence that says what to do; a start fails with the same."""
    model = LocalModel(cache_dir=tmp_path, path=Path(path) if path else None)
    client = model.client()
    monkeypatch.setattr(sys, "path", [str(FAKES)] if installed else [])
    said = model.problem()
    if problem is None:
        assert said is None
        return
    assert said is not None
    assert said.startswith(problem)
    if path is None:
        assert "make run" in said
        assert "pip install 'waggle[local]'" in said
        assert "MODEL" in said
    with pytest.raises(LocalModelError) as raised:
        await client.create(ask("Hello"))
    assert str(raised.value) == said


class TestClient:
    """The client does what upstream's does, and closes what it opened."""

    @staticmethod
    def client_of(*addresses: str, **create_args: Any) -> LocalChatCompletionClient:
        """Of a server that is at each of the addresses in turn, and stays at the last."""
        rest = list(addresses)

        async def base_url() -> str:
            return rest.pop(0) if len(rest) > 1 else rest[0]

        args = {"max_retries": 0, "max_tokens": 512} | create_args
        return LocalChatCompletionClient(name="made-up", api_key="key", base_url=base_url, context_tokens=4096, **args)

    async def test_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No proxy is asked, no connection kept, the key sent; an argument goes before its default."""
        monkeypatch.setenv("HTTP_PROXY", dead_url())
        async with OpenAIWire([Text("Hi")], key="key") as wire:
            client = self.client_of(f"{wire.url}/v1", temperature=0.5)
            assert (await client.create(ask("Hello"))).content == "Hi"
            await client.close()
        request = wire.requests[0]
        assert request.headers["connection"] == "close"
        body = {name: value for name, value in request.json.items() if name != "messages"}
        assert body == {"model": "made-up", "stream": False, "temperature": 0.5, "max_tokens": 512}

    async def test_usage_of_a_stream(self) -> None:
        """A stream says how many tokens it took, without being asked to."""
        async with OpenAIWire([Text("Hello you", usage=Text("").usage)]) as wire:
            client = self.client_of(f"{wire.url}/v1")
            result = await whole(client, ask("Hello"))
            await client.close()
        assert (result.content, result.usage.prompt_tokens, result.usage.completion_tokens) == (
            "Hello you",
            11,
            7,
        )

    @pytest.mark.parametrize("way", ["closed", "dropped", "failed", "token", "task", "scope"])
    async def test_streams_close(self, way: str) -> None:
        """However a stream is left, the server hears of it at once."""
        async with OpenAIWire([Drip()]) as wire:
            client = self.client_of(f"{wire.url}/v1")
            with anyio.fail_after(5):
                await leave(client, way)
                await wire.until_abandoned()
            await client.close()

    async def test_cancelled_before_the_answer(self) -> None:
        """A prompt that nobody wants read any more is given up."""
        async with OpenAIWire([Hang(), Hang()]) as wire:
            client = self.client_of(f"{wire.url}/v1")
            for count, work in enumerate((client.create, lambda *a, **k: whole(client, *a, **k)), 1):
                token = CancellationToken()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(expect_cancelled, work, token)
                    await wire.until_asked(count)
                    token.cancel()
                with anyio.fail_after(5):
                    await wire.until_abandoned(count)
            await client.close()

    async def test_moved(self) -> None:
        """A process that died since the last call is noticed, and the new one asked."""
        replies: list[Reply] = [Text("Hi"), Text("Hi"), Text("Hi")]
        async with OpenAIWire(replies) as wire:
            dead, alive = f"{dead_url()}/v1", f"{wire.url}/v1"
            client = self.client_of(dead, alive)
            assert (await client.create(ask("Hello"))).content == "Hi"
            client = self.client_of(dead, alive)
            assert (await whole(client, ask("Hello"))).content == "Hi"

    async def test_unreachable(self) -> None:
        """A process that lives and cannot be reached is not asked for ever."""
        client = self.client_of(f"{dead_url()}/v1")
        with pytest.raises(APIConnectionError):
            await client.create(ask("Hello"))
        with pytest.raises(APIConnectionError):
            await whole(client, ask("Hello"))

    async def test_tokens(self) -> None:
        """Tokens are estimated without a download; room is left for the answer."""
        client = self.client_of("http://127.0.0.1:9/v1", max_tokens=512)
        messages = ask("word " * 300)
        assert client.count_tokens(messages) == 508
        assert client.remaining_tokens(messages) == 4096 - 512 - 508
        assert client.count_tokens(messages, tools=[{"name": "add"}]) == 508 + 213


async def leave(client: ChatCompletionClient, way: str) -> None:
    """Begin an endless stream and leave it, in that way."""
    token = CancellationToken()
    stream = client.create_stream(ask("Tell a long story"), cancellation_token=token)
    match way:
        case "closed":
            async with aclosing(stream):
                await anext(stream)
        case "dropped":
            await anext(stream)
            del stream
        case "failed":
            with pytest.raises(ZeroDivisionError):
                await fail_at(stream)
        case "token":
            await anext(stream)
            token.cancel()
            with pytest.raises(asyncio.CancelledError):
                async for _ in stream:
                    pass
        case "scope" | "task":
            begun = anyio.Event()

            async def read() -> None:
                async for _ in stream:
                    begun.set()

            if way == "scope":
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    await begun.wait()
                    tasks.cancel_scope.cancel()
            else:
                task = asyncio.ensure_future(read())
                await begun.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task


async def fail_at(stream: AsyncGenerator[object, None]) -> None:
    """A reader that does not close what it reads."""
    async for _ in stream:
        raise ZeroDivisionError


async def expect_cancelled(work: Callable[..., Awaitable[object]], token: CancellationToken) -> None:
    with pytest.raises(asyncio.CancelledError):
        await work(ask("Hello"), cancellation_token=token)


async def until_gone(pid: int) -> None:
    """Until a process that need not be ours has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with anyio.fail_after(10):
            await anyio.wait_readable(handle)
    finally:
        os.close(handle)


def is_known(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class TestProcess:
    """The model's process, running a fake llama.cpp, is started, watched and ended."""

    @pytest.fixture(autouse=True)
    def fake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(FAKES)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(FAKES), str(ROOT))))

    @pytest.fixture
    def fate(self) -> str:
        """What becomes of the process."""
        return "serve"

    @pytest.fixture
    def file(self, tmp_path: Path, fate: str) -> Path:
        """The model's file."""
        file = tmp_path / "made-up.gguf"
        file.write_text(fate)
        Path(f"{file}.pids").touch()
        return file

    @pytest.fixture
    async def model(self, file: Path) -> AsyncIterator[LocalModel]:
        model = LocalModel(cache_dir=file.parent / "cache", path=file, start_timeout_s=20)
        yield model
        await model.aclose()

    @staticmethod
    def started(file: Path) -> list[int]:
        """The processes that have run the model, ever."""
        return [int(line) for line in Path(f"{file}.pids").read_text().split()]

    @staticmethod
    async def told(model: LocalModel) -> dict[str, Any]:
        """What the process says that it is."""
        client = model.client()
        answer = (await client.create(ask("Who are you?"))).content
        await client.close()
        assert isinstance(answer, str)
        content: dict[str, Any] = json.loads(answer)
        return content

    async def test_lazy(self, model: LocalModel, file: Path) -> None:
        """The process runs from the first call on; calls at once share it."""
        model.client()
        assert self.started(file) == []
        answers = await asyncio.gather(*(self.told(model) for _ in range(3)))
        assert [answer["pid"] for answer in answers] == self.started(file) * 3

    async def test_workers_share_it(self, file: Path, tmp_path: Path) -> None:
        """The first that needs it runs it, for all at once; when it or its worker has gone, another does."""
        workers = [Worker(number, 3, tmp_path, "secret") for number in (1, 2, 3)]
        models = [LocalModel(cache_dir=file.parent, path=file, start_timeout_s=20, worker=each) for each in workers]
        try:
            first = {answer["pid"] for answer in await asyncio.gather(*map(self.told, models))}
            assert list(first) == self.started(file)
            (owner,) = (model for model in models if model._process is not None)
            os.kill(first.pop(), signal.SIGKILL)
            others = [model for model in models if model is not owner]
            second = {answer["pid"] for answer in await asyncio.gather(*map(self.told, others))}
            assert list(second) == self.started(file)[1:]
            (owner,) = (model for model in others if model._process is not None)
            await owner.aclose()
            third = {(await self.told(model))["pid"] for model in models if model is not owner}
            assert list(third) == self.started(file)[2:]
        finally:
            for model in models:
                await model.aclose()

    async def test_configuration(self, file: Path) -> None:
        """llama.cpp is told what measurements said; a model of the operator's keeps its own chat template."""
        model = LocalModel(cache_dir=file.parent, path=file, threads=3, slots=4, context_tokens=600)
        assert model.name == "made-up"
        told = await self.told(model)
        await model.aclose()
        assert len(told["params"].pop("api_keys")[0]) >= 32
        assert told == {
            "pid": self.started(file)[0],
            "OMP_WAIT_POLICY": "PASSIVE",
            "params": {
                "model_alias": ["made-up"],
                "hostnames": ["127.0.0.1"],
                "port": 0,
                "ui": False,
                "offline": True,
                "n_parallel": 4,
                "n_ctx": 2400,
                "n_predict": 300,
                "n_batch": 256,
                "cpuparams": {"n_threads": 3},
                "cpuparams_batch": {"n_threads": 3},
                "no_extra_bufts": True,
                "cache_ram_mib": 128,
                "prefill_assistant": False,
            },
        }

    async def test_killed(self, model: LocalModel, file: Path) -> None:
        """A killed process is followed by another when the next call comes, as often as need be."""
        for _ in range(2):
            first = (await self.told(model))["pid"]
            os.kill(first, signal.SIGKILL)
            second = (await self.told(model))["pid"]
            assert first != second
            assert not is_known(first)
        assert len(self.started(file)) == 3

    async def test_signals(self, model: LocalModel, file: Path) -> None:
        """Ctrl-C and a stop of the whole group leave it to the owner when the process ends."""
        pid = (await self.told(model))["pid"]
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        assert (await self.told(model))["pid"] == pid
        assert self.started(file) == [pid]

    async def test_aclose(self, model: LocalModel, file: Path) -> None:
        """Closing leaves no process, no zombie and no task, and is for good."""
        tasks = asyncio.all_tasks()
        pid = (await self.told(model))["pid"]
        await model.aclose()
        assert not is_known(pid)
        assert asyncio.all_tasks() == tasks
        await model.aclose()
        with pytest.raises(LocalModelError, match="closed"):
            await model.base_url()
        assert self.started(file) == [pid]

    async def test_owner_killed(self, file: Path) -> None:
        """However the owner ends, the process ends too."""
        owner = await anyio.open_process([sys.executable, "-c", OWNER, str(file)], stdout=PIPE, cwd=ROOT)
        assert owner.stdout is not None
        async with owner:
            with anyio.fail_after(30):
                assert (await owner.stdout.receive()).startswith(b"http://127.0.0.1:")
                (pid,) = self.started(file)
                owner.kill()
                await owner.wait()
                await until_gone(pid)

    @pytest.mark.parametrize(
        ("fate", "reason", "words"),
        [
            pytest.param("hang", "did not listen within 1 s", "llama.cpp says hello", id="hangs"),
            pytest.param("abort", "ended while it started", "not a GGUF file", id="aborts"),
            pytest.param("libgomp", "install libgomp1", "libgomp.so.1: cannot open", id="lacks-libgomp"),
        ],
    )
    async def test_broken(self, reason: str, words: str, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A process that does not come up fails every call that waits for it, once, and is gone."""
        model = LocalModel(cache_dir=file.parent, path=file, start_timeout_s=1)
        client = model.client()
        calls = client.create(ask("Hello")), whole(client, ask("Hello")), client.create(ask("Hello"))
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            assert isinstance(result, LocalModelError)
            assert reason in str(result)
        assert words in caplog.text
        (pid,) = self.started(file)
        assert not is_known(pid)
        await model.aclose()

    @pytest.fixture
    def pids(self, file: Path) -> anyio.Path:
        """Where the process that runs the model next can be waited for."""
        pids = Path(f"{file}.pids")
        pids.unlink()
        os.mkfifo(pids)
        return anyio.Path(pids)

    @pytest.mark.parametrize("fate", ["hang"])
    @pytest.mark.parametrize("way", ["scope", "token"])
    async def test_start_cancelled(self, way: str, model: LocalModel, file: Path, pids: anyio.Path) -> None:
        """A start that nobody waits for any more leaves no process; the next call starts another."""
        client, token = model.client(), CancellationToken()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_cancelled, client.create, token)
            pid = int(await pids.read_text())
            if way == "token":
                token.cancel()
            else:
                tasks.cancel_scope.cancel()
        await client.close()
        assert not is_known(pid)
        await pids.unlink()
        await anyio.Path(file).write_text("serve")
        assert (await self.told(model))["pid"] != pid

    @pytest.mark.parametrize("fate", ["hang"])
    async def test_closed_while_it_starts(self, model: LocalModel, pids: anyio.Path) -> None:
        """Closing does not wait for the start's deadline, and who waits for the start is told."""

        async def start() -> None:
            with pytest.raises(LocalModelError):
                await model.base_url()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            pid = int(await pids.read_text())
            with anyio.fail_after(5):
                await model.aclose()
        assert not is_known(pid)

    async def test_warm(self, model: LocalModel, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Warming starts the process; a failure is logged and no more."""
        await model.warm()
        assert len(self.started(file)) == 1
        assert "could not be warmed up" not in caplog.text
        await model.aclose()
        with caplog.at_level(logging.WARNING):
            await model.warm()
        assert "could not be warmed up: the embedded model is closed" in caplog.text


OWNER = """
import asyncio, sys
from pathlib import Path
from app.agents.local import LocalModel

async def own():
    model = LocalModel(cache_dir=Path("unused"), path=Path(sys.argv[1]))
    print(await model.base_url(), flush=True)
    await asyncio.Event().wait()

asyncio.run(own())
"""


@pytest.mark.local_model
class TestQwen:
    """The real weights in the real llama.cpp do what agents need."""

    @pytest.fixture(scope="class")
    async def model(self) -> AsyncIterator[LocalModel]:
        model = LocalModel(cache_dir=Settings().model_cache_dir)
        if problem := model.problem():
            pytest.skip(problem)
        await model.warm()
        yield model
        await model.aclose()

    @pytest.fixture
    async def client(self, model: LocalModel) -> AsyncIterator[ChatCompletionClient]:
        client = model.client()
        yield client
        await client.close()

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
    async def test_tool(self, client: ChatCompletionClient, stream: bool) -> None:
        """An agent calls the right tool with the right argument, and answers from its result."""
        agent = AssistantAgent(
            "helper",
            client,
            tools=[weather, population],
            reflect_on_tool_use=True,
            model_client_stream=stream,
            system_message="You are Waggle, a helpful assistant.",
        )
        events = [event async for event in agent.run_stream(task="What is the weather in Paris?")]
        (request,) = [event for event in events if isinstance(event, ToolCallRequestEvent)]
        assert [(call.name, json.loads(call.arguments)) for call in request.content] == [("weather", {"city": "Paris"})]
        assert request.models_usage is not None
        assert request.models_usage.completion_tokens > 0
        result = events[-1]
        assert isinstance(result, TaskResult)
        answer = result.messages[-1]
        assert isinstance(answer, TextMessage)
        assert "21" in answer.content
        assert answer.models_usage is not None
        assert answer.models_usage.prompt_tokens > 0
        chunks = [event.content for event in events if isinstance(event, ModelClientStreamingChunkEvent)]
        assert "".join(chunks) == (answer.content if stream else "")

    async def test_no_tool(self, client: ChatCompletionClient) -> None:
        """What needs no tool is answered without, under the name it is given."""
        agent = AssistantAgent("helper", client, tools=[weather], system_message="You are Waggle, an assistant.")
        (_, answer) = (await agent.run(task="Hi there! Who are you?")).messages
        assert isinstance(answer, TextMessage)
        assert "Waggle" in answer.content

    async def test_two_at_once(self, client: ChatCompletionClient) -> None:
        """Two answers are written at the same time, each its own."""
        questions = [ask("What is the capital of France?"), ask("What is the capital of Japan?")]
        france, japan = await asyncio.gather(*(whole(client, question) for question in questions))
        assert "Paris" in str(france.content)
        assert "Tokyo" in str(japan.content)

    @pytest.mark.parametrize("way", ["closed", "dropped", "token", "scope"])
    async def test_slots_are_freed(self, client: ChatCompletionClient, way: str) -> None:
        """Streams that were left do not keep the slots busy: else this would take a minute."""
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(leave, client, way)
        with anyio.fail_after(15):
            await client.create(ask("Say hi"), extra_create_args={"max_tokens": 2})

    async def test_too_long(self, client: ChatCompletionClient) -> None:
        """A conversation that is longer than the context is refused, not cut."""
        for call in (client.create, lambda messages: whole(client, messages)):
            with pytest.raises(BadRequestError, match="exceeds the available context size"):
                await call(ask("word " * 5000))

    async def test_assistant_spoke_last(self, client: ChatCompletionClient) -> None:
        """After a hand-off the conversation ends with an assistant; it is answered all the same."""
        handed = AssistantMessage(content="I hand this over to the geographer.", source="triage")
        result = await client.create([*ask("What is the capital of France?"), handed])
        assert "Paris" in str(result.content)

    async def test_estimate(self, client: ChatCompletionClient) -> None:
        """The estimate of tokens, for prose, is not below their number, and not twice as high."""
        messages: list[LLMMessage] = [
            SystemMessage(content="You are Waggle, a helpful assistant."),
            *ask(f"Say this in one sentence: {client_module.__doc__}"),
        ]
        tools = AssistantAgent("helper", client, tools=[weather, population])._tools
        for offered in ([], tools):
            used = (await client.create(messages, tools=offered, extra_create_args={"max_tokens": 1})).usage
            estimate = client.count_tokens(messages, tools=offered)
            assert used.prompt_tokens <= estimate <= 2 * used.prompt_tokens

    async def test_own_template(self, model: LocalModel, tmp_path: Path) -> None:
        """A file given by its path runs with the chat template inside it."""
        path = await anyio.to_thread.run_sync(QWEN.join, model._cache_dir)
        other = LocalModel(cache_dir=tmp_path, path=path, slots=1, context_tokens=512)
        client = other.client()
        result = await client.create([SystemMessage(content="You are Bob."), *ask("What is your name?")])
        await client.close()
        await other.aclose()
        assert "Bob" in str(result.content)
        assert result.usage.prompt_tokens < 30

    async def test_killed(self, model: LocalModel, client: ChatCompletionClient) -> None:
        """After the process was killed, the next call is answered by another."""
        assert model._process is not None
        first = model._process
        os.kill(first._transport.get_pid(), signal.SIGKILL)
        assert (await whole(client, ask("Say hi"))).content
        assert model._process is not first


async def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny, 21 degrees in {city}."


async def population(country: str) -> str:
    """How many people live in a country."""
    return f"68 million in {country}."
