"""Images as a kind of media: request checks, prices, files and segmentation masks.

Segmentation (SAM 3, BiRefNet) separates objects from their surroundings by color: good enough to see which part of an
image was meant, and deterministic. Prompts are not understood; a word stands for whatever stands out.
"""
# Protocol notes: projects-4.2 §5, projects-5x §2.3, §4.8.

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from sogni.emulator.catalogue.loras import applied
from sogni.emulator.catalogue.models import Catalogue, Model
from sogni.emulator.fields import Fields
from sogni.emulator.media.pictures import Picture, enlarge, render, unreadable
from sogni.emulator.projects.estimates import ImageWork, Quote, performed_steps, quote
from sogni.emulator.projects.orders import Control, ImageOrder, Network, Product, Segmentation
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, amounts, common_values, receipt, sampling

Mask = NDArray[np.bool_]

UPSCALER = "rtx_vsr_pro"
MOSS = "moss_image_"
SAM3, BIREFNET = "sam3_image_segment_bf16", "birefnet_image_background_removal_fp16"
USUAL_THRESHOLD = 0.5
LABELS = ("positive", "negative")
_MOST_POINTS, _MOST_BOXES, _LONGEST_TEXT, _MOST_INSTANCES = 32, 16, 240, 16
_CANVAS = 384
"""The longest side of the image in which objects are searched."""
_LIKE = 64
"""The largest color distance within an object, as the sum over three channels."""
_EVEN = 12
"""An image whose colors are all this close has no object that stands out."""


def check_segmentation(frame: Fields, model: Model) -> Segmentation | None:
    """Read the segmentation settings; return None for other models and for invalid settings."""
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
        prompt.refuse("points", "or boxes or a text is required")
    if points and text:
        prompt.refuse("text", "cannot be combined with points")
    if prompt.flag("multimask") is not None and not points:
        prompt.refuse("multimask", "requires points")
    prompt.number("threshold", required=True, minimum=0, maximum=1)
    cut_out = prompt.flag("applyMask", required=True)
    prompt.whole("maxInstances", minimum=1, maximum=_MOST_INSTANCES)
    prompt.leftover()
    return Segmentation(prompt=dict(prompt.values), cut_out=bool(cut_out))


def _objects(prompt: Fields, key: str, numbers: tuple[str, ...], most: int) -> int:
    """Check a list of points or boxes and return its length."""
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
    """Write the mask of an image as PNG, or with ``cut_out`` the masked image."""
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
    """Return the pixels of the object; without a prompt, of whatever stands out."""
    given_prompt: Mapping[str, Any] = prompt or {}
    mask = _standing_out(image, float(given_prompt.get("threshold", USUAL_THRESHOLD)))
    points, boxes = given_prompt.get("points", []), given_prompt.get("boxes", [])
    if points:
        mask = _around(image, points)
    requested = [box for box in boxes if box["label"] == "positive"]
    if requested:
        mask = mask & np.any([_inside(image, box) for box in requested], axis=0)
    for box in boxes:
        if box["label"] == "negative":
            mask = mask & ~_inside(image, box)
    return mask


def _standing_out(image: Image.Image, threshold: float) -> Mask:
    """Return the pixels whose color is far from that of the image's edges."""
    pixels = np.asarray(image, dtype=np.int32)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    distance = np.abs(pixels - np.median(edge, axis=0)).sum(axis=2)
    furthest = float(distance.max())
    return np.asarray((distance >= threshold * furthest) & (furthest > _EVEN), dtype=np.bool_)


def _around(image: Image.Image, points: list[Mapping[str, Any]]) -> Mask:
    """Return the areas connected to positive points by similar colors, minus those connected to negative points."""
    masks = {label: np.zeros((image.height, image.width), dtype=np.bool_) for label in LABELS}
    for point in points:
        place = (round(point["x"] * (image.width - 1)), round(point["y"] * (image.height - 1)))
        masks[point["label"]] |= _joined(image, place)
    return masks["positive"] & ~masks["negative"]


def _joined(image: Image.Image, place: tuple[int, int]) -> Mask:
    filled = image.copy()
    red, green, blue = image.getpixel(place)  # type: ignore[misc]  # an RGB image has three bands
    # Changes every filled pixel, whatever its color.
    ImageDraw.floodfill(filled, place, (red ^ 128, green ^ 128, blue ^ 128), thresh=_LIKE)
    return np.asarray(np.any(np.asarray(filled) != np.asarray(image), axis=2), dtype=np.bool_)


def _inside(image: Image.Image, box: Mapping[str, Any]) -> Mask:
    mask = np.zeros((image.height, image.width), dtype=np.bool_)
    across = slice(int(box["x0"] * image.width), max(1, round(box["x1"] * image.width)))
    down = slice(int(box["y0"] * image.height), max(1, round(box["y1"] * image.height)))
    mask[down, across] = True
    return mask


CONTEXT_SLOTS = 16
MAX_IMAGES = 256
MAX_PREVIEWS = 64
FORMATS = ("png", "jpg", "jpeg", "webp")
_PROMPTS = ("positivePrompt", "negativePrompt", "stylePrompt")
_CONTROL_NAMES = (
    "canny",
    "depth",
    "inpaint",
    "instrp2p",
    "lineart",
    "lineartanime",
    "mlsd",
    "normalbae",
    "openpose",
    "scribble",
    "segmentation",
    "shuffle",
    "softedge",
    "tile",
    "instantid",
)


def check_image(
    request: Fields, frame: Fields, model: Model, network: Network, catalogue: Catalogue
) -> ImageOrder | None:
    """Read an image request; return None if required values are missing."""
    frame.constants(KEY_FRAME_TEMPLATE)
    read = amounts(request, frame, model, catalogue, formats=FORMATS, max_count=MAX_IMAGES, max_previews=MAX_PREVIEWS)
    strength = frame.number("strength", required=True)
    texts = _prompts(frame, model)
    (width, height), preset = _size(frame, model, catalogue)
    starting = _starting_image(frame, model)
    context = _context_images(frame, model)
    control = _control_net(frame)
    sampling(frame, model, catalogue)
    frame.text("vae", null=True)
    receipt(frame)
    _gpt_image(frame, model)
    _rope_scales(frame, model)
    segmentation = check_segmentation(frame, model)
    if read is None or strength is None:
        return None
    common = common_values(request, model, "image", network, read)
    return ImageOrder(
        **{**common, "previews": 0 if model.external else read.previews},
        output_format="jpg" if read.output_format == "jpeg" else read.output_format,
        performed_steps=performed_steps(read.steps, strength) if starting else read.steps,
        width=width,
        height=height,
        size_preset=preset,
        prompt=texts[0],
        negative_prompt=texts[1],
        style_prompt=texts[2],
        starting_image=starting,
        denoise=strength,
        context_images=context,
        control=control,
        mask=bool(frame.raw("hasReferenceMask")),
        segmentation=segmentation,
    )


def _prompts(frame: Fields, model: Model) -> list[str]:
    required = {"negativePrompt": model.negative_prompt, "stylePrompt": True}
    if frame.has("negativePrompt") and not model.negative_prompt:
        frame.note("negativePrompt", f"is not accepted by {model.id}")
    return [frame.text(key, required=required.get(key, False)) or "" for key in _PROMPTS]


def _rope_scales(frame: Fields, model: Model) -> None:
    for key in ("mossRopeScaleX", "mossRopeScaleY"):
        if frame.number(key, minimum=0, maximum=100) is not None and not model.id.startswith(MOSS):
            frame.refuse(key, f"is not supported by {model.id}")


def _size(frame: Fields, model: Model, catalogue: Catalogue) -> tuple[tuple[int, int], str | None]:
    """Read the size: a preset, a custom size, or the model's default square."""
    # Protocol notes: projects-4.2 §5.4.
    square = (model.default_size, model.default_size)
    preset = frame.text("sizePreset")
    low, high = model.size_range
    if preset != "custom":
        for key in ("width", "height"):
            if frame.has(key):
                frame.refuse(key, "requires the size preset 'custom'")
        named = catalogue.preset_size(model, preset) if preset is not None else square
        if named is None:
            frame.refuse("sizePreset", f"is not a preset of {model.id}: {preset!r}")
        return named or square, preset
    sides = [frame.number(key, minimum=low, maximum=high) for key in ("width", "height")]
    if sides[0] is None or sides[1] is None:
        return square, preset
    # Fractions are valid in a request; a worker renders whole pixels.
    width, height = int(sides[0]), int(sides[1])
    if model.pixels and not model.pixels[0] <= width * height <= model.pixels[1]:
        frame.refuse("width", f"and height must make {model.pixels[0]} to {model.pixels[1]} pixels for {model.id}")
    if model.longest_ratio and max(width, height) > model.longest_ratio * min(width, height):
        frame.refuse("width", f"and height must have a ratio of at most {model.longest_ratio:g} for {model.id}")
    return (width, height), preset


def _starting_image(frame: Fields, model: Model) -> bool:
    starting, strength = frame.flag("hasStartingImage"), frame.raw("strength")
    if starting is False:
        frame.note("hasStartingImage", "must be true or omitted")
    if starting and isinstance(strength, int | float) and not 0 <= strength <= 1:
        frame.refuse("strength", f"must be from 0 to 1, got {strength:g}")
    if starting and not model.takes_starting_image:
        frame.refuse("hasStartingImage", f"must be omitted for {model.id}")
    if model.needs_starting_image and not starting:
        frame.refuse("hasStartingImage", f"must be true for {model.id}")
    return bool(starting)


def _context_images(frame: Fields, model: Model) -> tuple[int, ...]:
    flags = [frame.flag(f"hasContextImage{slot}", required=True) for slot in range(1, CONTEXT_SLOTS + 1)]
    given = tuple(slot for slot, flag in enumerate(flags, 1) if flag)
    if len(given) > model.context_images:
        frame.refuse("hasContextImage", f"is set {len(given)} times; {model.id} takes {model.context_images}")
    return given


def _control_net(frame: Fields) -> Control | None:
    entries = frame.raw("currentControlNetsJob")
    if entries is None:
        return None
    if not isinstance(entries, list) or len(entries) != 1:
        frame.refuse("currentControlNetsJob", "must be a list of exactly one object")
        return None
    net = frame.object("currentControlNetsJob", entries[0], "[0]")
    if net is None:
        return None
    name = net.text("name", required=True, allowed=_CONTROL_NAMES)
    net.text("cnImageState", required=True, allowed=("original",))
    has_image = net.flag("hasImage", required=True)
    strength = net.number("controlStrength", minimum=0, maximum=1)
    net.whole("controlMode", minimum=0, maximum=2)
    net.number("controlGuidanceStart", minimum=0, maximum=1)
    net.number("controlGuidanceEnd", minimum=0, maximum=1)
    net.flag("preprocess")
    net.leftover()
    return None if name is None else Control(name, 0.5 if strength is None else strength, bool(has_image))


def _gpt_image(frame: Fields, model: Model) -> None:
    newer = model.id.startswith("gpt-image-2.5")
    qualities = ("low", "medium", "high", "auto", "standard", "hd")
    frame.text("gptImageQuality", allowed=(*qualities, "xhigh", "max") if newer else qualities)
    frame.text("gptImageBackground", allowed=("opaque", "auto", "transparent") if newer else ("opaque", "auto"))
    frame.whole("gptImageOutputCompression", minimum=0, maximum=100)
    frame.text("gptImageMaskUrl")
    frame.flag("hasReferenceMask")
    frame.text("referenceMaskContentType")
    if frame.raw("hasReferenceMask") and not model.external:
        frame.refuse("hasReferenceMask", f"is not supported by {model.id}")


_PREVIEW_SIDE = 256
CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


@frozen
class ImageKind:
    """Serves image models."""

    catalogue: Catalogue

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> ImageOrder | None:
        return check_image(request, frame, model, network, self.catalogue)

    def uploads(self, order: ImageOrder) -> list[str]:
        roles = ["startingImage"] if order.starting_image else []
        if order.control is not None and order.control.has_image:
            roles.append("cnImage")
        roles += [f"contextImage{slot}" for slot in order.context_images]
        return [*roles, "referenceMask"] if order.mask else roles

    def quote(self, order: ImageOrder) -> Quote:
        quality = order.request["keyFrames"][0].get("gptImageQuality")
        return quote(
            ImageWork(
                model=order.model,
                count=order.count,
                steps=order.steps,
                previews=order.previews,
                control_net=order.control is not None,
                denoise=order.denoise if order.starting_image else 0.0,
                width=order.width,
                height=order.height,
                context_images=len(order.context_images),
                network=order.network,
                quality=quality,
            )
        )

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        # Broken images are accepted and fail on the worker: clients must handle that as well.
        return None

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        for role, path in inputs.items():
            reason = unreadable(path)
            if reason:
                return f"{role}: {reason}"
        return None

    def result(self, order: ImageOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        if order.segmentation is not None:
            return Product(partial(segment, order.segmentation, inputs["startingImage"]), CONTENT_TYPES["png"])
        if order.model.id == UPSCALER:
            scaled = partial(enlarge, inputs["startingImage"], (order.width, order.height), format=order.output_format)
            return Product(scaled, CONTENT_TYPES[order.output_format])
        picture = self._picture(order, seed, inputs)
        return Product(partial(render, picture, format=order.output_format), CONTENT_TYPES[order.output_format])

    def preview(self, order: ImageOrder, seed: int, inputs: Mapping[str, Path], done: float) -> Product:
        picture = self._picture(order, seed, inputs)
        scale = min(1.0, _PREVIEW_SIDE / max(picture.width, picture.height))
        width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        return Product(
            partial(render, evolve(picture, width=width, height=height, done=done), format="jpg"),
            "image/jpeg",
        )

    def _picture(self, order: ImageOrder, seed: int, inputs: Mapping[str, Path]) -> Picture:
        return Picture(
            width=order.width,
            height=order.height,
            seed=seed,
            model=order.model.id,
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            style_prompt=order.style_prompt,
            starting_image=inputs.get("startingImage"),
            denoise=order.denoise,
            context_images=tuple(inputs[f"contextImage{slot}"] for slot in order.context_images),
            control_image=inputs.get("cnImage"),
            control_strength=0.5 if order.control is None else order.control.strength,
            loras=applied(order.request["keyFrames"][0]),
        )
