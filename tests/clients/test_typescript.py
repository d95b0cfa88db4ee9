"""clients/typescript: what is checked in, its types as its users' compilers see them, and Node against a service."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.main import create_app
from app.settings import Settings
from tests.clients.project import CLIENT, compiled, does, installed, ran, script, tool
from tests.docs.blocks import blocks_of
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError, Text
from tests.service import Service, serving
from tests.wire.chatting import answers, folder_of

__all__ = ["installed", "script"]


async def test_what_is_checked_in_is_what_would_be_generated(tmp_path: Path) -> None:
    """`npm run generate` in clients/typescript writes it anew."""
    generate = json.loads((CLIENT / "package.json").read_text())["scripts"]["generate"]
    command, *options = generate.rpartition("| ")[2].split()
    description = await anyio.to_thread.run_sync(lambda: create_app(Settings(_env_file=None)).openapi())
    options[-1] = str(tmp_path / "openapi.ts")
    await ran(tool(command), *options, cwd=CLIENT, stdin=json.dumps(description))
    assert (tmp_path / "openapi.ts").read_text() == (CLIENT / "src" / "openapi.ts").read_text()


MISTAKES = """\
import { createClient, dataOf, stream } from "waggle-client";
const waggle = createClient({ baseUrl: "" });
await dataOf(waggle.GET("/agent/{name}", { params: { path: { name: "a" } } }));
await dataOf(waggle.POST("/agents/{name}/run", { params: { path: { name: "a" } }, body: { text: "a" } }));
for await (const event of stream(waggle, "a", { task: "a" })) console.log(event.delta);
for await (const event of stream(waggle, "a", { task: "a" })) if (event.type === "text") console.log(1);
"""


async def test_mistakes_do_not_compile(project: Path) -> None:
    """A path that is not, a field that is not, one that not every event has, an event that is not."""
    with pytest.raises(AssertionError) as failed:
        await compiled(project, "mistakes.ts", MISTAKES)
    assert set(re.findall(r"mistakes\.ts\((\d+)", str(failed.value))) == {"3", "4", "5", "6"}


async def test_a_run(usage: Path, openai: OpenAIWire, service: Service) -> None:
    """Its record, with the user that the client stands for."""
    openai.replies = lambda _: Text("Bees dance.")
    said = await does(usage, "run", service.url)
    assert said == {
        "output": "Bees dance.",
        "status": "completed",
        "user": "ann",
        "messages": ["Hello.", "Bees dance."],
    }


async def test_a_stream_of_a_tool_using_agent(usage: Path, openai: OpenAIWire, service: Service) -> None:
    """To its end, each event as the types have it."""
    openai.replies = answers
    said = await does(usage, "stream", service.url, "sk-none", "weather")
    assert [event["seq"] for event in said["events"]] == list(range(1, len(said["events"]) + 1))
    assert said["told"][0] == "run.started 1"
    assert any(line.startswith("tool_call of weather: ") for line in said["told"])
    assert said["events"][-1]["type"] == "run.completed"


async def test_a_run_in_the_background_is_watched(usage: Path, openai: OpenAIWire, service: Service) -> None:
    """From its start, and from after an event."""
    openai.replies = lambda _: Text("Bees dance.")
    said = await does(usage, "watch", service.url)
    assert said["events"][-1]["type"] == "run.completed"
    assert said["after"] == said["events"][2:]


async def test_problems_are_errors(usage: Path, service: Service) -> None:
    """With the problem's fields, from calls and from streams."""
    missing, wrong, nobody = await does(usage, "problem", service.url)
    assert (missing["name"], missing["status"], missing["type"]) == ("WaggleError", 404, "urn:waggle:problem:not-found")
    assert missing["message"] == f"Not found: {missing['detail']}"
    assert (wrong["status"], wrong["errors"][0]["loc"][:2]) == (422, ["body", "task"])
    assert nobody["type"] == missing["type"]


async def test_credentials_are_sent(usage: Path, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """As the token says at that moment."""
    openai.replies = lambda _: Text("Bees dance.")
    async with serving(**with_openai, api_keys="acme:sk-right") as service:
        assert (await does(usage, "run", service.url, "sk-right"))["status"] == "completed"
        assert {each["status"] for each in await does(usage, "problem", service.url, "sk-wrong")} == {401}


async def test_a_failed_run_is_an_event(usage: Path, openai: OpenAIWire, service: Service) -> None:
    """The last one, with the problem."""
    openai.replies = lambda _: HttpError(401, "no such key")
    assert (await does(usage, "stream", service.url))["told"][-1] == "Model provider failed"


async def test_sessions(usage: Path, openai: OpenAIWire, service: Service) -> None:
    """Read, forked, deleted and listed."""
    openai.replies = lambda _: Text("Bees dance.")
    said = await does(usage, "sessions", service.url)
    assert (said["turns"], said["messages"]) == (1, ["Hello.", "Bees dance."])
    assert said["left"] == [said["fork"]]


async def test_a_cancel(usage: Path, openai: OpenAIWire, service: Service) -> None:
    """The stream ends with it."""
    openai.replies = lambda _: Drip()
    assert await does(usage, "cancel", service.url) == "cancelled"


async def test_feedback_and_the_trace(usage: Path, openai: OpenAIWire, service: Service) -> None:
    """Said, read again, and the run's spans."""
    openai.replies = lambda _: Text("Bees dance.")
    assert await does(usage, "feedback", service.url) == {"found": [{"score": 1, "label": "helpful"}], "spans": 1}


async def test_a_question_is_answered(
    usage: Path, openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path
) -> None:
    """And the same stream goes on."""
    openai.replies = answers
    async with serving(**with_openai | {"agents_dir": folder_of(tmp_path)}) as service:
        said = await does(usage, "answer", service.url)
    assert said["lines"].count("input.required") == 1
    assert said["lines"][-1] == "run.completed"
    assert "Blue." in said["output"]


async def test_what_the_page_shows(project: Path, openai: OpenAIWire, service: Service) -> None:
    """The TypeScript of docs/clients.md and of the package's own README.md compiles, and prints the answer."""
    openai.replies = lambda _: Text("Bees dance to show where flowers are.")
    shown = [block.text for block in blocks_of("docs/clients.md") if block.language == "ts"]
    own = re.findall(r"^```ts\n(.*?)^```$", (CLIENT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(shown) == len(own) == 1
    for number, text in enumerate(shown + own):
        program = await compiled(project, f"shown{number}.ts", text.replace("http://localhost:8000", service.url))
        printed = await ran("node", str(program), cwd=project)
        assert "Bees dance to show where flowers are." in printed.replace("\n", "")
