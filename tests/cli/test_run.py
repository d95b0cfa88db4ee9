"""`waggle run` with its output in pipes, as scripts call it."""

import json
from pathlib import Path

import pytest

from tests.api.test_runs import scripted
from tests.cli.command import asks, replaying, waggle
from tests.process import started
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.proxy import Proxy, breaking
from tests.servers.replies import HttpError, Text, Usage

KEY = "sk-acme-0123456789"


async def test_words_go_to_stdout_and_the_rest_to_stderr(openai: OpenAIWire, tmp_path: Path) -> None:
    """So that a pipe has the answer; tools are folded into lines; nothing is coloured."""
    openai.replies = scripted
    said = await waggle(tmp_path, asks(openai), "run", "weather", "What is the weather in Paris?")
    assert said.status == 0, said.err
    assert said.out.startswith("It is so: Paris, France, 14 July")
    call, result, end, where = said.err.splitlines()
    assert call == '→ weather(city="Paris", day="2026-07-14")'
    assert result.startswith("← Paris, France, 14 July")
    assert end.startswith("✓ completed · 22 tokens in, 14 out · $0.")
    assert where.startswith("  session ")
    assert "trace " in where
    assert "\x1b" not in said.out + said.err


async def test_speakers_of_a_team_are_told_apart(tmp_path: Path) -> None:
    """By a line before what each says."""
    said = await waggle(tmp_path, replaying(tmp_path, "Bees dance.", "They do."), "run", "research", "Why?")
    assert said.status == 0, said.err
    assert said.out == "Bees dance.\nThey do.\n"
    assert [line for line in said.err.splitlines() if line.startswith("──")] == ["── researcher", "── writer"]


async def test_json_is_the_finished_run(tmp_path: Path) -> None:
    """One object, and nothing else."""
    said = await waggle(tmp_path, replaying(tmp_path, "Hello."), "run", "assistant", "Hi", "--json", "--user", "ann")
    run = json.loads(said.out)
    assert (said.status, run["status"], run["output"], run["user_id"]) == (0, "completed", "Hello.", "ann")
    assert [message["content"] for message in run["messages"]] == ["Hi", "Hello."]


async def test_events_are_lines_of_json(tmp_path: Path) -> None:
    """As the stream has them."""
    said = await waggle(tmp_path, replaying(tmp_path, "Hello you."), "run", "assistant", "Hi", "--events")
    types = [json.loads(line)["type"] for line in said.out.splitlines()]
    assert types == ["run.started", "message", "text.delta", "message", "run.completed"]


async def test_a_task_may_come_through_a_pipe(openai: OpenAIWire, tmp_path: Path) -> None:
    """With `-`."""
    said = await waggle(tmp_path, asks(openai), "run", "assistant", "-", stdin="Read this.\nAnd this.\n")
    assert said.status == 0, said.err
    assert openai.requests[0].asked.text == "Read this.\nAnd this.\n"


async def test_a_session_is_gone_on_with(openai: OpenAIWire, tmp_path: Path) -> None:
    """By a later process."""
    for task in ("My name is Ann.", "Who am I?"):
        assert (await waggle(tmp_path, asks(openai), "run", "assistant", task, "-s", "s")).status == 0
    assert "My name is Ann." in str(openai.requests[1].json["messages"])


async def test_a_run_that_fails_is_status_1(openai: OpenAIWire, tmp_path: Path) -> None:
    """With the problem's words, in both forms."""
    openai.replies = lambda _: HttpError(401)
    said = await waggle(tmp_path, asks(openai), "run", "assistant", "Hi")
    assert said.status == 1
    assert said.err.startswith("Model provider failed: The model provider refused")
    assert "✗ failed" in said.err
    said = await waggle(tmp_path, asks(openai), "run", "assistant", "Hi", "--json")
    assert (said.status, json.loads(said.out)["status"]) == (1, "failed")


async def test_what_cannot_begin_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Of the API's."""
    said = await waggle(tmp_path, replaying(tmp_path), "run", "nobody", "Hi")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("There is no agent 'nobody'")
    said = await waggle(tmp_path, {"PORT": "high"}, "run", "assistant", "Hi")
    assert said.status == 1
    assert said.err.startswith("PORT: ")


async def test_hostile_words_move_no_cursor(tmp_path: Path) -> None:
    """Escape sequences and directional controls of models and tools are left out."""
    hostile = "safe\x1b]0;owned\x07\x1b[2J\u202eright\rto left"
    said = await waggle(tmp_path, replaying(tmp_path, hostile), "run", "assistant", "Hi")
    assert said.out == "safe]0;owned[2Jrightto left\n"


async def test_its_spans_are_sent(openai: OpenAIWire, collector: Collector, tmp_path: Path) -> None:
    """One trace, before the process ends; API keys that callers need are none of its own."""
    variables = {**asks(openai), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "API_KEYS": f"acme:{KEY}"}
    said = await waggle(tmp_path, variables, "run", "assistant", "Hi")
    assert said.status == 0, said.err
    traces = {span.trace_id for span in collector.spans() if span.name.startswith("chat ")}
    assert len(traces) == 1
    assert traces.pop() in said.err


async def test_a_server_is_asked_where_one_is_named(openai: OpenAIWire, tmp_path: Path) -> None:
    """With the key it wants; without one, its words are shown."""
    async with started(tmp_path, {**asks(openai), "API_KEYS": f"acme:{KEY}"}) as service:
        here = {"WAGGLE_URL": service.url, "MODEL": "replay:nothing"}
        said = await waggle(tmp_path, here, "run", "assistant", "Hi", "--api-key", KEY)
        assert said.status == 0, said.err
        said = await waggle(tmp_path, here, "run", "assistant", "Hi")
        assert said.status == 1
        assert said.err.startswith("Send 'Authorization: Bearer")
    assert len(openai.requests) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9", "ftp://nowhere"])
async def test_a_server_that_is_not_there_is_said(url: str, tmp_path: Path) -> None:
    """At once."""
    said = await waggle(tmp_path, {}, "run", "assistant", "Hi", "--url", url)
    assert said.status == 1
    assert said.err.startswith("Nothing answers at ")


class Posted(Proxy):
    """Cuts streams that were asked for with `POST`, whose body comes in a piece of its own."""

    last: int | None = None

    def limit(self, request: bytes) -> int | None:
        if request.startswith(b"POST ") and b"/stream " in request:
            self.requests.append(request)
            self.last = next(self._cuts, None)
        return self.last


async def test_a_network_that_drops_loses_and_doubles_nothing(openai: OpenAIWire, tmp_path: Path) -> None:
    """Cut in the middle of the words: it comes back by `Last-Event-ID`, to the same run."""
    words = " ".join(f"word{number}" for number in range(60))
    openai.replies = lambda _: Text(words, usage=Usage(3, 60), interval_s=0.01)  # else they come in few events
    async with started(tmp_path, asks(openai)) as service, breaking([service.url], [3000, 4000], Posted) as proxy:
        said = await waggle(tmp_path, {}, "run", "assistant", "Hi", "--url", proxy.url)
    assert said.out == words + "\n"
    assert said.status == 0, said.err
    assert proxy.cut == 2
    assert [b"last-event-id" in request.lower() for request in proxy.requests] == [False, True, True]
    assert len(openai.requests) == 1
