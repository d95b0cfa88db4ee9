"""The gate: pure ASGI, before anything else of the application, so that a new route is closed until it is opened here.

Besides credentials it looks at who has a browser send the request. A page of another site can make a browser ask for
anything that needs no header of its own, and that is enough to begin a run with `GET …/stream`; a name that its owner
points at 127.0.0.1 makes this service such a page's own site (DNS rebinding).
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.identity.api_keys import ApiKeys
from app.api.identity.principal import ANYBODY, Principal
from app.api.problems import problem_response
from app.errors import AppError, Forbidden, Unauthorized, WrongHost
from app.settings import Settings
from app.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from app.api.identity.tokens import Tokens

PUBLIC = {"/", "/livez", "/readyz"}
"""For everybody."""
STATIC = "/static/"
"""The playground's files are below it, for everybody too."""
PAGES = {"/", "/docs", "/redoc", "/docs/oauth2-redirect"}
"""What a link on another site may lead to."""


class Identity:
    """The credentials that are known, and who they stand for."""

    def __init__(self, settings: Settings) -> None:
        self.keys = ApiKeys(settings.api_keys_given, settings.api_keys_file)
        self.tokens = _tokens(settings) if settings.jwt_issuer is not None else None
        self._asked = settings.asks_for_credentials

    async def of(self, headers: Mapping[str, str]) -> Principal:
        """Raises Unauthorized, and Unavailable where a token's issuer cannot be reached."""
        if not self._asked:
            return ANYBODY
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        credentials = credentials.strip()
        if scheme.lower() != "bearer" or not credentials:
            raise Unauthorized("Send 'Authorization: Bearer …' with a key or token of yours.")
        if (principal := self.keys.find(credentials)) is not None:
            return principal
        if self.tokens is not None and credentials.count(".") == 2:
            return await self.tokens.find(credentials)
        raise Unauthorized("The credentials are unknown, or not accepted any more.")

    async def close(self) -> None:
        if self.tokens is not None:
            await self.tokens.close()


def _tokens(settings: Settings) -> "Tokens":
    from app.api.identity.tokens import Tokens  # noqa: PLC0415 keys alone need no JWT and no cryptography

    return Tokens(settings)


class Gate:
    """Lets in who may come in, as `scope["state"]["principal"]`."""

    def __init__(self, app: ASGIApp, identity: Identity, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._identity = identity
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._meant_for_here(headers)
            self._from_our_pages(scope, headers)
            principal = ANYBODY if _is_public(scope["path"]) else await self._identity.of(headers)
        except AppError as error:
            self._metrics.rejected(error.kind)
            challenge = {"WWW-Authenticate": _challenge(headers)} if isinstance(error, Unauthorized) else None
            problem = error.problem(instance=scope["path"])
            response = problem_response(problem, retry_after_s=error.retry_after_s, headers=challenge)
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        await self._app(scope, receive, send)

    def _meant_for_here(self, headers: Headers) -> None:
        """Where nobody is asked for credentials, a name that could be anybody's must be one of ours."""
        allowed = self._settings.allowed_hosts
        if not allowed and (self._settings.asks_for_credentials or self._settings.auth == "none"):
            return
        given = headers.get("host", "")
        host = _name_in(given)
        if host is None or (host not in allowed and not (not allowed and _is_local(host))):
            raise WrongHost(
                f"This service does not answer to {host or given!r}: ALLOWED_HOSTS lists the names that it has."
            )

    def _from_our_pages(self, scope: Scope, headers: Headers) -> None:
        """https://www.w3.org/TR/fetch-metadata/; browsers that do not send it name the page's origin with POST."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and (origin in self._settings.cors_origins or "*" in self._settings.cors_origins):
            return
        foreign = site in ("cross-site", "same-site")
        if origin is not None and "sec-fetch-site" not in headers:
            foreign = origin.partition("://")[2] != headers.get("host")
        if foreign and not (scope["path"] in PAGES and scope["method"] == "GET" and origin is None):
            raise Forbidden("Pages of that site may not call this service: CORS_ORIGINS lists those that may.")


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(STATIC)


@lru_cache(maxsize=64)
def _name_in(authority: str) -> str | None:
    """The host's name or address; None where brackets stand around neither."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    """An address, or a name that no public one is like."""
    if "." not in host or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _challenge(headers: Headers) -> str:
    """RFC 6750, section 3."""
    return 'Bearer realm="waggle"' + (', error="invalid_token"' if "authorization" in headers else "")
