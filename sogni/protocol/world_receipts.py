"""The receipt of a project that belongs to the building of a world: decides its form (projects-5x §2.2).

Called by `common_rules` and `job_request`. Keys of another stage are dropped, as the service does.
"""

from __future__ import annotations

import re
from typing import Any

from ..models.common_params import WorldGenerationReceipt
from .field_checks import one_of, refusal
from .nested_params import nested

_FIELD = "world_generation_receipt"
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_HASHES = {
    "target_still": {"sourceImageSha256": "source_image_sha256", "selectionHash": "selection_hash"},
    "transition": {"firstFrameSha256": "first_frame_sha256", "lastFrameSha256": "last_frame_sha256"},
}


def world_receipt(given: Any) -> dict[str, str] | None:
    """Return a receipt as it travels, its hashes in lower case; ValidationError for a wrong one, None for none."""
    receipt = nested(WorldGenerationReceipt, _FIELD, given)
    if receipt is None:
        return None
    stage = one_of(f"{_FIELD}.stage", receipt.stage, tuple(_HASHES))
    return {"stage": stage} | {key: _hash(name, getattr(receipt, name)) for key, name in _HASHES[stage].items()}


def _hash(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise refusal(f"{_FIELD}.{name}", value, "64 hexadecimal digits")
    return value.lower()
