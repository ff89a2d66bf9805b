"""What a token says of itself: decides until when it can be used and whose it is.

Called by the credentials. Tokens are only decoded, never verified (transport §5.1): whether one is good, the
service decides.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, TypeGuard

from ..settings import is_sendable


def claims_of(token: str) -> dict[str, Any] | None:
    """The claims in a token; None when it is none that can be decoded."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def is_token(value: Any) -> TypeGuard[str]:
    """Whether a value is a token that can be sent, and whose claims can be read."""
    return isinstance(value, str) and is_sendable(value) and claims_of(value) is not None


def issued_at(token: str) -> float | None:
    """When a token was issued, in seconds since 1970, when it says so."""
    return _seconds((claims_of(token) or {}).get("iat"))


def expires_at(token: str) -> float | None:
    """When a token expires, when it says so."""
    return _seconds((claims_of(token) or {}).get("exp"))


def _seconds(claim: Any) -> float | None:
    return claim if type(claim) in (int, float) and not math.isnan(claim) else None


def is_fresh(token: str | None, now: float) -> bool:
    """Whether a token can be used at `now`, in seconds since 1970; one that names no end can."""
    if not token or claims_of(token) is None:
        return False
    end = expires_at(token)
    return end is None or end > now


def address_of(token: str | None) -> str | None:
    """The wallet a token belongs to, when it says so."""
    address = (claims_of(token) or {}).get("addr") if token else None
    return address if isinstance(address, str) and address else None
