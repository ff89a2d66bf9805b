"""The families of video models: workflows, assets, frame rates and limits. The rows are in ``catalogue.json``."""
# Protocol notes: projects-4.2 §6, projects-5x §3, §4.

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from sogni.emulator.catalogue.models import table

ASSETS = (
    "referenceImage", "referenceImageEnd", "referenceAudio", "referenceAudioIdentity", "referenceVideo",
    "referenceMask",
)  # fmt: skip
"""In the order in which they are checked."""

# R: required, O: optional, X: forbidden. The columns are those of ``ASSETS``.
ASSET_MATRIX: Mapping[str, str] = {
    "t2v": "XXXOXX",
    "i2v": "OOXOXX",
    "s2v": "RXRXXX",
    "ia2v": "RXRXXX",
    "a2v": "XXRXXX",
    "animate-move": "RXXXRX",
    "animate-replace": "RXXXRX",
    "v2v": "OXXORO",
    "upscale": "XXXXRX",
    "flf2v": "RRXXXX",
    "flfa2v": "RRRXXX",
}
H3_MATRIX: Mapping[str, str] = {"r2v": "OXXXXX", "i2v": "OOXXXX"}
"""The rows that differ for MiniMax H3. Its r2v models take numbered audio and video references, see ``video_rules``."""
NEEDS_ONE_OF: Mapping[str, tuple[str, ...]] = {"i2v": ("referenceImage", "referenceImageEnd")}
CARRIES_REFERENCE_AUDIO = frozenset({"s2v", "ia2v", "a2v", "flfa2v"})
TAKES_SUBJECT_POINTS = "animate-replace"
TAKES_CONTROL_NET = "v2v"
CONTROL_NAMES = ("canny", "pose", "depth", "detailer", "outpaint", "inpaint")
DISTILLED_CONTROL_NAMES = ("outpaint", "inpaint")


@frozen(kw_only=True)
class Family:
    """One family.

    Attributes:
        workflows: Matched against the model ID, in this order; if empty, the inputs decide.
        frames: Bounds of the number of frames, if they are not those of the tier.
        strict_grid: Whether values off the tier's grid are refused.
        frame_rates: The frame rates a request may use.
        rate_range: Bounds of the frame rate where any number is allowed.
        native_rate: Set if frames are generated at one rate and interpolated to a higher one.
        native_sound: Whether the model generates sound.
        workflow: The workflow of every model, whatever its ID.
    """

    name: str
    prefix: str
    workflows: Sequence[str] = ()
    frames: Sequence[int] | None = None
    strict_grid: bool = False
    frame_rates: Sequence[int] = ()
    rate_range: Sequence[int] | None = None
    native_rate: int | None = None
    native_sound: bool = False
    negative_prompt: bool = True
    default_frames: int = 81
    workflow: str | None = None
    upscales: bool = False


FAMILIES = tuple(Family(**row) for row in table("videoFamilies"))


@frozen(kw_only=True)
class References:
    """The references accepted by a Seedance model: their number per kind and in total, the length and size of the
    result (``short_side`` in pixels), and the capabilities of the newer models.
    """

    images: int = 9
    videos: int = 3
    audios: int = 3
    total: int = 12
    frames: Sequence[int] = (97, 361)
    short_side: int
    audio_alone: bool = False
    task_type: bool = False
    formats: Sequence[str] = ("mp4",)


SEEDANCE: Mapping[str, References] = {name: References(**row) for name, row in table("seedance").items()}


def family_of(model_id: str) -> Family:
    """Return the family of a video model."""
    return next(family for family in FAMILIES if model_id.startswith(family.prefix))


def workflow_of(family: Family, model_id: str) -> str | None:
    named = (workflow for workflow in family.workflows if re.search(f"[-_]{workflow}", model_id))
    return family.workflow or next(named, None)


def stage_scale(model_id: str) -> int:
    """Return how many times larger the delivered sides are than the requested ones: two-stage models double them."""
    # Protocol notes: projects-5x §4.6.
    return 2 if "_2stage" in model_id else 1
