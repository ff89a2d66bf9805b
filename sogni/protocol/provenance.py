"""What the service proves of a result: decides what of it can be believed (projects-5x §14).

Called for every result. What is malformed is left out, as the service's own clients do; it fails nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..models.converter import snake
from ..models.provenance import MaskSelection, Provenance

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_MOST = 2**53 - 1
"""The largest number JSON carries exactly."""
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,79}")


def read_provenance(payload: Mapping[str, Any]) -> Provenance | None:
    """The provenance in a result; None when there is nothing of it."""
    found = {key: check(payload[key]) for key, check in _CHECKS.items() if key in payload}
    values: dict[str, Any] = {snake(key): value for key, value in found.items() if value is not None}
    return Provenance(**values) if values else None


def _hash(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and _HASH.fullmatch(value) else None


def _version(value: Any) -> str | None:
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else None


def _whole(value: Any, low: int) -> int | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and low <= value <= _MOST and value == int(value) else None


def _side(value: Any) -> int | None:
    return _whole(value, 1)


def _count(value: Any) -> int | None:
    return _whole(value, 0)


def _share(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and 0 <= value <= 1 else None


def _box(value: Any) -> list[float] | None:
    if not isinstance(value, list) or len(value) != 4 or None in map(_share, value):
        return None
    x0, y0, x1, y1 = value
    return value if x0 < x1 and y0 < y1 else None


def _selections(value: Any) -> list[MaskSelection] | None:
    if not isinstance(value, list):
        return None
    return [found for found in map(_selection, value) if found is not None] or None


def _selection(value: Any) -> MaskSelection | None:
    if not isinstance(value, Mapping):
        return None
    score, box = value.get("score"), value.get("box")
    coverage, included = _share(value.get("coverage")), value.get("included")
    wrong = (score is not None and _share(score) is None) or (box is not None and _box(box) is None)
    if wrong or coverage is None or not isinstance(included, bool):
        return None
    return MaskSelection(score=score, box=_box(box), coverage=coverage, included=included)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        (
            "sha256", "sourceImageSha256", "samPromptSha256", "maskRleSha256", "selectionHash", "firstFrameSha256",
            "lastFrameSha256",
        ),
        _hash,
    ),
    "maskWidth": _side,
    "maskHeight": _side,
    "samVersion": _version,
    "maskBox": _box,
    "maskCoverage": _share,
    "maskDetectedCount": _count,
    "maskReturnedCount": _count,
    "maskSelections": _selections,
}  # fmt: skip

PROVENANCE_FIELDS = frozenset(_CHECKS)
"""The fields of a result that are read here."""
