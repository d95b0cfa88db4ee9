"""Runs over real HTTP: what is answered, streamed, kept and refused."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls, Usage
from tests.service import Event, Service

TICKET = '{"category": "billing", "urgent": true, "summary": "Charged twice."}'


def scripted(request: Request) -> Reply:
    """What each agent of the catalog needs its model to say."""
    tools = [tool.name for tool in request.asked.tools]
    if request.asked.results:
        return Text(f"It is so: {request.asked.results[-1]}")
    if "weather" in tools:
        return ToolCalls((ToolCall("weather", {"city": "Paris", "day": "2026-07-14"}),))
    if "transfer_to_billing" in tools:
        return ToolCalls((ToolCall("transfer_to_billing", {}),))
    if "response_format" in request.json:
        return Text(TICKET)
    return Text("A plain answer.")


CATALOG = {
    "assistant": ["text", "text"],
    "weather": ["text", "tool_call", "tool_result", "text"],
    "research": ["text", "text", "text"],
    "support": ["text", "tool_call", "tool_result", "handoff", "text"],
    "ticket": ["text", "structured"],
}
OUTPUT: Mapping[str, Any] = {
    "assistant": "A plain answer.",
    "weather": "It is so: Paris, France, 14 July: usually 16 to 26 °C, 26 % chance of rain.",
    "research": "A plain answer.",
    "support": "A plain answer.",
    "ticket": {"category": "billing", "urgent": True, "summary": "Charged twice."},
}


@pytest.mark.parametrize("agent", CATALOG)
async def test_every_agent_of_the_catalog_runs(agent: str, openai: OpenAIWire, service: Service) -> None:
    """Each pattern gives its messages and its answer, with the run's usage and ids."""
    openai.replies = scripted
    run = await service.run(agent, "My question.", session_id="s1", user_id="ann", metadata={"plan": "pro"})
    assert [message["type"] for message in run["messages"]] == CATALOG[agent]
    assert run["output"] == OUTPUT[agent]
    assert run["messages"][0]["content"] == "My question."
    calls = len(openai.requests)
    assert (run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (11 * calls, 7 * calls)
    assert run["usage"]["cost_usd"] > 0
    assert (run["status"], run["session_id"], run["user_id"], run["error"]) == ("completed", "s1", "ann", None)
    assert UUID(run["run_id"]).version == 7
    assert run["created_at"].endswith("Z")
    assert run == await service.get(f"/runs/{run['run_id']}", "ann")


@pytest.mark.parametrize("agent", CATALOG)
async def test_every_agent_of_the_catalog_streams(agent: str, openai: OpenAIWire, service: Service) -> None:
    """Events are numbered without gaps, deltas add up to their messages, and one end carries the run."""
    openai.replies = scripted
    events = await service.stream(agent, "My question.", user_id="ann")
    well_formed(events)
    assert (events[0].type, events[-1].type) == ("run.started", "run.completed")
    said = [event.data["message"] for event in events if event.type == "message"]
    assert [message["type"] for message in said] == CATALOG[agent]
    run = await service.get(f"/runs/{events[0].data['run_id']}", "ann")
    assert run["messages"] == said
    del run["messages"]
    assert events[-1].data["run"] == run


def well_formed(events: list[Event]) -> None:
    run_id = events[0].data["run_id"]
    for number, event in enumerate(events, 1):
        assert event.id == f"{run_id}:1-{number}"
        assert (event.data["type"], event.data["run_id"], event.data["seq"]) == (event.type, run_id, number)
    texts: dict[str, str] = {}
    for event in events:
        if event.type == "text.delta":
            texts[event.data["message_id"]] = texts.get(event.data["message_id"], "") + event.data["delta"]
    said = {event.data["message"]["id"]: event.data["message"] for event in events if event.type == "message"}
    assert texts, "nothing was streamed"
    for id_, text in texts.items():
        assert said[id_]["content"] == text or said[id_]["type"] == "structured"


async def test_an_answer_says_which_run_it_is(service: Service) -> None:
    """Headers name run, session, request and trace, also for who reads only headers."""
    response = await service.client.post(
        "/agents/assistant/run", json={"task": "hi"}, headers={"X-Session-ID": "s-1", "X-Request-ID": "req-1"}
    )
    run = response.json()
    assert response.headers["X-Run-ID"] == run["run_id"]
    assert response.headers["X-Session-ID"] == run["session_id"] == "s-1"
    assert response.headers["X-Request-ID"] == "req-1"
    assert response.headers["traceresponse"].split("-")[1] == run["trace_id"]


async def test_a_price_that_is_unknown_is_null(openai: OpenAIWire, service: Service) -> None:
    """No tokens told, no cost known: null, never 0."""
    openai.replies = [Text("hi", usage=Usage(0, 0))]
    assert (await service.run("assistant", "hi"))["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost_usd": None}


async def test_a_task_of_parts_reaches_a_model_that_sees(openai: OpenAIWire, service: Service) -> None:
    """Text and an image arrive at the provider, and the message shows both."""
    pixel = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
        "rkJggg=="
    )
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": pixel}}]
    run = await service.run("assistant", parts)
    sent = openai.requests[-1].json["messages"][-1]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url"]
    assert [part["type"] for part in run["messages"][0]["content"]] == ["text", "image_url"]
    problem = await service.run(
        "assistant", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}], status=422
    )
    assert problem["errors"][0]["loc"] == ["body", "task", 0]


async def test_the_get_form_streams_to_curl_and_event_source(service: Service) -> None:
    """The same run by a URL alone, as an EventSource must make it."""
    parameters = {"task": "hi there", "session_id": "by-url", "user_id": "ann"}
    async with service.client.stream("GET", "/agents/assistant/stream", params=parameters) as response:
        text = (await response.aread()).decode()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "You said: hi there" in "".join(text)
    assert (await service.get("/sessions/by-url", "ann"))["agent"] == "assistant"


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "/agents/{name}/stream"), ("get", "/agents/{name}/stream"), ("get", "/runs/{run_id}/stream")],
)
async def test_openapi_tells_what_a_stream_is(service: Service, method: str, path: str) -> None:
    """Its media type, how it is gone on with, and how that ends."""
    route = (await service.get("/openapi.json"))["paths"][path][method]
    assert list(route["responses"]["200"]["content"]) == ["text/event-stream"]
    assert {"204", "404", "410"} <= set(route["responses"])
    assert "Last-Event-ID" in [parameter["name"] for parameter in route["parameters"]]
