"""Videos as a kind of media: request checks, reference assets, prices and files.

The properties of the model families are in ``catalogue.video_families``. The checks read the flags of a request;
whether the files exist, and what they are, is checked later.
"""
# Protocol notes: projects-4.2 §6, projects-5x §3, §4.

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from sogni.emulator.catalogue.models import Catalogue, Model
from sogni.emulator.catalogue.video_families import (
    ASSET_MATRIX,
    ASSETS,
    CARRIES_REFERENCE_AUDIO,
    CONTROL_NAMES,
    DISTILLED_CONTROL_NAMES,
    H3_MATRIX,
    NEEDS_ONE_OF,
    SEEDANCE,
    TAKES_CONTROL_NET,
    TAKES_SUBJECT_POINTS,
    Family,
    References,
    family_of,
    stage_scale,
    workflow_of,
)
from sogni.emulator.fields import Fields
from sogni.emulator.media.codecs import form_of_role, misplaced, undecodable
from sogni.emulator.media.films import make_last_frame, make_video
from sogni.emulator.media.pictures import unreadable
from sogni.emulator.media.video_rules import EXTENDS, FAMILY_RULES, Given
from sogni.emulator.projects.estimates import Quote, VideoWork, video_quote
from sogni.emulator.projects.orders import Control, Network, Product, Sound, Upscale, VideoOrder
from sogni.emulator.projects.request_checks import (
    KEY_FRAME_TEMPLATE,
    amounts,
    common_values,
    limited,
    receipt,
    sampling,
)

UPSCALE_RESOLUTIONS = (1080, 1440)
URL_KEYS = ("referenceImageURLs", "referenceVideoURLs", "referenceAudioURLs")
_TASKS = ("reference", "edit", "extend")
_CONTROL_STRENGTH = 0.85


@frozen
class Assets:
    """The uploads flagged in a request and the numbers of its URLs."""

    uploads: frozenset[str]
    images: int
    videos: int
    audios: int
    urls: Mapping[str, int]

    @property
    def has_video(self) -> bool:
        return self.videos > 0


def flag_of(asset: str) -> str:
    """Return the flag of an asset: ``hasReferenceImage`` for ``referenceImage``."""
    return f"has{asset[0].upper()}{asset[1:]}"


def read_assets(frame: Fields) -> Assets:
    """Read the flags, content types and URLs, regardless of the model."""
    uploads = []
    for asset in ASSETS:
        flag = frame.flag(flag_of(asset))
        frame.text(f"{asset}ContentType")
        if flag:
            uploads.append(asset)
        elif flag is False:
            frame.note(flag_of(asset), "must be true or omitted")
    urls = {key: _urls(frame, key) for key in URL_KEYS}
    images, videos, audios = urls.values()
    return Assets(
        frozenset(uploads),
        images + sum(asset in uploads for asset in ("referenceImage", "referenceImageEnd")),
        videos + ("referenceVideo" in uploads),
        # Both clips have the same destination, so they count as one.
        audios + any(asset in uploads for asset in ("referenceAudio", "referenceAudioIdentity")),
        urls,
    )


def _urls(frame: Fields, key: str) -> int:
    urls = frame.texts(key)
    if frame.has(key) and not urls:
        frame.note(key, "must be omitted if there is no URL")
    for url in urls:
        parts = urlsplit(url.strip())
        if parts.scheme != "https" or not parts.netloc:
            frame.refuse(key, f"must contain public https URLs only, got {url!r}")
            break
    return len(urls)


def matrix_row(workflow: str, model_id: str) -> str:
    """Return the row of the asset matrix for a model."""
    # Protocol notes: projects-5x §3.2.
    if model_id in EXTENDS:
        return "XXXOOX"
    h3 = H3_MATRIX.get(workflow) if model_id.startswith("minimax-h3") else None
    return h3 or ASSET_MATRIX[workflow]


def check_matrix(frame: Fields, workflow: str, uploads: frozenset[str], model_id: str) -> None:
    """Check the assets against the row of the workflow."""
    # Protocol notes: projects-4.2 §6.3, §6.4.
    for key in URL_KEYS:
        if frame.has(key):
            frame.refuse(key, f"is not accepted by {model_id}")
    choice = NEEDS_ONE_OF.get(workflow)
    if choice and not uploads & set(choice):
        frame.refuse(flag_of(choice[0]), f"is missing: {workflow} requires {' or '.join(choice)}")
    for asset, rule in zip(ASSETS, matrix_row(workflow, model_id), strict=True):
        if rule == "R" and asset not in uploads:
            frame.refuse(flag_of(asset), f"is missing: {workflow} requires {asset}")
        elif rule == "X" and asset in uploads:
            frame.refuse(flag_of(asset), f"must be omitted: {workflow} does not accept {asset}")


def check_references(frame: Fields, assets: Assets, limits: References, model_id: str) -> None:
    """Check the number of references of a Seedance request."""
    # Protocol notes: projects-5x §3.2, §4.3.
    if "referenceMask" in assets.uploads:
        frame.refuse("hasReferenceMask", f"must be omitted: {model_id} does not accept referenceMask")
    counted = (("image", assets.images, limits.images), ("video", assets.videos, limits.videos))
    for kind, count, limit in (*counted, ("audio", assets.audios, limits.audios)):
        if count > limit:
            frame.refuse(f"reference {kind}s", f"are {count}; {model_id} takes at most {limit}")
    total = assets.images + assets.videos + assets.audios
    if total > limits.total:
        frame.refuse("references", f"are {total}; {model_id} takes at most {limits.total}")
    if assets.audios and not (assets.images or assets.videos or limits.audio_alone):
        frame.refuse("reference audios", "require at least one reference image or video")
    _task_type(frame, assets, limits, model_id)


def _task_type(frame: Fields, assets: Assets, limits: References, model_id: str) -> None:
    task = frame.text("seedanceTaskType", allowed=_TASKS)
    anchored = bool(assets.uploads & {"referenceImage", "referenceImageEnd"})
    uploads = {"referenceVideo", "referenceAudio", "referenceAudioIdentity"}
    loose = any(frame.raw(key) for key in URL_KEYS) or bool(assets.uploads & uploads)
    if task and not limits.task_type:
        frame.refuse("seedanceTaskType", f"is not supported by {model_id}")
    elif task and anchored:
        frame.refuse("seedanceTaskType", "cannot be combined with referenceImage or referenceImageEnd")
    elif task in ("edit", "extend") and not assets.has_video:
        frame.refuse("seedanceTaskType", f"{task!r} requires a reference video")
    elif task and not loose:
        frame.refuse("seedanceTaskType", f"{task!r} requires a reference")
    elif limits.task_type and loose and not task and not frame.has("seedanceTaskType"):
        frame.refuse("seedanceTaskType", "is missing; references require it")


def read_control(frame: Fields, workflow: str | None, assets: Assets, model_id: str) -> Control | None:
    """Read the control net of a video-to-video request and the mask that some of them use."""
    control = _control(frame)
    if control is not None:
        if workflow != TAKES_CONTROL_NET:
            frame.refuse("currentControlNetsJob", f"goes with {TAKES_CONTROL_NET} models only")
        if control.name == "pose" and "referenceImage" not in assets.uploads:
            frame.refuse(flag_of("referenceImage"), "is missing: the control net pose requires referenceImage")
        if control.name in DISTILLED_CONTROL_NAMES and "distilled" not in model_id:
            frame.refuse("currentControlNetsJob", f"{control.name} requires a distilled model")
    if "referenceMask" in assets.uploads and (control is None or control.name != "inpaint"):
        frame.refuse(flag_of("referenceMask"), "requires the control net inpaint")
    frame.text("outpaintPosition", allowed=("center", "top", "bottom", "left", "right"))
    return control


def _control(frame: Fields) -> Control | None:
    entries = frame.raw("currentControlNetsJob")
    if entries is None:
        return None
    if not isinstance(entries, list) or len(entries) != 1:
        frame.refuse("currentControlNetsJob", "must be a list of exactly one object")
        return None
    net = frame.object("currentControlNetsJob", entries[0], "[0]")
    if net is None:
        return None
    name = net.text("name", required=True, allowed=CONTROL_NAMES)
    strength = net.number("controlStrength", minimum=0, maximum=1)
    net.leftover()
    return None if name is None else Control(name, _CONTROL_STRENGTH if strength is None else strength, False)


def read_subjects(frame: Fields, workflow: str | None) -> tuple[tuple[float, float], ...]:
    """Read the points of ``sam2Coordinates``, which are sent as a JSON string."""
    text = frame.text("sam2Coordinates")
    if text is None:
        return ()
    if workflow != TAKES_SUBJECT_POINTS:
        frame.refuse("sam2Coordinates", f"goes with {TAKES_SUBJECT_POINTS} models only")
    points = _points(text)
    if points is None:
        frame.refuse("sam2Coordinates", 'must be a JSON string of a list of points, [{"x":0.5,"y":0.5}]')
    return points or ()


def _points(text: str) -> tuple[tuple[float, float], ...] | None:
    try:
        points = tuple((float(entry["x"]), float(entry["y"])) for entry in json.loads(text))
    except (ValueError, TypeError, KeyError):
        return None
    fine = all(math.isfinite(part) and part >= 0 for point in points for part in point)
    return points if fine else None


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
    """Read a video request; return None if required values are missing."""
    family, limits = family_of(model.id), SEEDANCE.get(model.id)
    workflow = workflow_of(family, model.id)
    frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
    formats = ("mp4",) if limits is None else tuple(limits.formats)
    most = 1 if family.upscales else MAX_VIDEOS
    lowest_seed = -1 if family.upscales else 0
    read = amounts(request, frame, model, catalogue, formats=formats, max_count=most, lowest_seed=lowest_seed)
    texts = _prompts(frame, family)
    size = _size(frame, model, catalogue, family, limits)
    timing = _timing(frame, model, catalogue, family, limits)
    assets = read_assets(frame)
    details = _details(frame, model, catalogue, workflow, assets, limits)
    rules = FAMILY_RULES.get(family.name)
    if rules is not None:
        details |= rules(frame, model, Given(workflow, assets.uploads, assets.urls, timing.frames))
    upscale = _upscale(frame, texts) if family.upscales else None
    sampling(frame, model, catalogue)
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
        has_video_input=assets.has_video or any("Video" in role for role in details.get("more_uploads", ())),
        sound=_sound(frame, family, workflow, assets),
        upscale=upscale,
    )


def _upscale(frame: Fields, texts: list[str]) -> Upscale | None:
    """Read the settings of FlashVSR."""
    # Protocol notes: projects-5x §4.7.
    if any(texts):
        frame.refuse("positivePrompt", "and the other prompts must be empty")
    if frame.raw("generateAudio") is not True:
        frame.refuse("generateAudio", "must be true")
    frame.text("interpolation", required=True, allowed=("none",))
    detail = frame.text("detailPreference", required=True, allowed=("stable", "sharper"))
    frame.text("processingSpeed", required=True, allowed=("stable", "faster"))
    resolution = frame.whole("upscaleResolution", required=True)
    if resolution is None or resolution in UPSCALE_RESOLUTIONS:
        return None if resolution is None else Upscale(resolution, detail == "sharper")
    frame.refuse("upscaleResolution", f"must be 1080 or 1440, got {resolution}")
    return None


def _prompts(frame: Fields, family: Family) -> list[str]:
    if frame.has("negativePrompt") and not family.negative_prompt:
        frame.note("negativePrompt", f"is not accepted by {family.name}")
    keys = ("positivePrompt", "negativePrompt", "stylePrompt")
    return [frame.text(key, required=key == "stylePrompt") or "" for key in keys]


def _size(
    frame: Fields, model: Model, catalogue: Catalogue, family: Family, limits: References | None
) -> tuple[int, int]:
    """Read the size: both sides or neither. Two-stage models deliver twice the size."""
    # Protocol notes: projects-4.2 §6.8, projects-5x §4.6.
    scale = stage_scale(model.id)
    default = int(catalogue.default(model, "width")) * scale, int(catalogue.default(model, "height")) * scale
    sides = [_side(frame, key, model, catalogue, family) for key in ("width", "height")]
    width, height = sides
    if width is None or height is None:
        for key, side in zip(("width", "height"), sides, strict=True):
            if side is not None:
                frame.note(key, "must be sent together with the other side")
        return default
    if limits is not None and min(width, height) > limits.short_side:
        frame.refuse("height", f"must leave the short side at {limits.short_side} pixels at most for {model.id}")
    most = catalogue.tiers[model.tier].get("maxPixels")
    if most is not None and width * height > most:
        frame.refuse("width", f"and height must make at most {most} pixels for {model.id}")
    # H.264 usually requires an even number of rows and columns.
    return int(width) // 2 * 2 * scale, int(height) // 2 * 2 * scale


def _side(frame: Fields, key: str, model: Model, catalogue: Catalogue, family: Family) -> float | None:
    bounds = catalogue.range(model, key)
    low, high = bounds if bounds is not None else (480, 3840)
    side = frame.number(key, minimum=low, maximum=high)
    _check_grid(frame, key, side, model, catalogue, family)
    return side


def _check_grid(
    frame: Fields, key: str, value: float | None, model: Model, catalogue: Catalogue, family: Family
) -> None:
    """Report a value off the tier's grid. Where the behavior is undocumented, it is delivered as requested."""
    limits = catalogue.tiers[model.tier].get(key, {})
    step = limits.get("step")
    if value is not None and step and (value - limits["min"]) % step:
        report = frame.refuse if family.strict_grid else frame.note
        report(key, f"is not on the model's grid: {limits['min']} and steps of {step}")


def _timing(frame: Fields, model: Model, catalogue: Catalogue, family: Family, limits: References | None) -> _Timing:
    """Read frame count and frame rate, and derive those of the file.

    Interpolation inserts a frame between every two.
    """
    # Protocol notes: projects-4.2 §3.3.
    bounds = limits.frames if limits is not None else family.frames or catalogue.range(model, "frames")
    low, high = bounds if bounds is not None else (1, None)
    requested_frames = frame.number("frames", minimum=low, maximum=high, whole=True)
    _check_grid(frame, "frames", requested_frames, model, catalogue, family)
    billed_frames = int(requested_frames) if requested_frames is not None else family.default_frames
    fps = _rate(frame, model, catalogue, family)
    frames = billed_frames
    if family.native_rate is not None and fps > family.native_rate:
        factor = int(fps / family.native_rate)
        frames = (billed_frames - 1) * factor + 1
    if frame.flag("trimEndFrame"):
        frames -= 1
    return _Timing(frames, billed_frames, fps)


def _rate(frame: Fields, model: Model, catalogue: Catalogue, family: Family) -> Fraction:
    low, high = family.rate_range or (None, None)
    fps = frame.number("fps", minimum=low, maximum=high)
    if fps is not None and family.frame_rates and fps not in family.frame_rates:
        listed = " or ".join(map(str, family.frame_rates))
        frame.refuse("fps", f"must be {listed} for {model.id}, got {fps:g}")
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
    """Read the settings of reference files, and the numbers that only have limits."""
    if limits is not None:
        check_references(frame, assets, limits, model.id)
    else:
        if workflow is not None and not model.external:
            check_matrix(frame, workflow, assets.uploads, model.id)
        if frame.has("seedanceTaskType"):
            frame.refuse("seedanceTaskType", f"is not supported by {model.id}")
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
        # 0 detaches the frame from its image (projects-4.2 §3.3).
        "first_frame": first != 0,
        "last_frame": last != 0,
        "subjects": read_subjects(frame, workflow),
        "control": read_control(frame, workflow, assets, model.id),
        "return_last_frame": _return_last_frame(frame, model, limits),
    }


def _return_last_frame(frame: Fields, model: Model, limits: References | None) -> bool:
    requested = bool(frame.flag("returnLastFrame"))
    if requested and (limits is None or not limits.task_type):
        frame.refuse("returnLastFrame", f"is not supported by {model.id}")
    return requested


def _sound(frame: Fields, family: Family, workflow: str | None, assets: Assets) -> Sound:
    requested = frame.flag("generateAudio")
    if workflow in CARRIES_REFERENCE_AUDIO:
        return "reference"
    if not family.native_sound or requested is False:
        return "none"
    return "reference" if workflow is None and "referenceAudio" in assets.uploads else "native"


CONTENT_TYPES = {"mp4": "video/mp4", "mov": "video/quicktime"}


@frozen
class VideoKind:
    """Serves video models."""

    catalogue: Catalogue

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> VideoOrder | None:
        return check_video(request, frame, model, network, self.catalogue)

    def uploads(self, order: VideoOrder) -> list[str]:
        # The identity clip is sent in place of the reference audio (projects-4.2 §10.2).
        roles = [asset.removesuffix("Identity") for asset in ASSETS if asset in order.assets]
        return [*dict.fromkeys(roles), *order.more_uploads]

    def quote(self, order: VideoOrder) -> Quote:
        scale = stage_scale(order.model.id)
        work = VideoWork(
            model=order.model,
            count=order.count,
            steps=order.steps,
            width=order.width // scale,
            height=order.height // scale,
            frames=order.paid_frames,
            fps=float(order.fps),
            has_video_input=order.has_video_input,
        )
        return video_quote(work, self.catalogue).times(order.count)

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        return misplaced(inputs)

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        for role, path in inputs.items():
            form = form_of_role(role)
            reason = undecodable(path, form) if form in ("audio", "video") else unreadable(path)
            if reason:
                return f"{role}: {reason}"
        return None

    def result(self, order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        last = make_last_frame(order, seed, inputs) if order.return_last_frame else None
        return Product(make_video(order, seed, inputs), CONTENT_TYPES[order.output_format], last)

    def preview(self, order: VideoOrder, seed: int, inputs: Mapping[str, Path], done: float) -> None:
        return None
