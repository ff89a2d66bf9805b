"""Images as a kind of media: request checks, prices, files and segmentation masks."""
# Protocol notes: projects-4.2 §5, projects-5x §2.3, §4.8.

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve

from sogni.emulator.catalogue.models import Model
from sogni.emulator.fields import Fields
from sogni.emulator.media.kinds import MediaKind
from sogni.emulator.media.pictures import Picture, cut_out, enlarge, render
from sogni.emulator.projects.orders import Order, Product, Work
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, Reading

UPSCALER = "rtx_vsr_pro"
MOSS = "moss_image_"
SAM3, BIREFNET = "sam3_image_segment_bf16", "birefnet_image_background_removal_fp16"
CONTEXT_SLOTS = 16
MAX_IMAGES, MAX_PREVIEWS = 256, 64
FORMATS = ("png", "jpg", "jpeg", "webp")
CONTROL_NAMES = (
    *("canny", "depth", "inpaint", "instrp2p", "lineart", "lineartanime", "mlsd", "normalbae", "openpose", "scribble"),
    *("segmentation", "shuffle", "softedge", "tile", "instantid"),
)
LABELS = ("positive", "negative")
_MOST_POINTS, _MOST_BOXES, _LONGEST_TEXT, _MOST_INSTANCES = 32, 16, 240, 16
_PREVIEW_SIDE = 256


class ImageKind(MediaKind):
    """Serves image models."""

    def check(self, reading: Reading) -> Order | None:
        frame, model = reading.frame, reading.model
        frame.constants(KEY_FRAME_TEMPLATE)
        common = reading.common(formats=FORMATS, max_count=MAX_IMAGES, max_previews=MAX_PREVIEWS)
        strength = frame.number("strength", required=True)
        reading.prompts(negative=model.negative_prompt, required=True)
        (width, height), preset = _size(reading)
        starting = _starting_image(frame, model)
        context = _context_images(frame, model)
        control = reading.control(CONTROL_NAMES, of_image=True)
        reading.sampling()
        frame.text("vae", null=True)
        reading.receipt()
        _gpt_image(frame, model)
        for key in ("mossRopeScaleX", "mossRopeScaleY"):
            if frame.number(key, minimum=0, maximum=100) is not None and not model.id.startswith(MOSS):
                frame.refuse(key, f"is not supported by {model.id}")
        cut_out = check_segmentation(frame, model)
        if common is None or strength is None:
            return None
        common["previews"] = 0 if model.external else common["previews"]
        common["output_format"] = common["output_format"].replace("jpeg", "jpg")
        uploads = ["startingImage"] * starting + ["cnImage"] * (control is not None and control.has_image)
        uploads += [f"contextImage{slot}" for slot in context] + ["referenceMask"] * bool(frame.raw("hasReferenceMask"))
        work = Work(
            model=model,
            steps=common["steps"],
            previews=common["previews"],
            control_net=control is not None,
            denoise=strength if starting else 0.0,
            width=width,
            height=height,
            context_images=len(context),
            network=reading.network,
            quality=frame.raw("gptImageQuality"),
        )
        shape: dict[str, Any] = {
            "size_preset": preset,
            "width": width,
            "height": height,
            "denoise": strength if starting else None,
        }
        return Order(**common, **shape, work=work, uploads=uploads, options={"cut_out": cut_out})

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        # Broken images are accepted and fail on the worker: clients must handle that as well.
        return None

    def result(self, order: Order, seed: int, inputs: Mapping[str, Path]) -> Product:
        if (cut := order.options["cut_out"]) is not None:
            return Product(partial(cut_out, inputs["startingImage"], mask_only=not cut), "image/png")
        picture = picture_of(order, seed, inputs)
        if order.model.id == UPSCALER:
            scaled = partial(enlarge, inputs["startingImage"], picture.size, format=order.output_format)
            return Product(scaled, order.content_type)
        return Product(partial(render, picture, format=order.output_format), order.content_type)

    def preview(self, order: Order, seed: int, inputs: Mapping[str, Path], done: float) -> Product | None:
        picture = picture_of(order, seed, inputs)
        scale = min(1.0, _PREVIEW_SIDE / max(picture.size))
        width, height = (max(1, round(side * scale)) for side in picture.size)
        return Product(partial(render, evolve(picture, size=(width, height), done=done), format="jpg"), "image/jpeg")


def picture_of(order: Order, seed: int, inputs: Mapping[str, Path]) -> Picture:
    """Return the image that a request describes."""
    starting = inputs.get("startingImage")
    return Picture(
        size=(order.width or 1, order.height or 1),
        prompt=order.prompts,
        details=(seed, order.key_frame),
        files=tuple(path for path in inputs.values() if path != starting),
        starting_image=starting,
        denoise=1.0 if order.denoise is None else order.denoise,
    )


def _size(reading: Reading) -> tuple[tuple[int, int], str | None]:
    """Read the size: a preset, a custom size, or the model's default square."""
    # Protocol notes: projects-4.2 §5.4.
    frame, model = reading.frame, reading.model
    square = (model.default_size, model.default_size)
    preset = frame.text("sizePreset")
    low, high = model.size_range
    if preset != "custom":
        for key in ("width", "height"):
            if frame.has(key):
                frame.refuse(key, "requires the size preset 'custom'")
        named = reading.catalogue.preset_size(model, preset) if preset is not None else square
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


def check_segmentation(frame: Fields, model: Model) -> bool | None:
    """Read the segmentation settings; return whether the mask is applied, and None for other models."""
    if model.id == BIREFNET:
        return bool(frame.flag("applyMask", required=True))
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
        prompt.refuse("points", "or boxes or text is required")
    if points and text:
        prompt.refuse("text", "cannot be combined with points")
    if prompt.flag("multimask") is not None and not points:
        prompt.refuse("multimask", "requires points")
    prompt.number("threshold", required=True, minimum=0, maximum=1)
    masked = prompt.flag("applyMask", required=True)
    prompt.whole("maxInstances", minimum=1, maximum=_MOST_INSTANCES)
    prompt.leftover()
    return bool(masked)


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
