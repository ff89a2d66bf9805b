"""Error codes in frames: decides what a `jobError` means (transport §16, projects-4.2 §11.5)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..models.events import ErrorData
from .json_values import beyond

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

_NAMED = frozenset({"jobID", "imgID", "error", "error_message"})
_DETAILS = {
    "subscriptionLimit": ("subscription_limit", bool),
    "requiredPlans": ("required_plans", list),
    "feature": ("feature", str),
    "limitation": ("limitation", str),
}

DETAILS = (*_DETAILS, "fairUse", "vendorFailureCategory", "consentRequired")
"""What the service may say beside an error (additions-5x §4)."""


def error_data(payload: Mapping[str, Any]) -> ErrorData:
    """The error of a `jobError` frame: numbers stay, symbols get their code and are kept beside it.

    Details without a field of their own (`consentRequired`, `fairUse`, …) are in `extra`.
    """
    message = payload.get("error_message")
    found = {key for key, (_, kind) in _DETAILS.items() if isinstance(payload.get(key), kind)}
    details: dict[str, Any] = {_DETAILS[key][0]: payload[key] for key in found}
    details["extra"] = beyond(payload, _NAMED | found)
    error = payload.get("error")
    code = 0 if error is None and "error" in payload else _number(error)
    if code is None:
        code = SYMBOLS.get(str(error), UNKNOWN_SYMBOL)
        details["original_code"] = None if error is None else str(error)
    return ErrorData(code=code, message=message if isinstance(message, str) else "", **details)


def _number(error: Any) -> int | None:
    if isinstance(error, str):
        number = read_number(error)
    else:
        number = float(error) if isinstance(error, int | float) and abs(error) < 1e300 else None
    return None if number is None else int(number)


def read_number(text: str) -> float | None:
    """The number in a text, as JavaScript reads it: blank is 0, `1e3` and `0x1f` count, `1_000` is none."""
    text = text.strip()
    if re.fullmatch(r"0x[0-9a-f]{1,200}", text, re.IGNORECASE | re.ASCII):
        return float(int(text, 16))
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|", text, re.IGNORECASE | re.ASCII):
        return None
    number = float(text or "0")
    return number if math.isfinite(number) else None
