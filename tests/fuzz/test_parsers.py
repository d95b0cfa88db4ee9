"""Every parser of what comes from outside, with what nobody would send: it gives a value, or says no in its own words.

What is sent is made of what each expects, with anything in its places; bytes and text without a form are the exception.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from datetime import datetime
from io import BytesIO
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic import TypeAdapter, ValidationError

from app.agents.components import ALLOWED, ComponentInvalid, recipe
from app.api.dependencies import place_of
from app.api.identity.api_keys import ApiKeys
from app.api.identity.tokens import Tokens
from app.api.schemas import AnswerIn, FeedbackIn, ForkIn, RewindIn, RunIn
from app.errors import InvalidInput, Unauthorized, Unavailable
from app.runs.pictures import NoPicture, looked_at
from app.runs.receivers import UrlRefused, receiver_of
from app.settings import Settings
from app.telemetry.content import Content
from app.wire import native
from tests.fuzz.budget import cases

TEXT = st.text(st.characters())  # halves of characters too
NUMBERS = st.integers() | st.floats() | st.integers(-(2**70), 2**70)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT
ANYTHING = st.recursive(LEAVES, lambda some: st.lists(some, max_size=4) | st.dictionaries(TEXT, some, max_size=4))


def objects(*fields: str) -> st.SearchStrategy[Any]:
    """With these fields and others, of anything."""
    return st.dictionaries(st.sampled_from(fields) | TEXT, ANYTHING, max_size=len(fields)) | ANYTHING


BODIES = {
    RunIn: objects("task", "session_id", "user_id", "metadata", "timeout_s", "if_busy", "on_disconnect", "webhook_url"),
    AnswerIn: objects("input", "input_id"),
    FeedbackIn: objects("score", "label", "comment"),
    ForkIn: objects("run_id", "version", "session_id"),
    RewindIn: objects("run_id", "version"),
}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_bodies(body: Any) -> None:
    """What is accepted can be told on: in a record, in an event, to the provider."""

    @cases(150)
    @given(BODIES[body])
    def fits(value: Any) -> None:
        try:
            read = TypeAdapter(body).validate_python(value)
        except ValidationError:
            return
        orjson.dumps(read.model_dump(mode="json"))

    fits()


@cases(300)
@given(TEXT | st.from_regex(r"[0-9a-f-]{36}:\d{0,10}-\d{0,20}", fullmatch=True))
@example(f"{'0' * 36}:999999999-999999999999999999")
def test_last_event_ids(text: str) -> None:
    """A place, of numbers that a database holds; or none."""
    seen = native.last_seen(text)
    assert seen is None or (len(seen[0]) == 36 and seen[1].attempt < 2**31 and seen[1].seq < 2**63)


@cases(300)
@given(
    TEXT
    | st.lists(LEAVES, max_size=3).map(lambda place: urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("="))
)
def test_cursors(text: str) -> None:
    """A place of the list's types; or the caller's mistake."""
    for types in ((datetime, str), (int, int), (str,), (int,)):
        try:
            place = place_of(text, *types)
        except InvalidInput:
            continue
        assert [type(part) for part in place or []] == list(types)


@cases(200)
@given(st.binary(max_size=300), st.integers(0, 400), st.sampled_from(["PNG", "JPEG"]), st.booleans())
def test_images(piece: bytes, place: int, kind: str, cut: bool) -> None:
    """A picture with anything in one of its places is a picture, or none: never another failure."""
    file = BytesIO()
    Pillow.effect_noise((16, 16), 50).save(file, kind)
    content = file.getvalue()
    content = content[:place] + piece + (b"" if cut else content[place + len(piece) :])
    for data in (content, piece):
        try:
            assert looked_at(data, 1000)[1] <= 1000
        except NoPicture:
            continue


ENTRY = objects("tenant", "key", "user", "expires", "scopes", "name")


@cases(200)
@given(
    st.binary(max_size=200) | st.lists(ENTRY, max_size=3).map(lambda value: yaml.safe_dump(value).encode()),
    TEXT.filter(lambda text: text.isascii()),
)
@example(b"&a [*a]", "x")
@example(b"[" * 5000, "x")
@example(b"- {tenant: a, key: k, expires: 0000-99-99}", "k")
def test_files_of_keys(tmp_path_factory: pytest.TempPathFactory, content: bytes, key: str) -> None:
    """Keys, or a sentence that names none of them."""
    file = tmp_path_factory.getbasetemp() / "keys.yaml"
    file.write_bytes(content)
    refused = ""
    try:
        ApiKeys((), file).find(key)
    except ValueError as error:
        refused = str(error)
    assert refused.startswith("API_KEYS_FILE" if refused else "")


PIECE = (objects("alg", "kid", "typ", "crit", "sub", "exp") | st.binary(max_size=60)).map(
    lambda part: urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).decode().rstrip("=")
)


@cases(200)
@given(st.tuples(PIECE, PIECE, PIECE).map(".".join) | st.text(st.characters(max_codepoint=255)))
def test_tokens(token: str) -> None:
    """None of these is one; the issuer is asked for its keys at the most."""

    async def found() -> None:
        tokens = Tokens(SETTINGS)
        try:
            with pytest.raises((Unauthorized, Unavailable)):
                await tokens.find(token)
        finally:
            await tokens.close()

    asyncio.run(found())


SETTINGS = Settings(
    _env_file=None, jwt_issuer="http://127.0.0.1:1", jwt_audience="waggle", jwt_jwks_url="http://127.0.0.1:1/keys"
)

NODE = objects("provider", "component_type", "version", "config", "model", "participants")


@cases(200)
@given(NODE, st.sampled_from(ALLOWED) | TEXT, NODE)
def test_components(node: Any, provider: str, config: Any) -> None:
    """Where a recipe is made of it, everything in it is on the list."""
    value = {"provider": provider, "config": config, "more": node}
    try:
        recipe(value, lambda _: pytest.fail("no model is asked for before it is built"))
    except ComponentInvalid:
        return
    assert provider.startswith(ALLOWED) or provider == "waggle.model" or provider.endswith("Client")


@cases(200)
@given(st.lists(TEXT, max_size=2), TEXT | ANYTHING.map(repr), st.sampled_from(["all", "masked", "none"]))
@example([r"(a+)+$"], "a" * 40 + "b", "all")
@example([r"(?:x|x)*y"], "x" * 60, "masked")
def test_patterns_to_redact(patterns: list[str], text: str, policy: Any) -> None:
    """Any pattern that is accepted ends, and what it leaves can be sent."""
    try:
        given_patterns = Settings(_env_file=None, trace_redact=tuple(patterns)).trace_redact
    except ValidationError:
        return
    Content.of(policy, given_patterns, 1000).text(f"{text} sk-abcdefghijkl").encode()


@cases(300)
@given(TEXT | st.from_regex(r"https?://[\[\]a-z0-9.:@%/#?-]{0,40}", fullmatch=True))
def test_urls_of_receivers(url: str) -> None:
    """A receiver, or why it is none."""
    try:
        receiver = receiver_of(url, ())
    except UrlRefused:
        return
    assert receiver.authority


def test_nothing_is_left_out() -> None:
    """Each model of a body is tried."""
    found = {name for name in dir(__import__("app.api.schemas", fromlist=["x"])) if name.endswith("In")}
    assert found - {"TextPartIn", "ImagePartIn", "PointIn"} == {body.__name__ for body in BODIES}
