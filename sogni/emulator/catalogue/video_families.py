"""The families of video models: workflows, reference assets, frame rates and limits.

Values only: a new family is a row in ``FAMILIES``, a new Seedance model a row in ``SEEDANCE``.
"""
# Protocol notes: projects-4.2 §6, projects-5x §3, §4.

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import frozen

ASSETS = (
    "referenceImage",
    "referenceImageEnd",
    "referenceAudio",
    "referenceAudioIdentity",
    "referenceVideo",
    "referenceMask",
)
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
    """

    name: str
    prefix: str
    workflows: tuple[str, ...] = ()
    frames: tuple[int, int] | None = None
    strict_grid: bool = False
    frame_rates: tuple[int, ...] = ()
    rate_range: tuple[int, int] | None = None
    native_rate: int | None = None
    native_sound: bool = False
    negative_prompt: bool = True
    default_frames: int = 81
    workflow: str | None = None
    """The workflow of every model, whatever its ID."""
    upscales: bool = False


FAMILIES: Sequence[Family] = (
    Family(
        name="WAN 2.2",
        prefix="wan_v2.2",
        workflows=("i2v", "t2v", "s2v", "animate-move", "animate-replace"),
        frame_rates=(16, 32),
        native_rate=16,
    ),
    Family(
        name="LTX",
        prefix="ltx2",
        workflows=("i2v", "t2v", "v2v", "ia2v", "a2v"),
        rate_range=(1, 60),
        native_sound=True,
        default_frames=97,
    ),
    Family(
        name="Seedance",
        prefix="seedance-2",
        frame_rates=(24,),
        native_sound=True,
        negative_prompt=False,
        default_frames=121,
    ),
    Family(
        name="HappyHorse",
        prefix="happyhorse-1.1",
        workflows=("r2v", "i2v", "t2v"),
        frames=(73, 361),
        frame_rates=(24,),
        native_sound=True,
        negative_prompt=False,
        default_frames=121,
    ),
    Family(
        name="Wan 3",
        prefix="wan3.0",
        frames=(61, 901),
        frame_rates=(30,),
        native_sound=True,
        negative_prompt=False,
        default_frames=151,
    ),
    Family(
        name="MiniMax H3",
        prefix="minimax-h3",
        workflows=("r2v", "flfa2v", "ia2v", "a2v", "flf2v", "i2v", "t2v"),
        strict_grid=True,
        frame_rates=(24,),
        native_sound=True,
        negative_prompt=False,
        default_frames=124,
    ),
    Family(
        name="FlashVSR",
        prefix="flashvsr",
        workflow="upscale",
        rate_range=(1, 60),
        default_frames=121,
        upscales=True,
    ),
)


@frozen(kw_only=True)
class References:
    """The references accepted by a Seedance model: their number per kind and in total, the length and size of the
    result (``short_side`` in pixels), and the capabilities of the newer models.
    """

    images: int = 9
    videos: int = 3
    audios: int = 3
    total: int = 12
    frames: tuple[int, int] = (97, 361)
    short_side: int
    audio_alone: bool = False
    task_type: bool = False
    formats: tuple[Literal["mp4", "mov"], ...] = ("mp4",)


_SEEDANCE_25 = References(
    images=30,
    videos=10,
    audios=10,
    total=50,
    frames=(97, 721),
    short_side=1080,
    audio_alone=True,
    task_type=True,
    formats=("mp4", "mov"),
)
SEEDANCE: Mapping[str, References] = {
    "seedance-2-0": References(short_side=2160),
    "seedance-2-0-mini": References(short_side=720),
    "seedance-2-0-mini-uncensored": References(short_side=720),
    "seedance-2-0-fast": References(short_side=720),
    "seedance-2-5": _SEEDANCE_25,
    "seedance-2-5-uncensored": _SEEDANCE_25,
}


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
