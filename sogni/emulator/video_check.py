"""Whether the video part of a ``jobRequest`` is well formed, and the order it describes.

Called through the video kind by the check of requests (projects-4.2 §6, projects-5x §3, §4). The facts about
models are in ``video_families``, the rules about reference files in ``video_assets``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from attrs import frozen

from .catalogue import Catalogue, Model
from .fields import Fields
from .frame_checks import amounts, common_values, limited, loras, receipt, sampling
from .orders import Network, Sound, VideoOrder
from .request_template import KEY_FRAME_TEMPLATE
from .video_assets import Assets, check_matrix, check_references, read_assets, read_control, read_subjects
from .video_families import CARRIES_REFERENCE_AUDIO, SEEDANCE, Family, References, family_of, workflow_of

MAX_VIDEOS = 64
AUDIO_SECONDS = 30.0
_MIN_AUDIO_SECONDS = 1
_FINEST_RATE = 1001


@frozen
class _Timing:
    frames: int
    paid_frames: int
    fps: Fraction


def check_video(
    request: Fields, frame: Fields, model: Model, network: Network, catalogue: Catalogue
) -> VideoOrder | None:
    """Read a video request; None when what is missing leaves nothing to build."""
    family, limits = family_of(model.id), SEEDANCE.get(model.id)
    workflow = workflow_of(family, model.id)
    frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
    formats = ("mp4",) if limits is None else limits.formats
    read = amounts(request, frame, model, catalogue, formats=formats, max_count=MAX_VIDEOS)
    texts = _prompts(frame, family)
    size = _size(frame, model, catalogue, limits)
    timing = _timing(frame, model, catalogue, family, limits)
    assets = read_assets(frame)
    details = _details(frame, model, catalogue, workflow, assets, limits)
    sampling(frame, model, catalogue)
    loras(frame)
    receipt(frame)
    if read is None:
        return None
    return VideoOrder(
        **common_values(request, model, "video", network, read),
        **details,
        output_format=read.output_format,
        performed_steps=read.steps,
        family=family.name,
        workflow=workflow,
        width=size[0],
        height=size[1],
        frames=timing.frames,
        paid_frames=timing.paid_frames,
        fps=timing.fps,
        prompt=texts[0],
        negative_prompt=texts[1],
        style_prompt=texts[2],
        assets=assets.uploads,
        has_video_input=assets.has_video,
        sound=_sound(frame, family, workflow, assets),
    )


def _prompts(frame: Fields, family: Family) -> list[str]:
    if frame.has("negativePrompt") and not family.negative_prompt:
        frame.note("negativePrompt", f"is not taken by {family.name}")
    keys = ("positivePrompt", "negativePrompt", "stylePrompt")
    return [frame.text(key, required=key == "stylePrompt") or "" for key in keys]


def _size(frame: Fields, model: Model, catalogue: Catalogue, limits: References | None) -> tuple[int, int]:
    """Read the size, both sides or none (projects-4.2 §6.8)."""
    default = int(catalogue.default(model, "width")), int(catalogue.default(model, "height"))
    sides = [_side(frame, key, model, catalogue) for key in ("width", "height")]
    width, height = sides
    if width is None or height is None:
        for key, side in zip(("width", "height"), sides, strict=True):
            if side is not None:
                frame.note(key, "is sent together with the other side only")
        return default
    if limits is not None and min(width, height) > limits.short_side:
        frame.refuse("height", f"must leave the short side at {limits.short_side} pixels at most for {model.id}")
    # H.264 in its usual form has an even number of rows and columns.
    return int(width) // 2 * 2, int(height) // 2 * 2


def _side(frame: Fields, key: str, model: Model, catalogue: Catalogue) -> float | None:
    bounds = catalogue.range(model, key)
    low, high = bounds if bounds is not None else (480, 3840)
    side = frame.number(key, minimum=low, maximum=high)
    _note_grid(frame, key, side, model, catalogue)
    return side


def _note_grid(frame: Fields, key: str, value: float | None, model: Model, catalogue: Catalogue) -> None:
    """Note a value beside the tier's grid. No document says what happens to it: it is delivered as asked
    for."""
    limits = catalogue.tiers[model.tier].get(key, {})
    step = limits.get("step")
    if value is not None and step and (value - limits["min"]) % step:
        frame.note(key, f"is not on the model's grid: {limits['min']} and steps of {step}")


def _timing(frame: Fields, model: Model, catalogue: Catalogue, family: Family, limits: References | None) -> _Timing:
    """Read frame count and frame rate and work out those of the file. With interpolation there is a new
    frame between every two (projects-4.2 §3.3)."""
    bounds = limits.frames if limits is not None else catalogue.range(model, "frames")
    low, high = bounds if bounds is not None else (1, None)
    asked = frame.number("frames", minimum=low, maximum=high, whole=True)
    _note_grid(frame, "frames", asked, model, catalogue)
    paid = int(asked) if asked is not None else family.default_frames
    fps = _rate(frame, model, catalogue, family)
    frames = paid
    if family.native_rate is not None and fps > family.native_rate:
        factor = int(fps / family.native_rate)
        frames = (paid - 1) * factor + 1
    if frame.flag("trimEndFrame"):
        frames -= 1
    return _Timing(frames, paid, fps)


def _rate(frame: Fields, model: Model, catalogue: Catalogue, family: Family) -> Fraction:
    low, high = family.rate_range or (None, None)
    fps = frame.number("fps", minimum=low, maximum=high)
    if fps is not None and family.frame_rates and fps not in family.frame_rates:
        listed = " or ".join(map(str, family.frame_rates))
        frame.refuse("fps", f"must be {listed} for {model.id}, not {fps:g}")
        fps = None
    return Fraction(fps or catalogue.default(model, "fps")).limit_denominator(_FINEST_RATE)


def _details(
    frame: Fields,
    model: Model,
    catalogue: Catalogue,
    workflow: str | None,
    assets: Assets,
    limits: References | None,
) -> dict[str, Any]:
    """Read what belongs to reference files, and the numbers that have nothing but limits."""
    if limits is not None:
        check_references(frame, assets, limits, model.id)
    elif workflow is not None:
        check_matrix(frame, workflow, assets.uploads, model.id)
        if frame.has("seedanceTaskType"):
            frame.refuse("seedanceTaskType", f"is not known to {model.id}")
    limited(frame, "shift", "shift", model, catalogue)
    frame.number("teacacheThreshold", null=True, minimum=0, maximum=1)
    frame.number("detailerStrength", minimum=0, maximum=1)
    frame.number("identityGuidanceScale", minimum=0, maximum=10)
    first = frame.number("firstFrameStrength", minimum=0, maximum=1)
    last = frame.number("lastFrameStrength", minimum=0, maximum=1)
    audio = frame.number("audioDuration", minimum=_MIN_AUDIO_SECONDS, maximum=AUDIO_SECONDS)
    return {
        "audio_start": frame.number("audioStart", minimum=0) or 0.0,
        "audio_duration": AUDIO_SECONDS if audio is None else audio,
        "video_start": frame.number("videoStart", minimum=0) or 0.0,
        # 0 frees the frame from its image (projects-4.2 §3.3).
        "first_frame": first != 0,
        "last_frame": last != 0,
        "subjects": read_subjects(frame, workflow),
        "control": read_control(frame, workflow, assets, model.id),
        "return_last_frame": _return_last_frame(frame, model, limits),
    }


def _return_last_frame(frame: Fields, model: Model, limits: References | None) -> bool:
    wanted = bool(frame.flag("returnLastFrame"))
    if wanted and (limits is None or not limits.task_type):
        frame.refuse("returnLastFrame", f"is not known to {model.id}")
    return wanted


def _sound(frame: Fields, family: Family, workflow: str | None, assets: Assets) -> Sound:
    wanted = frame.flag("generateAudio")
    if workflow in CARRIES_REFERENCE_AUDIO:
        return "reference"
    if not family.native_sound or wanted is False:
        return "none"
    return "reference" if workflow is None and "referenceAudio" in assets.uploads else "native"
