"""An OpenID Connect provider on loopback: discovery, JWKS, and tokens signed with keys that rotate."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.servers.otlp import Answer, Collector, Request

AUDIENCE = "waggle"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issuer(Collector):
    """`token` makes one; `down` answers 503; `rotate` replaces the key; `asked` counts the looks at the JWKS."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.asked = 0
        self.kid = 0
        self.key: Key
        self.rotate()

    def rotate(self, key: Key | None = None) -> None:
        self.kid += 1
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    @property
    def settings(self) -> dict[str, Any]:
        return {"jwt_issuer": self.url, "jwt_audience": AUDIENCE}

    def token(self, user: str = "ann", *, lives_s: float = 60, **claims: Any) -> str:
        """Signed as the key is; a claim that is None is left out."""
        now = time.time()
        said = {"iss": self.url, "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + lives_s} | claims
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            self.key,
            algorithm="RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256",
            headers={"kid": str(self.kid)},
        )

    def receive(self, request: Request) -> Answer | None:
        if self.down:
            return Answer(503)
        if request.path == "/.well-known/openid-configuration":
            found: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        elif request.path == "/keys":
            self.asked += 1
            found = {"keys": [self._public() | {"kid": str(self.kid)}]}
        else:
            return Answer(404)
        return Answer(200, json.dumps(found).encode())

    def _public(self) -> dict[str, Any]:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
