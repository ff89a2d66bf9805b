"""Refusals of chats over REST: decides which of them say what a failed chat job says (chat §14.4).

Called by the flows of hosted chats and of durable runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ApiError, ChatError, SogniError
from .chat_state import subscription_fields
from .failures import chat_api_error


def as_chat_error(error: SogniError) -> SogniError:
    """The same error as a `ChatError` as well when its body is one of the two known; else the error as it is."""
    found = _said(error.payload) if isinstance(error, ApiError) and isinstance(error.payload, Mapping) else None
    if found is None or not isinstance(error, ApiError):
        return error
    return chat_api_error(error, ChatError(error.message, **found))


def _said(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    inner = payload.get("error")
    if isinstance(inner, Mapping):
        given = inner.get("subscription")
        about = subscription_fields(given if isinstance(given, Mapping) else {})
        code, tag = _text(inner.get("code")), _text(inner.get("type"))
        known = code is not None or tag is not None
    else:
        about = subscription_fields(payload)
        code, tag = _text(payload.get("error_code")), _text(inner)
        known = code is not None or (tag is not None and _text(payload.get("error_message")) is not None)
    if not known and not about["subscription_limit"]:
        return None
    return {"code": code, "error_type": tag, **about}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
