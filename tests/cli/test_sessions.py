"""`waggle sessions`, and `waggle openapi`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.command import replaying, waggle
from tests.process import ServiceProcess, started


@asynccontextmanager
async def with_sessions(folder: Path) -> AsyncIterator[ServiceProcess]:
    """A service that has had three conversations, of two users."""
    variables = replaying(folder, "Hello.") | {"DATA_DIR": str(folder / "data")}
    async with started(folder, variables) as service, service.client() as client:
        for session, user in (("first", "ann"), ("second", "ann"), ("third", "bob")):
            body = {"task": f"I am {session}", "session_id": session, "user_id": user}
            assert (await client.post("/agents/assistant/run", json=body)).status_code == 200
        yield service


@pytest.mark.parametrize("there", [False, True], ids=["of the database", "of a server"])
async def test_sessions_are_shown(there: bool, tmp_path: Path) -> None:
    """A user's own, the same ones here and there, beside the service that has them."""
    async with with_sessions(tmp_path) as service:
        place = ("--user", "ann", *(("--url", service.url) if there else ()))
        listed = (await waggle(tmp_path, {}, "sessions", "list", *place)).out.splitlines()
        assert [line.split()[:3] for line in listed[1:]] == [["second", "assistant", "1"], ["first", "assistant", "1"]]
        shown = await waggle(tmp_path, {}, "sessions", "show", "first", *place)
        assert shown.out == "I am first\nHello.\n"
        assert shown.err == "── user\n── assistant\n"
        gone = await waggle(tmp_path, {}, "sessions", "show", "third", *place)
        assert (gone.status, gone.err) == (1, "There is no session 'third'.\n")


async def test_a_session_is_deleted_once_somebody_says_yes(tmp_path: Path) -> None:
    """By a person, or in the command."""
    async with with_sessions(tmp_path):
        words = ("sessions", "delete", "first", "--user", "ann")
        assert (await waggle(tmp_path, {}, *words, stdin="n\n")).status == 1
        said = await waggle(tmp_path, {}, *words, "--yes")
        assert (said.status, said.out) == (0, "Deleted first\n")
        said = await waggle(tmp_path, {}, "sessions", "list", "--user", "ann", "--limit", "5", "--json")
        assert [item["session_id"] for item in json.loads(said.out)] == ["second"]


@pytest.mark.parametrize("words", [(), ("--output", "openapi.json")])
async def test_the_description_is_the_services(words: tuple[str, ...], tmp_path: Path) -> None:
    """As GET /openapi.json answers it with the same settings."""
    variables = replaying(tmp_path, "Hello.") | {"API_KEYS": "acme:sk-acme-0123456789"}
    said = await waggle(tmp_path, variables, "openapi", *words)
    assert said.status == 0, said.err
    text = (tmp_path / "openapi.json").read_text() if words else said.out
    async with started(tmp_path, variables) as service:
        headers = {"Authorization": "Bearer sk-acme-0123456789"}
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{service.url}/openapi.json", headers=headers)
    assert json.loads(text) == answer.json()
