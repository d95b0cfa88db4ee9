"""What the description says of every operation, without a route's having to."""

from typing import Any

import pytest

from tests.api.identity.test_keys import ACME, KEYS, bearer
from tests.service import serving


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
