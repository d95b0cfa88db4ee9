"""JSON that is made to be expensive, or that cannot be written again: a small problem each, and at once."""

import base64
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from pydantic_core import PydanticCustomError

from app.api.bounds import MAX_DEPTH, MAX_VALUES, writable
from tests.api.test_problems import JSON, problem_of
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Text, ToolCall, ToolCalls
from tests.service import Service, serving

MANY = b",".join(b'"%x":0' % number for number in range(300_000))
BOMBS: dict[str, tuple[bytes, int]] = {
    "fields": (b'{"task":"hi",' + MANY + b"}", 422),
    "metadata": (b'{"task":"hi","metadata":{' + MANY + b"}}", 422),
    "fields of a part": (b'{"task":[{"type":"text","text":"hi",' + MANY + b"}]}", 422),
    "wrong fields": (b'{"task":"hi",' + b",".join(b'"f%d":0' % number for number in range(90)) + b"}", 422),
    "a long name": (b'{"task":"hi","' + b"k" * 4_000_000 + b'":1}', 422),
    "items": (b'{"task":[' + b"0," * 1_900_000 + b"0]}", 422),
    "objects": (b'{"task":[' + b"{}," * 1_300_000 + b"{}]}", 422),
    "digits": (b'{"task":"hi","timeout_s":' + b"9" * 4_000_000 + b"}", 400),
    "more digits than Python reads": (b'{"task":"hi","timeout_s":' + b"9" * 5000 + b"}", 400),
    "as many digits as it reads": (b'{"task":"hi","timeout_s":' + b"9" * 4000 + b"}", 422),
    "beyond any number": (b'{"task":"hi","timeout_s":1e400}', 422),
    "brackets": (b"[" * 4_000_000, 400),
    "brackets that close": (b"[" * 2_000_000 + b"]" * 2_000_000, 400),
    "objects in objects": (b'{"a":' * 500_000 + b"1" + b"}" * 500_000, 400),
    "no UTF-8": (b'{"task":"\xff\xfe"}', 400),
    "half a character": (b'{"task":"hi","metadata":{"a":"\\ud800"}}', 422),
}


@pytest.mark.parametrize(("content", "status"), BOMBS.values(), ids=BOMBS)
async def test_a_bomb_is_a_small_problem(content: bytes, status: int, service: Service, openai: OpenAIWire) -> None:
    """350,000 unknown fields were a list of as many errors, 25 MB of it, that took 2.4 s."""
    answer = await service.client.post("/agents/assistant/run", content=content, headers=JSON)
    problem = problem_of(answer, status, "bad-request" if status == 400 else "invalid-input")
    assert len(answer.content) < 6000
    assert len(problem.get("errors", ())) <= 20
    assert openai.requests == []


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


TAKEN = {
    "text": "Zürich 🐝\0",
    "numbers": [2**64 - 1, -(2**63), 1.5, True, None],
    "many": [0] * MAX_VALUES,
    "deep": nested(MAX_DEPTH - 1),
}
NOT_TAKEN = {
    "too many": [0] * (MAX_VALUES + 1),
    "too many below": [[0] * 1000] * 20,
    "too many keys": {str(number): 0 for number in range(MAX_VALUES + 1)},
    "too deep": nested(MAX_DEPTH),
    "half a character": ["\ud800"],
    "half a character as a key": {"a": {"\udfff": 1}},
    "a large integer": {"a": 2**64},
    "infinite": [float("inf")],
    "no number": [float("nan")],
}


@pytest.mark.parametrize("value", TAKEN.values(), ids=TAKEN)
def test_what_can_be_written_again_is_taken(value: Any) -> None:
    """And is what it was."""
    assert orjson.loads(orjson.dumps(writable(value))) == value


@pytest.mark.parametrize("value", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_what_cannot_be_written_again_is_not(value: Any) -> None:
    """Nor what is too much to be looked at while others wait."""
    with pytest.raises(PydanticCustomError):
        writable(value)


ASKING = '''
from autogen_agentchat.agents import AssistantAgent
from app.agents.person import ask

async def wait() -> str:
    """Asks."""
    return str(await ask("Shall I?", {"type": "array", "items": {"type": "string"}}))

def build(context):
    """Asks a person for a list."""
    return AssistantAgent("asking", context.model(), tools=[wait])
'''


async def test_an_answer_is_bounded_too(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Any) -> None:
    """Two million wrong items stopped the service for 46 s; half a character, the run for good."""
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "asking.py").write_text(ASKING)
    openai.replies = [ToolCalls((ToolCall("wait", {}),)), Text("Thanks.")]
    async with serving(**with_openai, agents_dir=folder) as service:
        run_id = (await service.run("asking", "hi"))["run_id"]
        for content in (b'{"input":[' + b"0," * 1_900_000 + b"0]}", b'{"input":["\\ud800"]}', b'{"input":[1e400]}'):
            answer = await service.client.post(f"/runs/{run_id}/input", content=content, headers=JSON)
            assert problem_of(answer, 422, "invalid-input")["errors"][0]["loc"] == ["body", "input"]
        wrong = await service.client.post(f"/runs/{run_id}/input", json={"input": [5] * 5000})
        assert len(problem_of(wrong, 422, "invalid-input")["errors"]) == 20
        long = await service.client.post(f"/runs/{run_id}/input", json={"input": "x" * 1_000_000})
        assert len(long.content) < 2000
        good = await service.client.post(f"/runs/{run_id}/input", json={"input": ["Zürich\0"]})
        assert good.status_code == 202
        assert (await service.client.get(f"/runs/{run_id}/stream")).text.count("event: run.completed") == 1


async def test_a_zero_byte_is_no_fault_of_the_service(with_openai: dict[str, Any], postgres_url: str) -> None:
    """Postgres keeps none in its text, and cannot even look for one: what could have none is not there, or refused."""
    async with serving(**with_openai, database_url=postgres_url) as service:
        run = await service.run("assistant", "a\0b", metadata={"a\0": "\0"})
        assert (run["status"], run["output"]) == ("completed", "You said: a\0b")
        for path in ("runs/{}", "runs/{}/stream", "runs/{}/trace", "sessions/{}", "sessions/{}/messages", "agents/{}"):
            answer = await service.client.get(f"/{path.format('a%00b')}")
            problem_of(answer, 404, "not-found")
        cursor = quote(base64.urlsafe_b64encode(orjson.dumps(["a\0", "b\0"])).decode())
        for path in ("/sessions", f"/sessions/{run['session_id']}/runs", f"/sessions/{run['session_id']}/messages"):
            problem_of(await service.client.get(f"{path}?cursor={cursor}"), 422, "invalid-input")
        for route, body in (
            ("feedback", {"score": 1, "comment": "\0"}),
            ("feedback", {"score": 1, "label": "\0"}),
            ("input", {"input": "x", "input_id": "\0"}),
        ):
            answer = await service.client.post(f"/runs/{run['run_id']}/{route}", json=body)
            problem_of(answer, 422, "invalid-input")
