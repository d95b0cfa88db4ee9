"""What goes wrong with OpenAI's chat completions, as OpenAI's own client has it."""

import asyncio
from typing import Any

import openai as sdk
import pytest

from tests.agents.folder import until
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError
from tests.wire.openai_client import HELLO, chatting, chunks_of

REFUSED: dict[str, dict[str, Any]] = {
    "n": {"n": 2},
    "tool_choice": {"tool_choice": "required"},
    "response_format": {"response_format": {"type": "json_object"}},
    "modalities": {"modalities": ["audio"]},
    "messages": {"messages": [{"role": "assistant", "content": "Hm."}]},
    "messages.0.user.content": {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
    "user": {"user": "with space"},
}


@pytest.mark.parametrize("field", REFUSED)
async def test_what_cannot_be_heeded(field: str, with_openai: dict[str, Any]) -> None:
    """Is refused, by name, in OpenAI's words."""
    request: Any = {"messages": HELLO, "model": "assistant", **REFUSED[field]}
    async with chatting(with_openai) as (client, _):
        with pytest.raises(sdk.BadRequestError) as refused:
            await client.chat.completions.create(**request)
    assert (refused.value.type, refused.value.code) == ("invalid_request_error", "invalid_input")
    assert (refused.value.param or "").startswith(field)


async def test_other_refusals(with_openai: dict[str, Any]) -> None:
    """Whoever refuses, the client raises what OpenAI's own refusals make it raise."""
    with_openai["api_keys"] = "acme:sk-acme-0123456789abcdef"
    async with chatting(with_openai, key="sk-wrong") as (client, service):
        with pytest.raises(sdk.AuthenticationError) as refused:
            await client.models.list()
        assert refused.value.type == "authentication_error"
        known = client.with_options(api_key="sk-acme-0123456789abcdef")
        with pytest.raises(sdk.NotFoundError):
            await known.chat.completions.create(messages=HELLO, model="nobody")
        with pytest.raises(sdk.APIStatusError) as large:
            await known.chat.completions.create(
                messages=[{"role": "user", "content": "x" * (5 * 2**20)}], model="assistant"
            )
        assert large.value.status_code == 413
        auth = {"Authorization": "Bearer sk-acme-0123456789abcdef"}
        text = await service.client.post("/v1/chat/completions", content="{", headers=auth)
        assert (text.status_code, text.json()["error"]["code"]) == (415, "unsupported_media_type")
        headers = auth | {"Content-Type": "application/json"}
        broken = await service.client.post("/v1/chat/completions", content="{", headers=headers)
        assert (broken.status_code, broken.json()["error"]["code"]) == (400, "bad_request")
        nothing = (await service.client.get("/v1/nothing", headers=auth)).json()["error"]
        assert (nothing["type"], nothing["code"]) == ("not_found_error", "not_found")
        assert (await service.client.get("/agents/nobody", headers=auth)).json()["type"].startswith("urn:")


async def test_a_run_that_fails(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Is told once, and not tried again, though the client would: tools may have been called."""
    openai.replies = lambda _: HttpError(401)
    async with chatting(with_openai) as (client, service):
        eager = client.with_options(max_retries=3)
        with pytest.raises(sdk.InternalServerError) as failed:
            await eager.chat.completions.create(messages=HELLO, model="assistant")
        assert (failed.value.status_code, failed.value.code) == (502, "provider_failed")
        run_id = failed.value.body["run_id"]  # type: ignore[index]
        assert (await service.get(f"/runs/{run_id}"))["status"] == "failed"
        with pytest.raises(sdk.APIError, match="provider") as broken:
            await chunks_of(eager, HELLO, "assistant")
        assert broken.value.code == "provider_failed"
        assert len(openai.requests) == 2


async def test_a_client_that_leaves(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """Leaves no model call behind."""
    openai.replies = lambda _: Drip()
    with_openai["disconnect_grace_s"] = 0
    async with chatting(with_openai) as (client, service):
        async with await client.chat.completions.create(messages=HELLO, model="assistant", stream=True) as stream:
            first = await anext(aiter(stream))
            await until(lambda: openai.open_streams == 1)
        await until(lambda: openai.abandoned == 1)
        waiting = asyncio.create_task(client.chat.completions.create(messages=HELLO, model="assistant"))
        await until(lambda: openai.open_requests == 1)
        waiting.cancel()
        await until(lambda: openai.abandoned == 2)
        run_id = first.id.removeprefix("chatcmpl-")
        await until(lambda: service.parts.runner.attempts() == {})
        assert (await service.get(f"/runs/{run_id}"))["status"] == "cancelled"


async def test_a_run_that_is_cancelled(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """By somebody else: the stream says so."""
    openai.replies = lambda _: Drip()
    async with (
        chatting(with_openai) as (client, service),
        await client.chat.completions.create(messages=HELLO, model="assistant", stream=True) as stream,
    ):
        chunks = aiter(stream)
        run_id = (await anext(chunks)).id.removeprefix("chatcmpl-")
        await service.client.post(f"/runs/{run_id}/cancel")
        with pytest.raises(sdk.APIError, match="ancelled"):
            async for _ in chunks:
                pass


async def test_a_service_that_fails(with_openai: dict[str, Any]) -> None:
    """Even that is said as OpenAI would."""
    async with chatting(with_openai) as (client, service):
        service.parts.registry.cards = None  # type: ignore[assignment]
        with pytest.raises(sdk.InternalServerError) as failed:
            await client.models.list()
        native = await service.client.get("/agents")
    assert (failed.value.type, failed.value.code) == ("server_error", "internal")
    assert (native.status_code, native.json()["type"]) == (500, "urn:waggle:problem:internal")
