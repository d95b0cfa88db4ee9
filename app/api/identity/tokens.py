"""Tokens of an OpenID Connect provider: RFC 7519 and RFC 9068, verified by PyJWT against the provider's JWKS."""

import asyncio
import logging
import re
import time
from typing import Any

import httpx
import jwt
import orjson

from app.api.identity.principal import ANYBODY, Principal, scopes_in
from app.errors import Unauthorized, Unavailable
from app.settings import Settings

logger = logging.getLogger(__name__)

FETCH_TIMEOUT_S = 5.0
MAX_JWKS_BYTES = 2**20
FRESH_S = 300.0
"""How long keys are used before the provider is asked again: a key that it took back is accepted so long."""
COOLDOWN_S = 10.0
"""How soon it is asked again, whatever key tokens name: they may name anything."""
_SUBJECT = re.compile(r"[\x21-\x7e]{1,128}")
_TENANT = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Jwks:
    """The provider's keys, fetched when they are needed first, then again as they age or an unknown one is named."""

    def __init__(self, issuer: str, url: str | None) -> None:
        self._issuer = issuer
        self._url = url
        self._client = httpx.AsyncClient(timeout=FETCH_TIMEOUT_S, headers={"Accept": "application/json"})
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._asked_at = self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def close(self) -> None:
        await self._client.aclose()

    async def key(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of that id, or the only one; None where the provider has none. Raises Unavailable."""
        if self._age() > FRESH_S or kid not in self._keys:
            async with self._fetching:
                if self._age() > FRESH_S or kid not in self._keys:
                    await self._refresh()
        return self._keys.get(kid)

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    async def _refresh(self) -> None:
        if time.monotonic() - self._asked_at < COOLDOWN_S:
            return self._must_have_keys()
        self._asked_at = time.monotonic()
        try:
            async with asyncio.timeout(2 * FETCH_TIMEOUT_S):
                found = jwt.PyJWKSet.from_dict(await self._get(self._url or await self._discovered()))
        except (
            httpx.HTTPError,
            TimeoutError,
            jwt.PyJWTError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
        ) as error:
            logger.warning("The keys of the token issuer cannot be had (%s)", type(error).__name__)
            return self._must_have_keys()
        usable = [key for key in found.keys if key.public_key_use in (None, "sig")]
        self._keys = {key.key_id: key for key in usable}
        if len(usable) == 1:
            self._keys[None] = usable[0]
        self._fetched_at = time.monotonic()
        return None

    def _must_have_keys(self) -> None:
        if not self._keys:
            raise Unavailable("The token issuer's keys cannot be had at the moment.", retry_after_s=int(COOLDOWN_S))

    async def _discovered(self) -> str:
        """https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig."""
        found = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found["issuer"] != self._issuer:
            raise ValueError("the issuer names itself otherwise")
        return str(found["jwks_uri"])

    async def _get(self, url: str) -> Any:
        body = b""
        async with self._client.stream("GET", url) as response:
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MAX_JWKS_BYTES:
                    raise ValueError("too large")
        return orjson.loads(body)


class Tokens:
    """A token *is* its user."""

    def __init__(self, settings: Settings) -> None:
        assert settings.jwt_issuer is not None, "tokens have an issuer"  # noqa: S101
        self._settings = settings
        self._jwks = Jwks(settings.jwt_issuer, settings.jwt_jwks_url)

    async def close(self) -> None:
        await self._jwks.close()

    async def check(self) -> None:
        """Raises Unavailable where the issuer's keys cannot be had."""
        await self._jwks.key(None)

    async def find(self, token: str) -> Principal:
        """Raises Unauthorized, and Unavailable where the issuer's keys cannot be had."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in self._settings.jwt_algorithms:
                raise Unauthorized("The token is signed in a way that is not accepted.")
            key = await self._jwks.key(header.get("kid"))
            if key is None:
                raise Unauthorized("The token is signed with a key that its issuer does not have.")
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                leeway=self._settings.jwt_leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired.") from None
        except (jwt.PyJWTError, TypeError):  # the latter for a key of another kind than the algorithm's
            raise Unauthorized("The token is not valid for this service.") from None
        return self._principal(claims)

    def _principal(self, claims: dict[str, Any]) -> Principal:
        user = claims["sub"]
        if not _SUBJECT.fullmatch(user):
            raise Unauthorized("The token's sub is not 1 to 128 printable ASCII characters without spaces.")
        return Principal(self._tenant(claims), user, _scopes(claims) if self._settings.jwt_scopes else None)

    def _tenant(self, claims: dict[str, Any]) -> str:
        claim = self._settings.jwt_tenant_claim
        if claim is None:
            return ANYBODY.tenant
        tenant = claims.get(claim)
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise Unauthorized(f"The token has no {claim!r} that names its tenant.")
        return tenant


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Of `scope` (RFC 8693, section 4.2: words), or of `scp`, as others name it: words or a list."""
    said = claims.get("scope", claims.get("scp", ""))
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    return scopes_in(word for word in words if isinstance(word, str))
