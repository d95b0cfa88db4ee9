"""Images, from the request to the model, and back in the next turn."""

from typing import Any

from tests.api.test_problems import problem_of
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Answer
from tests.servers.pictures import bomb, data_uri, image_part, picture
from tests.servers.receiver import Receiver
from tests.service import serving

PHOTO = picture("JPEG", 64, 48)
ALLOWED = {"image_urls": "on", "image_allow": "127.0.0.1"}


def sent(openai: OpenAIWire) -> list[str]:
    """The images of the last model call."""
    contents = [message["content"] for message in openai.requests[-1].json["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


async def test_a_model_sees_the_very_bytes(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """As the message has them, and the next turn, from the saved state: nothing is decoded and encoded anew."""
    async with Receiver(Answer(200, PHOTO)) as server, serving(**with_openai, **ALLOWED) as service:
        task = [{"type": "text", "text": "What is it?"}, image_part(server.url)]
        run = await service.run("assistant", task, session_id="s")
        assert sent(openai) == [data_uri(PHOTO, "image/jpeg")]
        assert run["messages"][0]["content"][1]["image_url"]["url"] == data_uri(PHOTO, "image/jpeg")
        await service.run("assistant", "Sure?", session_id="s")
        assert sent(openai) == [data_uri(PHOTO, "image/jpeg")]
        assert len(server.requests) == 1


async def test_it_is_fetched_before_the_run_and_never_again(openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """In the background too; the same Idempotency-Key does not ask for it, and may outlive it."""
    async with Receiver(Answer(200, PHOTO), Answer(404)) as server, serving(**with_openai, **ALLOWED) as service:
        body = {"task": [image_part(server.url)]}
        answers = [
            await service.client.post("/agents/assistant/runs", json=body, headers={"Idempotency-Key": "once"})
            for _ in range(2)
        ]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert len({answer.json()["run_id"] for answer in answers}) == 1
        assert len(server.requests) == 1
        gone = await service.client.post("/agents/assistant/runs", json=body)
        problem_of(gone, 422, "invalid-input")
        metrics = (await service.client.get("/metrics")).text
        assert 'waggle_images_total{outcome="fetched"} 1.0' in metrics
        assert 'waggle_images_total{outcome="failed"} 1.0' in metrics


async def test_what_is_wrong_with_an_image_is_known_before_anything_runs(
    openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """Also in the background; no model is asked, and nothing is fetched where that is off."""
    async with Receiver() as server, serving(**with_openai) as service:
        urls = [server.url, data_uri(bomb()), "data:image/png;base64,AAA"]
        body = {"task": [image_part(url) for url in urls]}
        for way in ("run", "stream", "runs"):
            problem = problem_of(await service.client.post(f"/agents/assistant/{way}", json=body), 422, "invalid-input")
            assert [error["loc"] for error in problem["errors"]] == [["body", "task", 0], ["body", "task", 2]]
            assert "IMAGE_URLS=on" in problem["errors"][0]["msg"]
        bad = await service.client.post("/agents/assistant/runs", json={"task": [image_part(urls[1])]})
        problem_of(bad, 422, "invalid-input")
        elsewhere = await service.client.post("/agents/assistant/run", json={"task": [image_part("ftp://a/b.png")]})
        problem_of(elsewhere, 422, "invalid-input")
        assert server.requests == []
    assert openai.requests == []
