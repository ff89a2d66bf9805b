"""Tokens: JSON web tokens as the service hands them out (transport §5.1).

Called by the sessions. It makes and reads; which token still counts is decided there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

from attrs import define, field


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


_HEADER = _encoded(b'{"alg":"HS256","typ":"JWT"}')


@define
class TokenMint:
    """Signs claims with a secret of its own (HS256) and reads what it signed."""

    _secret: bytes = field(factory=lambda: secrets.token_bytes(32), repr=False)

    def make(self, claims: Mapping[str, Any]) -> str:
        body = f"{_HEADER}.{_encoded(json.dumps(claims, separators=(',', ':')).encode())}"
        return f"{body}.{self._signature(body)}"

    def read(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token made here, expired or not; None for anything else."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode(errors="surrogateescape")):
            return None
        claims: dict[str, Any] = json.loads(_decoded(body.partition(".")[2]))
        return claims

    def _signature(self, body: str) -> str:
        return _encoded(hmac.new(self._secret, body.encode(errors="surrogateescape"), hashlib.sha256).digest())
