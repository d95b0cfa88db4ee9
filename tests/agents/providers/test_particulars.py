"""What is peculiar to one provider, and was wrong without us."""

from collections.abc import Sequence

import pytest
from autogen_core import FunctionCall, Image
from autogen_core.models import (
    AssistantMessage,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    UserMessage,
)
from autogen_core.tools import FunctionTool
from PIL.Image import new as new_image
from pydantic import BaseModel

from tests.agents.providers.cases import CASES, Case, ask, each, each_provider, each_way
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Garbage, Text, ToolCall, ToolCalls

QUESTION: Sequence[LLMMessage] = [UserMessage(content="Hello?", source="user")]
ANTHROPIC, OLLAMA = CASES["anthropic"], CASES["ollama"]


def payroll(name: str) -> str:
    """Somebody's pay."""
    return f"{name} earns a lot"


def used(tool: str) -> list[LLMMessage]:
    """A conversation in which a tool was used."""
    call = FunctionCall(id="call_1", name=tool, arguments="{}")
    result = FunctionExecutionResult(content="42", call_id="call_1", name=tool, is_error=False)
    return [
        *QUESTION,
        AssistantMessage(content=[call], source="agent"),
        FunctionExecutionResultMessage(content=[result]),
    ]


@each_way
async def test_anthropic_does_not_pass_tools_on(stream: bool) -> None:
    """A conversation with a tool's results and no tools is sent the names it knows, not the last caller's tools."""
    async with ANTHROPIC.wire() as wire:
        models = ANTHROPIC.models(wire.url)
        client = models.client()
        await ask(client, stream, QUESTION, tools=[FunctionTool(payroll, "Somebody's pay.")])
        result, _ = await ask(client, stream, used("weather"))
        await models.aclose()
    assert [tool["name"] for tool in wire.requests[1].json["tools"]] == ["weather"]
    assert wire.requests[1].json["tool_choice"] == {"type": "none"}
    assert "payroll" not in str(wire.requests[1].json)
    assert result.content == "The tool says: 42"


async def test_anthropic_models_that_autogen_does_not_know() -> None:
    """AutoGen takes them for Claude 2.0, which can neither see nor call tools."""
    models = ANTHROPIC.models("http://127.0.0.1:9", model="anthropic:claude-of-the-future-9")
    info = models.client().model_info
    assert info["function_calling"]
    assert info["vision"]
    await models.aclose()


@pytest.mark.parametrize("name", ["gpt-of-the-future", "gemini-of-the-future"])
async def test_other_models_that_autogen_does_not_know(name: str) -> None:
    """They are built, and can do what models do; seeing is only expected of Gemini's."""
    provider = "gemini" if name.startswith("gemini") else "openai"
    models = CASES[provider].models("http://127.0.0.1:9", model=f"{provider}:{name}")
    info = models.client().model_info
    assert info["function_calling"]
    assert info["structured_output"]
    assert info["vision"] is (provider == "gemini")
    await models.aclose()


async def test_ollama_answers_in_one_chunk() -> None:
    """AutoGen loses it: it expects two."""
    line = b'{"model": "m", "message": {"role": "assistant", "content": "Yes."}, "done": true, "done_reason": "stop"}\n'
    async with OLLAMA.wire([Garbage(line)]) as wire:
        models = OLLAMA.models(wire.url)
        result, pieces = await ask(models.client(), True, QUESTION)
        await models.aclose()
    assert result.content == "Yes."
    assert pieces == ["Yes."]


async def test_ollama_answers_with_an_empty_list_of_calls() -> None:
    """AutoGen takes that for a call of no tools."""
    line = b'{"model": "m", "message": {"role": "assistant", "content": "Yes.", "tool_calls": []}, "done": true}'
    async with OLLAMA.wire([Garbage(line)]) as wire:
        models = OLLAMA.models(wire.url)
        result, _ = await ask(models.client(), False, QUESTION)
        await models.aclose()
    assert result.content == "Yes."
    assert result.thought is None


@each_way
async def test_ollama_calls_of_two_turns(stream: bool) -> None:
    """Their ids differ, for Ollama has none."""
    async with OLLAMA.wire(lambda _: ToolCalls((ToolCall("payroll", {"name": "Ada"}),))) as wire:
        models = OLLAMA.models(wire.url)
        client, tools = models.client(), [FunctionTool(payroll, "Somebody's pay.")]
        contents = [(await ask(client, stream, QUESTION, tools=tools))[0].content for _ in range(2)]
        await models.aclose()
    ids = {call.id for content in contents for call in content if isinstance(call, FunctionCall)}
    assert len(ids) == 2


async def test_an_answer_with_fields_of_its_own() -> None:
    """The SDK makes attributes of them, which are not taken for methods."""
    choice = b'{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}'
    body = b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "close": "soon", "choices": [%b]}'
    async with OpenAIWire([Garbage(body % choice)]) as wire:
        models = CASES["openai"].models(wire.url)
        result, _ = await ask(models.client(), False, QUESTION)
        await models.aclose()
    assert result.content == "Yes."


async def test_a_compatible_server_asks_for_no_key() -> None:
    """MODEL_BASE_URL without a key is enough."""
    async with OpenAIWire() as wire:
        models = CASES["openai"].models(wire.url, openai_api_key=None)
        result, _ = await ask(models.client(), False, QUESTION)
        await models.aclose()
    assert result.content == "You said: Hello?"


class Verdict(BaseModel):
    """An answer with a form."""

    yes: bool


# AutoGen dumps what the SDK parsed, for its event log, as if nothing had been.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@each_way
@each({name: case for name, case in CASES.items() if case.structured})
async def test_a_structured_answer(case: Case, stream: bool) -> None:
    """The provider is given the form; the answer is its JSON, and a stream's tokens are told here too."""
    async with case.wire([Text('{"yes": true}')]) as wire:
        models = case.models(wire.url)
        result, _ = await ask(models.client(), stream, QUESTION, json_output=Verdict)
        await models.aclose()
    assert isinstance(result.content, str)
    assert Verdict.model_validate_json(result.content).yes
    assert result.usage.prompt_tokens == 11
    assert "yes" in str(wire.requests[0].json.get("response_format") or wire.requests[0].json.get("format"))


PLANTED = {
    "OPENAI_BASE_URL": "http://127.0.0.1:9/planted",
    "OPENAI_API_KEY": "sk-planted",
    "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9/planted",
    "AZURE_OPENAI_API_KEY": "sk-planted",
    "AZURE_OPENAI_AD_TOKEN": "sk-planted",
    "OPENAI_API_VERSION": "planted",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/planted",
    "ANTHROPIC_API_KEY": "sk-planted",
    "ANTHROPIC_AUTH_TOKEN": "sk-planted",
    "GEMINI_API_KEY": "sk-planted",
    "OLLAMA_HOST": "http://127.0.0.1:9/planted",
    "OLLAMA_API_KEY": "sk-planted",
}


@each_provider
async def test_the_sdks_do_not_read_the_environment(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they are told comes from the settings alone."""
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    async with case.wire() as wire:
        models = case.models(wire.url)
        await ask(models.client(), False, QUESTION)
        await models.aclose()
    header, credential = case.credential
    assert wire.requests[0].headers[header] == credential
    assert "planted" not in str(wire.requests[0])


@each_provider
async def test_counting_tokens_downloads_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoGen's way fetches tiktoken's table first: here, from nowhere."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    models = case.models("http://127.0.0.1:9")
    client = models.client()
    image = UserMessage(content=["What is this?", Image(new_image("RGB", (8, 8)))], source="user")
    conversation = [*used("weather"), image]
    assert client.count_tokens([UserMessage(content="four" * 100, source="user")]) == 104
    assert 765 < client.count_tokens(conversation) < 800
    tools = [FunctionTool(payroll, "Somebody's pay.")]
    assert client.count_tokens(conversation, tools=tools) > client.count_tokens(conversation) + 20
    # What a model holds differs; what is left of it is that less the estimate.
    spent = client.remaining_tokens([]) - client.remaining_tokens(conversation)
    assert client.remaining_tokens([]) > 30_000
    assert spent == client.count_tokens(conversation)
    await models.aclose()
