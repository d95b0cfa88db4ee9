"""The README's words, tried: its commands against a running service, its answers against what comes."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_runs import scripted
from tests.servers.openai_wire import OpenAIWire
from tests.service import Service, events_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def curl(command: str, service: Service) -> httpx.Request:
    """The request that a curl command of the README's makes."""
    words = iter(shlex.split(command.replace("\\\n", "")))
    assert next(words) == "curl"
    url, headers, body = "", {}, None
    for word in words:
        match word:
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
            case "-s" | "-sN":
                pass
            case _:
                url = word.replace("localhost:8000", service.url)
    return service.client.build_request("POST" if body else "GET", url, headers=headers, content=body)


def commands(start: str) -> list[str]:
    return [text for language, text in BLOCKS if language == "sh" and text.startswith(start)]


def shape(value: Any) -> Any:
    """Names and types; a list of messages by the types of what it holds."""
    match value:
        case dict():
            return {name: shape(item) for name, item in value.items()}
        case list():
            return [shape(item) for item in value]
        case _:
            return type(value)


async def test_the_first_curl_gets_the_answer_that_is_shown(openai: OpenAIWire, service: Service) -> None:
    """The same fields, messages and types as in the README's JSON."""
    openai.replies = scripted
    response = await service.client.send(curl(commands("curl")[0], service))
    shown = json.loads(next(text for language, text in BLOCKS if language == "json"))
    answer = response.json()
    shown["usage"]["cost_usd"] = answer["usage"]["cost_usd"] = None  # OpenAI's model has a price, the embedded has none
    assert shape(answer) == shape(shown)
    assert (answer["session_id"], answer["user_id"]) == (shown["session_id"], shown["user_id"])


async def test_the_second_curl_streams_the_events_that_are_shown(service: Service) -> None:
    """Each event of the README comes, with the fields that are shown."""
    response = await service.client.send(curl(commands("curl")[1], service), stream=True)
    came = {event.type: event async for event in events_of(response)}
    shown = next(text for language, text in BLOCKS if language == "text")
    for type_, data in re.findall(r"event: (\S+)\ndata: (.+)", shown):
        assert shape(came[type_].data) == shape(json.loads(data))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)", README))))
def test_what_it_points_to_is_there(target: str) -> None:
    """Every link within the repository."""
    assert (ROOT / target).exists()


def test_every_variable_it_names_is_a_setting() -> None:
    """In the tables and in the text."""
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)", README))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert not {name for name in named if f"# {name}=" not in example and f"#{name}=" not in example}


def test_the_make_targets_it_names_exist() -> None:
    """Run, test and check."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make (\w+)", README)):
        assert f"\n{target}:" in makefile
