"""What the caller may have meant: decides which known names come close to a wrong one.

Called where a name is refused (keywords, model ids, samplers, presets). It refuses nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_MOST = 3
_LIKENESS = 0.6


def nearest(name: Any, known: Iterable[str], most: int = _MOST) -> list[str]:
    """Return the known names most like `name`, best first; none for what is no text."""
    return get_close_matches(name, list(known), n=most, cutoff=_LIKENESS) if isinstance(name, str) else []


def did_you_mean(name: Any, known: Iterable[str], most: int = _MOST) -> str:
    """Return `; did you mean 'x' or 'y'?`, or nothing when no known name comes close."""
    close = nearest(name, known, most)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
