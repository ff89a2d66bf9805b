"""Where a result comes from: what the service proves of it (projects-5x §14)."""

from __future__ import annotations

from attrs import frozen

from .base import Model


@frozen(kw_only=True)
class MaskSelection(Model):
    """One thing that SAM 3 found; `box` is `[x0, y0, x1, y1]`, sides and `coverage` from 0 to 1."""

    score: float | None = None
    box: list[float] | None = None
    coverage: float
    included: bool


@frozen(kw_only=True)
class Provenance(Model):
    """What the service proves of a result; hashes are 64 hexadecimal digits in lower case.

    `mask_box` is `[x0, y0, x1, y1]`; its sides and `mask_coverage` lie between 0 and 1.
    """

    sha256: str | None = None
    source_image_sha256: str | None = None
    sam_prompt_sha256: str | None = None
    mask_rle_sha256: str | None = None
    selection_hash: str | None = None
    first_frame_sha256: str | None = None
    last_frame_sha256: str | None = None
    mask_width: int | None = None
    mask_height: int | None = None
    sam_version: str | None = None
    mask_box: list[float] | None = None
    mask_coverage: float | None = None
    mask_detected_count: int | None = None
    mask_returned_count: int | None = None
    mask_selections: list[MaskSelection] | None = None
