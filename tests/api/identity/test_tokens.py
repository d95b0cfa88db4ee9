"""Tokens of an OpenID Connect provider that really answers, and really rotates its keys."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.api.identity import tokens
from tests.api.identity.test_keys import ACME, KEYS, bearer
from tests.api.test_problems import problem_of
from tests.servers.issuer import Issuer
from tests.service import Service, serving


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


async def asked(service: Service, token: str, status: int = 200, **headers: str) -> dict[str, Any]:
    answer = await service.client.get("/sessions", headers=bearer(token) | headers)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_token_is_its_user(with_openai: dict[str, Any], issuer: Issuer) -> None:
    """Its sub; another user_id is refused wherever it stands, and API keys stay good beside tokens."""
    async with serving(**with_openai, **issuer.settings, api_keys=KEYS) as service:
        headers = bearer(issuer.token("auth0|ann"))
        run = await service.client.post(
            "/agents/assistant/run", json={"task": "hi", "session_id": "s"}, headers=headers
        )
        assert run.json()["user_id"] == "auth0|ann"
        same = await service.client.get("/sessions/s?user_id=auth0|ann", headers=headers)
        assert same.status_code == 200
        for body, more, query in (
            ({"user_id": "bob"}, {}, ""),
            ({}, {"X-User-ID": "bob"}, ""),
            ({}, {}, "?user_id=bob"),
        ):
            answer = await service.client.post(
                f"/agents/assistant/run{query}", json={"task": "hi"} | body, headers=headers | more
            )
            problem_of(answer, 403, "forbidden")
        await asked(service, issuer.token("bob"))
        assert (await service.client.get("/sessions/s", headers=bearer(issuer.token("bob")))).status_code == 404
        assert (await service.client.get("/sessions", headers=bearer(ACME))).status_code == 200
        assert issuer.asked == 1


def forged(issuer: Issuer, algorithm: str, key: Any) -> str:
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": str(issuer.kid)})


def encoded(part: Any) -> str:
    whole = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


def tampered(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    return f"{header}.{encoded(claims | {'sub': 'root'})}.{signature}"


def with_public_key_as_secret(issuer: Issuer) -> str:
    """The classic: HS256, with what everybody knows as the secret. PyJWT would not sign it."""
    secret = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    signed = f"{encoded({'alg': 'HS256', 'kid': str(issuer.kid)})}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


WRONG: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(lives_s=-60),
    "not yet": lambda issuer: issuer.token(nbf=2**31),
    "another audience": lambda issuer: issuer.token(aud="shop"),
    "another issuer": lambda issuer: issuer.token(iss="https://evil.example"),
    "no end": lambda issuer: issuer.token(exp=None),
    "no user": lambda issuer: issuer.token(sub=None),
    "a user of spaces": lambda issuer: issuer.token("ann b"),
    "not signed": lambda issuer: forged(issuer, "none", None),
    "signed by another": lambda issuer: forged(issuer, "ES256", ec.generate_private_key(ec.SECP256R1())),
    "signed with the public key": with_public_key_as_secret,
    "signed otherwise": lambda issuer: forged(issuer, "ES384", ec.generate_private_key(ec.SECP384R1())),
    "tampered with": tampered,
    "no token": lambda _: "a.b.c",
    "no way of signing": lambda _: f"{encoded({'typ': 'JWT'})}.e30.AAAA",
    "a head that is no object": lambda _: f"{encoded([1])}.e30.AAAA",
    "a head without an end": lambda _: f"{encoded(b'[' * 9000)}.e30.AAAA",
    "a key of another kind": lambda issuer: forged(issuer, "RS256", rsa.generate_private_key(65537, 2048)),
    "a bomb": lambda _: f"{'e30' * 9000}.{'A' * 9000}.{'B' * 9000}",
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_token_that_is_not_accepted(wrong: str, with_openai: dict[str, Any], issuer: Issuer) -> None:
    """It says that, and why in a word."""
    async with serving(**with_openai, **issuer.settings) as service:
        await asked(service, issuer.token())
        refused = await service.client.get("/sessions", headers=bearer(WRONG[wrong](issuer)))
    assert refused.status_code in (401, 431)
    if refused.status_code == 401:
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_clocks_may_differ_a_little(with_openai: dict[str, Any], issuer: Issuer) -> None:
    """By JWT_LEEWAY_S."""
    async with serving(**with_openai, **issuer.settings, jwt_leeway_s=10) as service:
        await asked(service, issuer.token(lives_s=-5))
        await asked(service, issuer.token(lives_s=-15), 401)


async def test_keys_rotate(with_openai: dict[str, Any], issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is fetched when a token names it, not more often than allowed; the old one is no good afterwards."""
    async with serving(**with_openai, **issuer.settings) as service:
        old = issuer.token()
        await asked(service, old)
        issuer.rotate(rsa.generate_private_key(65537, 2048))
        new = issuer.token()
        await asked(service, new, 401)  # within the cooldown nobody is asked
        assert issuer.asked == 1
        monkeypatch.setattr(tokens, "COOLDOWN_S", 0)
        await asked(service, new)
        assert issuer.asked == 2
        await asked(service, old, 401)


async def test_the_issuer_is_away(with_openai: dict[str, Any], issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are known stay good; without any, nobody can be told from anybody: 503, and later again."""
    issuer.down = True
    async with serving(**with_openai, **issuer.settings) as service:
        answer = await service.client.get("/sessions", headers=bearer(issuer.token()))
        problem_of(answer, 503, "unavailable")
        assert answer.headers["retry-after"]
        issuer.down = False
        monkeypatch.setattr(tokens, "COOLDOWN_S", 0)
        await asked(service, issuer.token())
        issuer.down = True
        monkeypatch.setattr(tokens, "FRESH_S", 0)
        await asked(service, issuer.token())


async def test_tenants_and_scopes_of_claims(with_openai: dict[str, Any], issuer: Issuer) -> None:
    """`scope` and `scp` count where that is asked for, and a token without its tenant is refused."""
    settings = {"jwt_tenant_claim": "org", "jwt_scopes": True, "jwt_jwks_url": f"{issuer.url}/keys"}
    async with serving(**with_openai, **issuer.settings, **settings) as service:
        await asked(service, issuer.token(), 401)
        for claims, names in (
            ({"scope": "openid agents:weather:run"}, ["weather"]),
            ({"scp": ["agents:weather:read", "agents:research:run"]}, ["research", "weather"]),
            ({"scope": "openid"}, []),
            ({}, []),
        ):
            headers = bearer(issuer.token(org="acme", **claims))
            items = (await service.client.get("/agents", headers=headers)).json()["items"]
            assert [item["name"] for item in items] == names
