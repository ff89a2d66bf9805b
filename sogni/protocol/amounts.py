"""Amounts of money: decides which ones are exact, and how they are sent (account §8).

Called by the flows that move tokens. No float takes part: one that is given counts as its shortest text.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ..errors import ValidationError
from .http import number_text

DECIMALS = 18
_PLAIN = re.compile(r"-?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"[\d.,eE+\- ]{0,40}", re.ASCII)
_MOST_DIGITS = 96


def smallest_units(amount: Any, *, positive: bool = False) -> str:
    """The 18-decimal integer of an amount, as text. ValidationError for what is none, or not above 0 if `positive`."""
    text = _text_of(amount)
    if not _PLAIN.fullmatch(text) or len(text) > _MOST_DIGITS:
        raise _refused("must be a plain decimal number such as '1.5'", amount)
    whole, _, decimals = text.partition(".")
    if decimals[DECIMALS:].strip("0"):
        raise _refused(f"has more than {DECIMALS} decimals", amount)
    units = int(whole.lstrip("-") + decimals[:DECIMALS].ljust(DECIMALS, "0"))
    if text.startswith("-"):
        units = -units
    if positive and units <= 0:
        raise _refused("must be above 0", amount)
    return str(units)


def _text_of(amount: Any) -> str:
    if isinstance(amount, str):
        return amount
    if isinstance(amount, Decimal) and amount.is_finite() and -_MOST_DIGITS < amount.adjusted() < _MOST_DIGITS:
        return format(amount, "f")
    if isinstance(amount, float):
        return number_text(amount)
    return str(amount) if isinstance(amount, int) and not isinstance(amount, bool) and not _endless(amount) else ""


def _endless(amount: Any) -> bool:
    """Whether an integer has more digits than any amount; Python itself refuses to write some of those."""
    return isinstance(amount, int) and abs(amount) >= 10**_MOST_DIGITS


def _refused(why: str, amount: Any) -> ValidationError:
    # Any other text may be the password, with the arguments the wrong way round.
    secret = isinstance(amount, str) and not _LIKE_A_NUMBER.fullmatch(amount)
    if isinstance(amount, str) and not secret:
        amount = str(amount)
    endless = _endless(amount)
    return ValidationError(
        f"amount {why}, not {'a text of another kind' if secret else 'one that long' if endless else repr(amount)}",
        field="amount",
        value=None if secret or endless else amount,
        allowed="a decimal number as text or Decimal",
    )
