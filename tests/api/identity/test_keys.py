"""API keys: who they stand for, how they are given, and how they are taken back."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.api.identity.api_keys import ApiKeys
from app.main import create_app
from app.settings import Settings
from tests.api.test_problems import problem_of
from tests.servers.openai_wire import OpenAIWire
from tests.service import serving

ACME, GLOBEX = "sk-acme-0123456789", "sk-globex-0123456789"
KEYS = f"acme:{ACME}, globex:sha256:{sha256(GLOBEX.encode()).hexdigest()}"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_without_a_key_nothing_is_served_but_the_probes(with_openai: dict[str, Any]) -> None:
    """Unknown paths and the API's description too; a refusal says how to go on, and is counted."""
    async with serving(**with_openai, api_keys=KEYS) as service:
        for path in ("/livez", "/readyz"):
            assert (await service.client.get(path)).status_code == 200
        for path in ("/agents", "/openapi.json", "/docs", "/metrics", "/no-such-page", "/runs/1/stream"):
            refused = await service.client.get(path)
            problem_of(refused, 401, "unauthorized")
            assert refused.headers["www-authenticate"] == 'Bearer realm="waggle"'
        for wrong in (bearer("sk-wrong"), bearer(ACME + "x"), bearer(ACME[:-1]), {"Authorization": f"Basic {ACME}"}):
            refused = await service.client.post("/agents/assistant/run", json={"task": "hi"}, headers=wrong)
            problem_of(refused, 401, "unauthorized")
            assert 'error="invalid_token"' in refused.headers["www-authenticate"]
            assert ACME[:-1] not in refused.text
        metrics = (await service.client.get("/metrics", headers=bearer(ACME))).text
        assert 'waggle_rejections_total{reason="unauthorized"} 10.0' in metrics


async def test_a_key_stands_for_a_tenant_and_says_for_which_user(
    with_openai: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Each user's sessions are the user's own, each tenant's too; no key is logged or traced."""
    async with serving(**with_openai, api_keys=KEYS, log_level="debug") as service:
        body = {"task": "hi", "session_id": "s", "user_id": "ann"}
        made = await service.client.post("/agents/assistant/run", json=body, headers=bearer(ACME))
        run_id = made.json()["run_id"]
        assert made.json()["user_id"] == "ann"
        for headers, status in (
            (bearer(ACME) | {"X-User-ID": "ann"}, 200),
            (bearer(ACME) | {"X-User-ID": "bob"}, 404),
            (bearer(ACME), 404),
            (bearer(GLOBEX) | {"X-User-ID": "ann"}, 404),
        ):
            for path in (f"/runs/{run_id}", f"/runs/{run_id}/stream", f"/runs/{run_id}/trace", "/sessions/s"):
                assert (await service.client.get(path, headers=headers)).status_code == status
        trace = await service.client.get(f"/runs/{run_id}/trace", headers=bearer(ACME) | {"X-User-ID": "ann"})
        assert '"waggle.tenant":"acme"' in trace.text.replace(" ", "")
        assert ACME not in trace.text + caplog.text


async def test_a_file_of_keys_is_read_again_when_it_changes(
    with_openai: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A key comes, expires and goes without a restart; while the file is broken, the keys are those of before."""
    file = tmp_path / "keys.yaml"

    def write(*entries: dict[str, Any]) -> None:
        file.write_text(json.dumps(entries, default=str))

    mine = {"tenant": "acme", "key": ACME, "user": "ann", "name": "Ann's own"}
    write(mine)
    async with serving(**with_openai, api_keys_file=file) as service:

        async def status(key: str, **headers: str) -> int:
            return (await service.client.get("/sessions", headers=bearer(key) | headers)).status_code

        async def becomes(key: str, expected: int) -> None:
            with anyio.fail_after(20):
                while await status(key) != expected:
                    await anyio.sleep(0.05)

        assert await status(ACME) == 200
        assert await status(ACME, **{"X-User-ID": "bob"}) == 403
        write(mine, {"tenant": "globex", "key": GLOBEX})
        await becomes(GLOBEX, 200)
        file.write_text("[{")
        with anyio.fail_after(20):
            while "API_KEYS_FILE is neither YAML nor JSON" not in caplog.text:
                await anyio.sleep(0.05)
        assert await status(GLOBEX) == 200
        credentials = (await service.client.get("/readyz")).json()["checks"]["credentials"]
        assert credentials == {
            "status": "degraded",
            "reason": "API_KEYS_FILE is neither YAML nor JSON; the keys that it had before stay in force",
        }
        write(mine | {"expires": datetime.now(UTC) - timedelta(seconds=1)})
        await becomes(ACME, 401)
        assert await status(GLOBEX) == 401
    assert ACME not in caplog.text


def entries(**fields: Any) -> str:
    return json.dumps([{"tenant": "acme", "key": ACME} | fields])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"api_keys": "sk-of-nobody"}, "API_KEYS: entry 1 is not tenant:key", id="no tenant"),
        pytest.param({"api_keys": "a:b,acme:"}, "API_KEYS: entry 2", id="no key"),
        pytest.param({"api_keys": "acme:sha256:12"}, "64 hexadecimal digits", id="no hash"),
        pytest.param({"api_keys": "a b:sk-secret"}, "tenant", id="tenant's name"),
        pytest.param("no file", "API_KEYS_FILE cannot be read", id="no file"),
        pytest.param("tenant: [", "neither YAML nor JSON", id="not YAML"),
        pytest.param("[" * 9000, "neither YAML nor JSON", id="a nest without an end"),
        pytest.param("- {tenant: a, key: k, expires: 2026-02-30}", "has a date that is none", id="no date"),
        pytest.param("tenant: acme", "API_KEYS_FILE: Input should be a valid list", id="no list"),
        pytest.param(entries(scopes=["agents:*"]), "0.scopes.0", id="scope"),
        pytest.param(entries(expires="2027-01-01T00:00:00"), "0.expires", id="no time zone"),
        pytest.param(entries(colour="red"), "0.colour", id="unknown field"),
    ],
)
def test_keys_that_cannot_be_read_are_said_at_the_start(settings: Any, said: str, tmp_path: Path) -> None:
    """In a sentence that shows no key."""
    if isinstance(settings, str):
        file = tmp_path / "keys.yaml"
        if settings != "no file":
            file.write_text(settings)
        settings = {"api_keys_file": file}
    with pytest.raises(ValueError, match=said) as error:
        create_app(Settings(_env_file=None, data_dir=tmp_path, **settings))
    assert "sk-" not in str(error.value)


def test_a_key_of_the_environment_outlives_the_file(tmp_path: Path) -> None:
    """Either is enough, and the environment's is not taken back by the file."""
    file = tmp_path / "keys.yaml"
    file.write_text("")
    keys = ApiKeys((f"acme:{ACME}",), file)
    found = keys.find(ACME)
    assert found is not None
    assert (found.tenant, found.user, found.scopes) == ("acme", None, None)
    assert keys.find(GLOBEX) is None


PAGES: dict[str, tuple[dict[str, str], int]] = {
    "no browser": ({}, 200),
    "typed in": ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    "our own page": ({"Sec-Fetch-Site": "same-origin"}, 200),
    "a page that may": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://shop.example"}, 200),
    "another page": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
    "an image of another page": ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    "another port of this machine": ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, 403),
    "a sandbox": ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, 403),
    "an old browser": ({"Origin": "https://evil.example"}, 403),
    "an origin that is no URL": ({"Origin": "http://[evil"}, 403),
    "a name that was pointed here": ({"Host": "evil.example"}, 421),
    "a name that is none": ({"Host": "[::1"}, 421),
    "an address that is none": ({"Host": "[evil]"}, 421),
    "a name of this machine": ({"Host": "localhost:8000"}, 200),
    "an address": ({"Host": "[::1]:8000"}, 200),
}


@pytest.mark.parametrize("how", PAGES)
async def test_no_other_page_begins_a_run(how: str, with_openai: dict[str, Any], openai: OpenAIWire) -> None:
    """By `GET …/stream`, which a browser asks for without asking first."""
    headers, status = PAGES[how]
    async with serving(**with_openai, cors_origins="https://shop.example") as service:
        answer = await service.client.get("/agents/assistant/stream?task=hi", headers=headers)
    assert answer.status_code == status
    assert len(openai.requests) == (status == 200)


async def test_names_that_are_allowed(with_openai: dict[str, Any]) -> None:
    """With ALLOWED_HOSTS these alone, and with credentials any where it is unset."""
    asked: list[tuple[dict[str, Any], str, int]] = [
        ({"allowed_hosts": "agents.example"}, "agents.example:8000", 200),
        ({"allowed_hosts": "agents.example"}, "127.0.0.1", 421),
        ({"auth": "none"}, "agents.example", 200),
        ({"api_keys": KEYS}, "agents.example", 200),
    ]
    for settings, host, status in asked:
        async with serving(**with_openai, **settings) as service:
            answer = await service.client.get("/agents", headers=bearer(ACME) | {"Host": host})
        assert answer.status_code == status
