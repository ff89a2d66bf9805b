"""What callers give that ends up in an address or a header: decides whether it can stand there.

Called by the calls of runs, workflows, templates and replay. Every refusal is a `ValidationError`, before anything
is sent.
"""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import quote

from .field_checks import refusal

_HEADER_TEXT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def path_segment(field: str, value: Any) -> str:
    """An id as one segment of a path, percent-encoded (workflows §1)."""
    if not isinstance(value, str) or not value.strip():
        raise refusal(field, value, "the id as a text")
    if value in (".", ".."):
        # Every HTTP library takes these for directions, and would ask for something else.
        raise refusal(field, value, "an id")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise refusal(field, value, "the id as a text") from None


def header_text(field: str, value: Any) -> str:
    """A text that a header can carry: printable ASCII without blanks around it."""
    if not isinstance(value, str) or not _HEADER_TEXT.fullmatch(value):
        raise refusal(field, value, "a text of printable ASCII characters")
    return value


def event_id(field: str, value: Any) -> str | None:
    """The id or number of an event as it is sent; None when there is none, and 0 is one (workflows §6)."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value % 1 == 0:
        return str(int(value))
    if isinstance(value, str):
        return header_text(field, value)
    raise refusal(field, value, "the id of an event, a number or a text")
