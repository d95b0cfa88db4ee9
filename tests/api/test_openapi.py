"""What the description says of every operation, without a route's having to."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.api.identity.test_keys import ACME, KEYS, bearer
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import HttpError
from tests.service import Event, Service, serving
from tests.wire.chatting import answers, folder_of


async def described(with_openai: dict[str, Any], keys: str | None) -> dict[str, Any]:
    async with serving(**with_openai, api_keys=keys) as service:
        found: dict[str, Any] = (await service.client.get("/openapi.json", headers=bearer(ACME))).json()
        assert (await service.client.get("/openapi.json", headers=bearer(ACME))).json() == found
    return found


async def test_credentials_are_described_where_they_are_asked_for(with_openai: dict[str, Any]) -> None:
    """As a scheme, so that the page in /docs can send them; probes need none."""
    found = await described(with_openai, KEYS)
    (scheme,) = found["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert [list(found["components"]["securitySchemes"])] == [list(each) for each in found["security"]]
    assert [path for path, item in found["paths"].items() if item.get("get", {}).get("security") == []] == [
        "/livez",
        "/readyz",
    ]
    assert "401" in found["paths"]["/sessions"]["get"]["responses"]
    assert "401" not in found["paths"]["/livez"]["get"]["responses"]
    assert "securitySchemes" not in (await described(with_openai, None))["components"]


@pytest.mark.parametrize("keys", [None, KEYS], ids=["open", "credentials"])
async def test_problems_are_described_as_what_they_are(with_openai: dict[str, Any], keys: str | None) -> None:
    """Of one media type and schema, FastAPI's own 422 nowhere; what comes before a route is with every route."""
    found = await described(with_openai, keys)
    assert "HTTPValidationError" not in found["components"]["schemas"]
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            v1 = path.startswith("/v1/")
            assert {"403", "421", "400" if v1 else "422", "500", "503"} <= set(answers), (path, method)
            assert not (v1 and "422" in answers)
            assert ("requestBody" not in operation) or {"400", "408", "413", "415"} <= set(answers)
            for status, answer in answers.items():
                assert "X-Request-ID" in answer["headers"]
                if int(status) >= 400 and path != "/readyz":
                    name, media_type = ("ErrorOut", "json") if v1 else ("Problem", "problem+json")
                    schema = {"schema": {"$ref": f"#/components/schemas/{name}"}}
                    assert answer["content"] == {f"application/{media_type}": schema}, (path, method, status)


async def test_operations_are_named_as_methods(with_openai: dict[str, Any]) -> None:
    """A generator makes `runAgent` or `run_agent` of it; no two are alike, and each tag says what it is."""
    found = await described(with_openai, None)
    operations = [operation for methods in found["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", name) for name in names)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in found["tags"]}


async def test_each_field_is_described(with_openai: dict[str, Any]) -> None:
    """Of Waggle's own shapes, and each parameter; other protocols' fields are explained by those."""
    found = await described(with_openai, None)
    own = {"agents", "runs", "sessions", "health"}
    operations = [operation for methods in found["paths"].values() for operation in methods.values()]
    schemas = found["components"]["schemas"]
    shapes = _named([each for each in operations if own & set(each["tags"])])
    while shapes < (more := shapes | _named([schemas[name] for name in shapes])):  # what they are made of
        shapes = more
    assert {"Run", "RunEvent", "ToolCall", "Problem", "InputRequest", "Span"} <= shapes
    for name in shapes:
        for field, shape in schemas[name].get("properties", {}).items():
            assert "description" in shape or "const" in shape, (name, field)
    for operation in operations:
        for parameter in operation.get("parameters", ()):
            assert own.isdisjoint(operation["tags"]) or parameter["description"], (operation["operationId"], parameter)


@pytest.mark.parametrize(
    "agent", ["assistant", "weather", "research", "support", "ticket", "painter", "thinker", "asking"]
)
async def test_events_are_as_they_are_described(
    agent: str, openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Any
) -> None:
    """Each with the fields that the schema of its type has, and no other."""
    openai.replies = answers
    more = {"agents_dir": folder_of(tmp_path)} if agent in ("painter", "thinker", "asking") else {}
    async with serving(**with_openai | more) as service:
        found = (await service.client.get("/openapi.json")).json()
        if agent == "asking":
            async with service.streaming(agent, "Hello.") as events:
                told = [await anext(events)]
                while told[-1].type != "input.required":
                    told.append(await anext(events))
        else:
            told = await service.stream(agent, "Hello.")
    _fit(told, found)


async def test_a_failure_is_as_it_is_described(openai: OpenAIWire, service: Service) -> None:
    """With the problem, twice."""
    found = (await service.client.get("/openapi.json")).json()
    openai.replies = lambda _: HttpError(401, "no such key")
    _fit(failed := await service.stream("assistant", "hi"), found)
    assert failed[-1].type == "run.failed"


def _named(found: Any) -> set[str]:
    """The schemas that it refers to."""
    return set(re.findall(r"schemas/(\w+)", json.dumps(found)))


def _fit(events: list[Event], description: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/RunEvent", "components": description["components"]}
    validator = Draft202012Validator(schema)
    for event in events:
        validator.validate(event.data)
        kind = schema["components"]["schemas"]["RunEvent"]["discriminator"]["mapping"][event.type].rpartition("/")[2]
        assert event.data.keys() == schema["components"]["schemas"][kind]["properties"].keys()
        assert event.type == event.data["type"]
