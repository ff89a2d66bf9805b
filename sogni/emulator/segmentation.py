"""Cutting things out of pictures: what SAM 3 and BiRefNet are asked, and the masks they answer with (projects-5x §4.8).

Called by the image kind. It tells things from what surrounds them by their colours: good enough to see which part of a
picture was meant, and always the same for the same request. A word is not understood; it stands for what stands out.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from .catalogue import Model
from .fields import Fields
from .orders import Segmentation

Mask = NDArray[np.bool_]

SAM3, BIREFNET = "sam3_image_segment_bf16", "birefnet_image_background_removal_fp16"
USUAL_THRESHOLD = 0.5
LABELS = ("positive", "negative")
_MOST_POINTS, _MOST_BOXES, _LONGEST_TEXT, _MOST_INSTANCES = 32, 16, 240, 16
_CANVAS = 384
"""The longest side at which things are looked for."""
_LIKE = 64
"""How far colours of one thing lie apart at most, as the sum over three channels."""
_EVEN = 12
"""A picture whose colours are all this close has nothing that stands out."""


def check_segmentation(frame: Fields, model: Model) -> Segmentation | None:
    """Read what a segmentation model is asked; None for other models, and for what cannot be read."""
    if model.id == BIREFNET:
        return Segmentation(prompt=None, cut_out=bool(frame.flag("applyMask", required=True)))
    if model.id != SAM3:
        return None
    prompt = frame.object("sam3Prompt", frame.raw("sam3Prompt"))
    if prompt is None:
        return None
    points = _objects(prompt, "points", ("x", "y"), _MOST_POINTS)
    boxes = _objects(prompt, "boxes", ("x0", "y0", "x1", "y1"), _MOST_BOXES)
    text = prompt.text("text")
    if text is not None and not 1 <= len(text) <= _LONGEST_TEXT:
        prompt.refuse("text", f"must have 1 to {_LONGEST_TEXT} characters")
    if not points and not boxes and not text:
        prompt.refuse("points", "or boxes or a text are needed")
    if points and text:
        prompt.refuse("text", "does not go with points")
    if prompt.flag("multimask") is not None and not points:
        prompt.refuse("multimask", "needs points")
    prompt.number("threshold", required=True, minimum=0, maximum=1)
    cut_out = prompt.flag("applyMask", required=True)
    prompt.whole("maxInstances", minimum=1, maximum=_MOST_INSTANCES)
    prompt.leftover()
    return Segmentation(prompt=dict(prompt.values), cut_out=bool(cut_out))


def _objects(prompt: Fields, key: str, numbers: tuple[str, ...], most: int) -> int:
    """Check a list of points or boxes; returns how many there are."""
    entries = prompt.raw(key)
    if not isinstance(entries, list) or len(entries) > most:
        prompt.refuse(key, f"must be a list of at most {most} objects")
        return 0
    for place, entry in enumerate(entries):
        read = prompt.object(key, entry, f"[{place}]")
        if read is not None:
            for name in numbers:
                read.number(name, required=True, minimum=0, maximum=1)
            read.text("label", required=True, allowed=LABELS)
            read.leftover()
    return len(entries)


def segment(work: Segmentation, picture: Path, path: Path) -> None:
    """Write the mask of a picture as PNG, or with `cut_out` the picture where the mask is."""
    with Image.open(picture) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    small = image.copy()
    small.thumbnail((_CANVAS, _CANVAS), Image.Resampling.BOX)
    mask = Image.fromarray(found(small, work.prompt).astype(np.uint8) * 255, "L")
    mask = mask.resize(image.size, Image.Resampling.NEAREST)
    if work.cut_out:
        image.putalpha(mask)
    buffer = io.BytesIO()
    (image if work.cut_out else mask).save(buffer, "PNG", compress_level=1)
    path.write_bytes(buffer.getvalue())


def found(image: Image.Image, prompt: Mapping[str, Any] | None) -> Mask:
    """The pixels of what is looked for; without a prompt, of what stands out."""
    asked: Mapping[str, Any] = prompt or {}
    mask = _standing_out(image, float(asked.get("threshold", USUAL_THRESHOLD)))
    points, boxes = asked.get("points", []), asked.get("boxes", [])
    if points:
        mask = _around(image, points)
    wanted = [box for box in boxes if box["label"] == "positive"]
    if wanted:
        mask = mask & np.any([_inside(image, box) for box in wanted], axis=0)
    for box in boxes:
        if box["label"] == "negative":
            mask = mask & ~_inside(image, box)
    return mask


def _standing_out(image: Image.Image, threshold: float) -> Mask:
    """Pixels whose colour is far from that of the edges of the picture."""
    pixels = np.asarray(image, dtype=np.int32)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    distance = np.abs(pixels - np.median(edge, axis=0)).sum(axis=2)
    furthest = float(distance.max())
    return np.asarray((distance >= threshold * furthest) & (furthest > _EVEN), dtype=np.bool_)


def _around(image: Image.Image, points: list[Mapping[str, Any]]) -> Mask:
    """What is joined to a positive point in a colour like its own, less what is so joined to a negative one."""
    masks = {label: np.zeros((image.height, image.width), dtype=np.bool_) for label in LABELS}
    for point in points:
        place = (round(point["x"] * (image.width - 1)), round(point["y"] * (image.height - 1)))
        masks[point["label"]] |= _joined(image, place)
    return masks["positive"] & ~masks["negative"]


def _joined(image: Image.Image, place: tuple[int, int]) -> Mask:
    filled = image.copy()
    red, green, blue = image.getpixel(place)  # type: ignore[misc]
    # Every pixel that is filled changes, whatever its colour was.
    ImageDraw.floodfill(filled, place, (red ^ 128, green ^ 128, blue ^ 128), thresh=_LIKE)
    return np.asarray(np.any(np.asarray(filled) != np.asarray(image), axis=2), dtype=np.bool_)


def _inside(image: Image.Image, box: Mapping[str, Any]) -> Mask:
    mask = np.zeros((image.height, image.width), dtype=np.bool_)
    across = slice(int(box["x0"] * image.width), max(1, round(box["x1"] * image.width)))
    down = slice(int(box["y0"] * image.height), max(1, round(box["y1"] * image.height)))
    mask[down, across] = True
    return mask
