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
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from sogni.emulator.catalogue.models import (
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
from sogni.emulator.fields import Fields, is_https
from sogni.emulator.media.films import Film, write_edited, write_film, write_last_frame
from sogni.emulator.media.kinds import MediaKind
from sogni.emulator.media.pictures import Picture
from sogni.emulator.media.video_rules import EXTENDS, FAMILY_RULES, Given
from sogni.emulator.projects.orders import Control, Order, Product, Work
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, Reading

UPSCALE_RESOLUTIONS = (1080, 1440)
URL_KEYS = ("referenceImageURLs", "referenceVideoURLs", "referenceAudioURLs")
_TASKS = ("reference", "edit", "extend")


@frozen
class Assets:
    """The uploads flagged in a request and the numbers of its URLs."""

    uploads: frozenset[str]
    images: int
    videos: int
    audios: int
    urls: Mapping[str, int]


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
    wrong = next((url for url in urls if not is_https(url)), None)
    if wrong is not None:
        frame.refuse(key, f"must contain public https URLs only, got {wrong!r}")
    return len(urls)


def matrix_row(workflow: str, model_id: str) -> str:
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
    elif task in ("edit", "extend") and not assets.videos:
        frame.refuse("seedanceTaskType", f"{task!r} requires a reference video")
    elif task and not loose:
        frame.refuse("seedanceTaskType", f"{task!r} requires a reference")
    elif limits.task_type and loose and not task and not frame.has("seedanceTaskType"):
        frame.refuse("seedanceTaskType", "is missing; references require it")


def read_control(reading: Reading, workflow: str | None, assets: Assets) -> Control | None:
    """Read the control net of a video-to-video request and the mask that some of them use."""
    frame, model_id = reading.frame, reading.model.id
    control = reading.control(CONTROL_NAMES, of_image=False)
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


def read_subjects(frame: Fields, workflow: str | None) -> None:
    """Check the points of ``sam2Coordinates``, which are sent as a JSON string."""
    text = frame.text("sam2Coordinates")
    if text is None:
        return
    if workflow != TAKES_SUBJECT_POINTS:
        frame.refuse("sam2Coordinates", f"goes with {TAKES_SUBJECT_POINTS} models only")
    try:
        numbers = [float(point[axis]) for point in json.loads(text) for axis in ("x", "y")]
    except (ValueError, TypeError, KeyError):
        numbers = [-1]
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        frame.refuse("sam2Coordinates", 'must be a JSON string of a list of points, [{"x":0.5,"y":0.5}]')


MAX_VIDEOS = 64
AUDIO_SECONDS = 30.0
_MIN_AUDIO_SECONDS = 1
_FINEST_RATE = 1001


class VideoKind(MediaKind):
    """Serves video models."""

    def check(self, reading: Reading) -> Order | None:
        frame, model = reading.frame, reading.model
        family, limits = family_of(model.id), SEEDANCE.get(model.id)
        workflow, scale = workflow_of(family, model.id), stage_scale(model.id)
        frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
        common = reading.common(
            formats=("mp4",) if limits is None else limits.formats,
            max_count=1 if family.upscales else MAX_VIDEOS,
            lowest_seed=-1 if family.upscales else 0,
        )
        reading.prompts(negative=family.negative_prompt)
        width, height = _size(reading, family, limits)
        frames, paid_frames, fps = _timing(reading, family, limits)
        assets = read_assets(frame)
        options = _details(reading, workflow, assets, limits)
        rules = FAMILY_RULES.get(family.name)
        given = Given(workflow, assets.uploads, assets.urls, frames)
        more_uploads = [] if rules is None else rules(frame, model, given)
        if family.upscales:
            options["short_side"] = _upscale(frame)
        reading.sampling()
        reading.receipt()
        if common is None:
            return None
        work = Work(
            model=model,
            steps=common["steps"],
            width=width,
            height=height,
            frames=paid_frames,
            fps=float(fps),
            has_video_input=assets.videos > 0 or any("Video" in role for role in more_uploads),
        )
        # The identity clip is sent in place of the reference audio (projects-4.2 §10.2).
        uploads = [asset.removesuffix("Identity") for asset in ASSETS if asset in assets.uploads]
        shape: dict[str, Any] = {"width": width * scale, "height": height * scale, "frames": frames, "fps": fps}
        return Order(
            **common,
            **shape,
            work=work,
            uploads=[*dict.fromkeys(uploads), *more_uploads],
            sound=_has_sound(frame, family, workflow),
            options=options,
        )

    def result(self, order: Order, seed: int, inputs: Mapping[str, Path]) -> Product:
        if (short_side := order.options.get("short_side")) is not None:
            source = inputs["referenceVideo"]
            larger = partial(write_edited, source, format=order.output_format, short_side=short_side)
            return Product(larger, order.content_type)
        film = _film(order, seed, inputs)
        last = partial(write_last_frame, film) if order.options["return_last_frame"] else None
        return Product(partial(write_film, film, format=order.output_format), order.content_type, last)


def _film(order: Order, seed: int, inputs: Mapping[str, Path]) -> Film:
    """Return the video that a request describes: it starts and ends with the images, or starts like the video."""
    # References of MiniMax H3 are numbered: projects-5x §4.6.
    first = inputs.get("referenceImage") or inputs.get("contextImage1") if order.options["first_frame"] else None
    video = inputs.get("referenceVideo") or inputs.get("referenceVideo1")
    size, details = (order.width or 1, order.height or 1), (seed, order.key_frame)
    return Film(
        opening=first or video or Picture(size=size, prompt=order.prompts, details=details),
        ending=inputs.get("referenceImageEnd") if order.options["last_frame"] else None,
        size=size,
        frames=order.frames or 1,
        fps=order.fps,
        sound=details if order.sound else None,
    )


def _upscale(frame: Fields) -> int | None:
    """Read the settings of FlashVSR; return the short side of the result."""
    # Protocol notes: projects-5x §4.7.
    if any(frame.raw(f"{kind}Prompt") for kind in ("positive", "negative", "style")):
        frame.refuse("positivePrompt", "and the other prompts must be empty")
    if frame.raw("generateAudio") is not True:
        frame.refuse("generateAudio", "must be true")
    frame.text("interpolation", required=True, allowed=("none",))
    frame.text("detailPreference", required=True, allowed=("stable", "sharper"))
    frame.text("processingSpeed", required=True, allowed=("stable", "faster"))
    resolution = frame.whole("upscaleResolution", required=True)
    if resolution is not None and resolution not in UPSCALE_RESOLUTIONS:
        frame.refuse("upscaleResolution", f"must be 1080 or 1440, got {resolution}")
    return resolution


def _size(reading: Reading, family: Family, limits: References | None) -> tuple[int, int]:
    """Read the size: both sides or neither."""
    # Protocol notes: projects-4.2 §6.8, projects-5x §4.6.
    frame, model, catalogue = reading.frame, reading.model, reading.catalogue
    sides = []
    for key in ("width", "height"):
        low, high = catalogue.range(model, key) or (480, 3840)
        sides.append(frame.number(key, minimum=low, maximum=high))
        _check_grid(reading, key, sides[-1], family)
    width, height = sides
    if width is None or height is None:
        for key, side in zip(("width", "height"), sides, strict=True):
            if side is not None:
                frame.note(key, "must be sent together with the other side")
        return int(catalogue.default(model, "width")), int(catalogue.default(model, "height"))
    if limits is not None and min(width, height) > limits.short_side:
        frame.refuse("height", f"must leave the short side at {limits.short_side} pixels at most for {model.id}")
    most = reading.tier.get("maxPixels")
    if most is not None and width * height > most:
        frame.refuse("width", f"and height must make at most {most} pixels for {model.id}")
    # H.264 usually requires an even number of rows and columns.
    return int(width) // 2 * 2, int(height) // 2 * 2


def _check_grid(reading: Reading, key: str, value: float | None, family: Family) -> None:
    """Report a value off the tier's grid. Where the behavior is undocumented, it is delivered as requested."""
    limits = reading.tier.get(key, {})
    step = limits.get("step")
    if value is not None and step and (value - limits["min"]) % step:
        report = reading.frame.refuse if family.strict_grid else reading.frame.note
        report(key, f"is not on the model's grid: {limits['min']} and steps of {step}")


def _timing(reading: Reading, family: Family, limits: References | None) -> tuple[int, int, Fraction]:
    """Read frame count and frame rate; return the frames of the file, the generated ones, and the rate of the file.

    Interpolation inserts a frame between every two.
    """
    # Protocol notes: projects-4.2 §3.3.
    frame, model = reading.frame, reading.model
    bounds = limits.frames if limits is not None else family.frames or reading.catalogue.range(model, "frames")
    low, high = bounds or (1, 10**9)
    requested = frame.number("frames", minimum=low, maximum=high, whole=True)
    _check_grid(reading, "frames", requested, family)
    slowest, fastest = family.rate_range or (None, None)
    fps = frame.number("fps", minimum=slowest, maximum=fastest)
    if fps is not None and family.frame_rates and fps not in family.frame_rates:
        listed = " or ".join(map(str, family.frame_rates))
        frame.refuse("fps", f"must be {listed} for {model.id}, got {fps:g}")
        fps = None
    fps = fps or reading.catalogue.default(model, "fps")
    paid = frames = family.default_frames if requested is None else int(requested)
    if family.native_rate is not None and fps > family.native_rate:
        frames = (paid - 1) * int(fps / family.native_rate) + 1
    if frame.flag("trimEndFrame"):
        frames -= 1
    return frames, paid, Fraction(fps).limit_denominator(_FINEST_RATE)


def _details(reading: Reading, workflow: str | None, assets: Assets, limits: References | None) -> dict[str, Any]:
    """Read the settings of reference files, and the numbers that only have limits; return those that have an effect."""
    frame, model = reading.frame, reading.model
    if limits is not None:
        check_references(frame, assets, limits, model.id)
    else:
        if workflow is not None and not model.external:
            check_matrix(frame, workflow, assets.uploads, model.id)
        if frame.has("seedanceTaskType"):
            frame.refuse("seedanceTaskType", f"is not supported by {model.id}")
    reading.limited("shift")
    frame.number("teacacheThreshold", null=True, minimum=0, maximum=1)
    frame.number("detailerStrength", minimum=0, maximum=1)
    frame.number("identityGuidanceScale", minimum=0, maximum=10)
    first = frame.number("firstFrameStrength", minimum=0, maximum=1)
    last = frame.number("lastFrameStrength", minimum=0, maximum=1)
    frame.number("audioDuration", minimum=_MIN_AUDIO_SECONDS, maximum=AUDIO_SECONDS)
    for key in ("audioStart", "videoStart"):
        frame.number(key, minimum=0)
    read_subjects(frame, workflow)
    read_control(reading, workflow, assets)
    last_frame = bool(frame.flag("returnLastFrame"))
    if last_frame and (limits is None or not limits.task_type):
        frame.refuse("returnLastFrame", f"is not supported by {model.id}")
    # 0 detaches the frame from its image (projects-4.2 §3.3).
    return {"first_frame": first != 0, "last_frame": last != 0, "return_last_frame": last_frame}


def _has_sound(frame: Fields, family: Family, workflow: str | None) -> bool:
    requested = frame.flag("generateAudio")
    return workflow in CARRIES_REFERENCE_AUDIO or (family.native_sound and requested is not False)
