"""Error codes in frames: decides what a `jobError` means (transport §16, projects-4.2 §11.5)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..models.events import ErrorData

SYMBOLS = {
    "serverRestarting": 5001,
    "workerDisconnected": 5002,
    "jobTimedOut": 5003,
    "artistCanceled": 5004,
    "workerCancelled": 5005,
}
UNKNOWN_SYMBOL = 5000
RESTARTING = 1001
LOST = "projectLost"

_DETAILS = {
    "subscriptionLimit": ("subscription_limit", bool),
    "requiredPlans": ("required_plans", list),
    "feature": ("feature", str),
    "limitation": ("limitation", str),
}


def error_data(payload: Mapping[str, Any]) -> ErrorData:
    """The error of a `jobError` frame: numbers stay, symbols get their code and are kept beside it."""
    message = payload.get("error_message")
    details: dict[str, Any] = {
        name: payload[key] for key, (name, kind) in _DETAILS.items() if isinstance(payload.get(key), kind)
    }
    error = payload.get("error")
    code = _number(error)
    if code is None:
        code = SYMBOLS.get(str(error), UNKNOWN_SYMBOL)
        details["original_code"] = None if error is None else str(error)
    return ErrorData(code=code, message=message if isinstance(message, str) else "", **details)


def _number(error: Any) -> int | None:
    if isinstance(error, bool):
        return int(error)
    if isinstance(error, str):
        error = error.strip() or "0"
    elif not isinstance(error, int | float):
        return None
    try:
        number = float(error)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) else None
