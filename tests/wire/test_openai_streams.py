"""What OpenAI's protocols send, to the letter: whole answers and streams of each kind of agent, and errors."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai as sdk
import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.pictures import data_uri, picture
from tests.servers.replies import HttpError, Text
from tests.service import serving
from tests.wire.chatting import answers, folder_of
from tests.wire.openai_client import chunks_of, streamed
from tests.wire.recording import Recording, same_as

OWN = ("painter", "thinker", "asking")
PICTURE = data_uri(picture())
CHAT: Any = [{"type": "text", "text": "Hello."}, {"type": "image_url", "image_url": {"url": PICTURE}}]
INPUT: Any = [{"type": "input_text", "text": "Hello."}, {"type": "input_image", "image_url": PICTURE}]


async def chat(client: sdk.AsyncOpenAI, agent: str) -> None:
    messages: Any = [{"role": "user", "content": CHAT if agent == "assistant" else "Hello."}]
    try:
        await client.chat.completions.create(messages=messages, model=agent)
        await chunks_of(client, messages, agent, stream_options={"include_usage": True})
    except sdk.InternalServerError:
        with pytest.raises(sdk.APIError):
            await chunks_of(client, messages, agent)


async def responses(client: sdk.AsyncOpenAI, agent: str) -> None:
    asked: Any = [{"role": "user", "content": INPUT}] if agent == "assistant" else "Hello."
    whole = await client.responses.create(model=agent, input=asked)
    _, final = await streamed(client, model=agent, input=asked)
    assert [item.type for item in whole.output] == [item.type for item in final.output]
    assert whole.status == final.status
    if agent == "ticket":  # whose JSON is streamed as its model writes it
        assert json.loads(whole.output_text) == json.loads(final.output_text)
    else:
        assert whole.output_text == final.output_text


@pytest.mark.parametrize("call", [chat, responses])
@pytest.mark.parametrize("agent", ["assistant", "weather", "research", "support", "ticket", *OWN, "error"])
async def test_a_stream(call: Any, agent: str, openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """And the whole answer, which says the same."""
    openai.replies = answers if agent != "error" else lambda _: HttpError(401, "no such key sk-secret")
    if agent in OWN:
        with_openai["agents_dir"] = folder_of(tmp_path)
    recording = Recording()
    async with serving(**with_openai) as service, httpx.AsyncClient(transport=recording, trust_env=False) as http:
        told: Any = {"http_client": http}  # the client's own is httpx2's, which is called the same way
        client = sdk.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", **told)
        await call(client, "weather" if agent == "error" else agent)
    assert "sk-secret" not in recording.text()
    same_as(f"openai-{call.__name__}-{agent}", recording.text())


async def test_a_picture_that_comes_back(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """With the conversation that a client keeps: no model is told it as text."""
    openai.replies = lambda _: Text("A dot.")
    with_openai["agents_dir"] = folder_of(tmp_path)
    async with serving(**with_openai) as service, sdk.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="-") as client:
        asked: Any = [{"role": "user", "content": "Paint."}]
        painted = (await client.chat.completions.create(messages=asked, model="painter")).choices[0].message
        assert painted.content == f"A dot.\n\n![]({PICTURE})"
        talk = [*asked, painted, {"role": "user", "content": "What is it?"}]
        await client.chat.completions.create(messages=talk, model="plain")
        assert [said["content"] for said in openai.requests[-1].json["messages"][1:]] == [
            "Paint.",
            "A dot.\n\n[image]",
            "What is it?",
        ]
        response = await client.responses.create(model="painter", input="Paint.")
        again: Any = [{"role": "user", "content": "Paint."}, *response.output, {"role": "user", "content": "And?"}]
        await client.responses.create(model="plain", input=again)
        assert [said["content"] for said in openai.requests[-1].json["messages"][1:]] == ["Paint.", "A dot.", "And?"]
