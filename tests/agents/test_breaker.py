"""A provider that is down is let alone for a time: what opens a breaker, what closes it, and what does neither."""

from typing import Any

import anyio
import pytest

from app.agents.breaker import Breaker
from tests.agents.folder import Folder, folder
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Cut, Garbage, Hang, HttpError, Reply
from tests.service import Service, serving

__all__ = ["folder"]

OTHER = """
from autogen_agentchat.agents import AssistantAgent

MODEL = "openai:gpt-4o"

def build(context):
    return AssistantAgent("other", context.model(), model_client_stream=True)
"""
LIMIT = 3
DOWN = HttpError(503)
RUN = "/agents/assistant/run"


@pytest.fixture
def settings(with_openai: dict[str, Any], folder: Folder) -> dict[str, Any]:
    folder.add("other.py", OTHER)
    return with_openai | {"model_max_retries": 0, "model_breaker_failures": LIMIT, "model_timeout_s": 0.5}


def breaker_of(service: Service, model: str = "gpt-4o-mini") -> Breaker:
    (found,) = (each for key, each in service.parts.registry.breakers._breakers.items() if key[1] == model)
    return found


def let_time_pass(service: Service) -> None:
    """So that the next call is the one that finds out."""
    breaker_of(service)._opened -= 60


async def fail(service: Service, openai: OpenAIWire, reply: Reply = DOWN, times: int = LIMIT) -> None:
    openai.replies = [reply] * times
    for _ in range(times):
        await service.run("assistant", "hi", status=502)


async def metric(service: Service, name: str, model: str = "gpt-4o-mini") -> float:
    labels = f'{{gen_ai_provider_name="openai",gen_ai_request_model="{model}"}}'
    lines = (await service.client.get("/metrics")).text.splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{name}{labels}"))
    return float(value)


@pytest.mark.parametrize("reply", [HttpError(500), DOWN, HttpError(504), Cut(), Hang()], ids=repr)
async def test_it_opens_and_nobody_calls(reply: Reply, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Whoever asks is told at once, alone and in a team, in a stream too; another model is asked."""
    async with serving(**settings) as service:
        await fail(service, openai, reply)
        for agent in ("assistant", "research"):
            response = await service.client.post(f"/agents/{agent}/run", json={"task": "hi"})
            assert response.status_code == 502
            assert response.json()["type"] == "urn:waggle:problem:provider-failed"
            assert "taken to be down" in response.json()["detail"]
            assert 0 < int(response.headers["retry-after"]) <= 15
            failed = (await service.stream(agent, "hi"))[-1]
            assert (failed.type, failed.data["error"]["retry_after_s"] > 0) == ("run.failed", True)
        assert len(openai.requests) == LIMIT
        ready = await service.get("/readyz")
        expected = {"status": "degraded", "reason": "Taken to be down: openai:gpt-4o-mini."}
        assert (ready["status"], ready["checks"]["model"]) == ("ready", expected)
        assert await metric(service, "waggle_model_breaker_open") == 1
        assert await metric(service, "waggle_model_breaker_opens_total") == 1
        assert (await service.run("other", "hi"))["status"] == "completed"
        assert await metric(service, "waggle_model_breaker_open", "gpt-4o") == 0


async def test_it_closes_when_a_call_is_answered(
    openai: OpenAIWire, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """After a time one call is let through; once answered, all are."""
    async with serving(**settings) as service:
        await fail(service, openai)
        let_time_pass(service)
        await service.run("assistant", "hi")
        assert (await service.get("/readyz"))["checks"]["model"] == {"status": "ok"}
        assert await metric(service, "waggle_model_breaker_open") == 0
        await fail(service, openai, times=LIMIT - 1)
        await service.run("assistant", "hi")
        assert [record.levelname for record in caplog.records if "gpt-4o-mini" in record.getMessage()] == [
            "ERROR",
            "WARNING",
        ]


@pytest.mark.parametrize("reply", [DOWN, Cut()], ids=repr)
async def test_it_stays_open_while_the_provider_is_down(
    reply: Reply, openai: OpenAIWire, settings: dict[str, Any]
) -> None:
    """The call that was to find out fails, at once or in the middle: nobody else is let through."""
    async with serving(**settings) as service:
        await fail(service, openai)
        let_time_pass(service)
        await fail(service, openai, reply, times=1)
        await service.run("assistant", "hi", status=502)
        assert len(openai.requests) == LIMIT + 1


async def test_one_call_finds_out(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """Others are refused meanwhile, and let in at its first word; where it is cancelled, the next one finds out."""
    async with serving(**settings | {"model_timeout_s": 30}) as service:
        await fail(service, openai)
        let_time_pass(service)
        openai.replies = [Hang(), Hang(("There ",))]
        async with service.streaming("assistant", "hi") as events:
            run_id = (await anext(events)).data["run_id"]
            await openai.until_asked(LIMIT + 1)
            await service.run("assistant", "hi", status=502)
            await service.client.post(f"/runs/{run_id}/cancel")
        async with service.streaming("assistant", "hi") as events:
            async for event in events:
                if event.type == "text.delta":
                    break
            assert len(openai.requests) == LIMIT + 2
            await service.run("assistant", "hi")


@pytest.mark.parametrize("reply", [HttpError(400), HttpError(401), HttpError(429)], ids=repr)
async def test_a_refusal_is_an_answer(reply: Reply, openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """The provider is there: what failed before counts no more."""
    async with serving(**settings) as service:
        await fail(service, openai, times=LIMIT - 1)
        await fail(service, openai, reply)
        await fail(service, openai, times=LIMIT - 1)
        await service.run("assistant", "hi")


async def test_what_tells_nothing(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """An answer that cannot be read and a call that was cancelled neither count nor start the count anew."""
    async with serving(**settings) as service:
        await fail(service, openai, times=LIMIT - 1)
        await fail(service, openai, Garbage())
        openai.replies = [Hang()]
        async with service.streaming("assistant", "hi") as events:
            run_id = (await anext(events)).data["run_id"]
            await openai.until_asked(2 * LIMIT)
            with anyio.fail_after(10):
                await service.client.post(f"/runs/{run_id}/cancel")
        assert not breaker_of(service).is_open
        await fail(service, openai, times=1)
        assert breaker_of(service).is_open


async def test_it_can_be_switched_off(openai: OpenAIWire, settings: dict[str, Any]) -> None:
    """MODEL_BREAKER_FAILURES=0: every call is made."""
    async with serving(**settings | {"model_breaker_failures": 0}) as service:
        await fail(service, openai, times=12)
        assert len(openai.requests) == 12
