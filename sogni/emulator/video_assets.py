"""Which reference files and URLs a video request may and must bring.

Called by the check of video requests (projects-4.2 §6.3, §6.4; projects-5x §3.2, §4.3). It reads the flags of
the request; whether the files are there, and what they are, is looked at afterwards.
"""

from __future__ import annotations

import json
import math
from urllib.parse import urlsplit

from attrs import frozen

from .fields import Fields
from .orders import Control
from .video_families import (
    ASSET_MATRIX,
    ASSETS,
    CONTROL_NAMES,
    DISTILLED_CONTROL_NAMES,
    NEEDS_ONE_OF,
    TAKES_CONTROL_NET,
    TAKES_SUBJECT_POINTS,
    References,
)

URL_KEYS = ("referenceImageURLs", "referenceVideoURLs", "referenceAudioURLs")
_TASKS = ("reference", "edit", "extend")
_CONTROL_STRENGTH = 0.85


@frozen
class Assets:
    """The uploads a request flags and the numbers of URLs it lists."""

    uploads: frozenset[str]
    images: int
    videos: int
    audios: int

    @property
    def has_video(self) -> bool:
        return self.videos > 0


def flag_of(asset: str) -> str:
    """Return the key that says that an asset was uploaded: ``hasReferenceImage`` for ``referenceImage``."""
    return f"has{asset[0].upper()}{asset[1:]}"


def read_assets(frame: Fields) -> Assets:
    """Read the flags, the content types and the URLs, whatever the model makes of them."""
    uploads = []
    for asset in ASSETS:
        flag = frame.flag(flag_of(asset))
        frame.text(f"{asset}ContentType")
        if flag:
            uploads.append(asset)
        elif flag is False:
            frame.note(flag_of(asset), "is true or absent, never false")
    images, videos, audios = (_urls(frame, key) for key in URL_KEYS)
    return Assets(
        frozenset(uploads),
        images + sum(asset in uploads for asset in ("referenceImage", "referenceImageEnd")),
        videos + ("referenceVideo" in uploads),
        # Both clips go to the same place: they count once.
        audios + any(asset in uploads for asset in ("referenceAudio", "referenceAudioIdentity")),
    )


def _urls(frame: Fields, key: str) -> int:
    urls = frame.texts(key)
    if frame.has(key) and not urls:
        frame.note(key, "is absent when there is no URL")
    for url in urls:
        parts = urlsplit(url.strip())
        if parts.scheme != "https" or not parts.netloc:
            frame.refuse(key, f"must contain public https URLs only, not {url!r}")
            break
    return len(urls)


def check_matrix(frame: Fields, workflow: str, uploads: frozenset[str], model_id: str) -> None:
    """Compare the assets with the row of the workflow."""
    for key in URL_KEYS:
        if frame.has(key):
            frame.refuse(key, f"is not taken by {model_id}")
    choice = NEEDS_ONE_OF.get(workflow)
    if choice and not uploads & set(choice):
        frame.refuse(flag_of(choice[0]), f"is missing: {workflow} needs {' or '.join(choice)}")
    for asset, rule in zip(ASSETS, ASSET_MATRIX[workflow], strict=True):
        if rule == "R" and asset not in uploads:
            frame.refuse(flag_of(asset), f"is missing: {workflow} needs {asset}")
        elif rule == "X" and asset in uploads:
            frame.refuse(flag_of(asset), f"must be absent: {workflow} takes no {asset}")


def check_references(frame: Fields, assets: Assets, limits: References, model_id: str) -> None:
    """Count the references of a Seedance request."""
    if "referenceMask" in assets.uploads:
        frame.refuse("hasReferenceMask", f"must be absent: {model_id} takes no referenceMask")
    counted = (("image", assets.images, limits.images), ("video", assets.videos, limits.videos))
    for kind, count, limit in (*counted, ("audio", assets.audios, limits.audios)):
        if count > limit:
            frame.refuse(f"reference {kind}s", f"are {count}; {model_id} takes at most {limit}")
    total = assets.images + assets.videos + assets.audios
    if total > limits.total:
        frame.refuse("references", f"are {total}; {model_id} takes at most {limits.total}")
    if assets.audios and not (assets.images or assets.videos or limits.audio_alone):
        frame.refuse("reference audios", "need at least one reference image or video beside them")
    _task_type(frame, assets, limits, model_id)


def _task_type(frame: Fields, assets: Assets, limits: References, model_id: str) -> None:
    task = frame.text("seedanceTaskType", allowed=_TASKS)
    anchored = bool(assets.uploads & {"referenceImage", "referenceImageEnd"})
    uploads = {"referenceVideo", "referenceAudio", "referenceAudioIdentity"}
    loose = any(frame.raw(key) for key in URL_KEYS) or bool(assets.uploads & uploads)
    if task and not limits.task_type:
        frame.refuse("seedanceTaskType", f"is not known to {model_id}")
    elif task and anchored:
        frame.refuse("seedanceTaskType", "does not go with referenceImage or referenceImageEnd")
    elif task in ("edit", "extend") and not assets.has_video:
        frame.refuse("seedanceTaskType", f"{task!r} needs a reference video")
    elif task and not loose:
        frame.refuse("seedanceTaskType", f"{task!r} needs a reference")
    elif limits.task_type and loose and not task and not frame.has("seedanceTaskType"):
        frame.refuse("seedanceTaskType", "is missing: references need it")


def read_control(frame: Fields, workflow: str | None, assets: Assets, model_id: str) -> Control | None:
    """Read the control net of a video-to-video request and the mask that goes with some of them."""
    control = _control(frame)
    if control is not None:
        if workflow != TAKES_CONTROL_NET:
            frame.refuse("currentControlNetsJob", f"goes with {TAKES_CONTROL_NET} models only")
        if control.name == "pose" and "referenceImage" not in assets.uploads:
            frame.refuse(flag_of("referenceImage"), "is missing: the control net pose needs referenceImage")
        if control.name in DISTILLED_CONTROL_NAMES and "distilled" not in model_id:
            frame.refuse("currentControlNetsJob", f"{control.name} goes with distilled models only")
    if "referenceMask" in assets.uploads and (control is None or control.name != "inpaint"):
        frame.refuse(flag_of("referenceMask"), "goes with the control net inpaint only")
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
    """Read the points of ``sam2Coordinates``, which travel as JSON text."""
    text = frame.text("sam2Coordinates")
    if text is None:
        return ()
    if workflow != TAKES_SUBJECT_POINTS:
        frame.refuse("sam2Coordinates", f"goes with {TAKES_SUBJECT_POINTS} models only")
    points = _points(text)
    if points is None:
        frame.refuse("sam2Coordinates", 'must be the JSON text of a list of points, [{"x":0.5,"y":0.5}]')
    return points or ()


def _points(text: str) -> tuple[tuple[float, float], ...] | None:
    try:
        points = tuple((float(entry["x"]), float(entry["y"])) for entry in json.loads(text))
    except (ValueError, TypeError, KeyError):
        return None
    fine = all(math.isfinite(part) and part >= 0 for point in points for part in point)
    return points if fine else None
