"""Tools that generate images. They choose model, size and inputs; the workers render."""
# Protocol notes: tools §2.2.

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sogni.emulator.catalogue.models import Model
from sogni.emulator.media.image_kind import BIREFNET, SAM3
from sogni.emulator.media.pictures import cover
from sogni.emulator.tools.media_library import Media, ToolError
from sogni.emulator.tools.renderer import Cut, RenderRequest
from sogni.emulator.tools.tool_context import (
    EDIT_DEFAULT,
    SOURCE_URLS,
    Size,
    ToolContext,
    image_model,
    image_size,
    parse_size,
    size_of,
)

_RESTORED, _REFINED = 0.35, 0.5
_MOST_PIXELS = 15360


async def generate_image(work: ToolContext) -> list[Media]:
    """Text to image, or image to image if a source and ``starting_image_strength`` are given."""
    args = work.arguments
    model = work.model(image_model(work.catalogue, args.text("model")))
    strength = args.number("starting_image_strength", "startingImageStrength")
    source = None
    if strength is not None:
        source = await work.medium("image", "sourceImageIndex", "source_image_index")
    requested_size = parse_size(args.text("aspectRatio", "aspect_ratio"), args.number("width"), args.number("height"))
    details = _strength(1 - strength) if source is not None and strength is not None else {}
    guidance = args.number("guidance")
    if guidance is not None:
        details |= {"guidanceScale": guidance}
    return await _render(work, model, image_size(model, requested_size, size_of(source)), source, details)


async def edit_image(work: ToolContext) -> list[Media]:
    """Edit with reference images; the first one determines the default size."""
    args = work.arguments
    model = work.model(image_model(work.catalogue, args.text("model"), edit=True))
    main = await work.needed("image", "sourceImageIndex", "source_image_index")
    others = [
        await work.renderer.fetch(url, "image") for url in args.texts("reference_image_urls", "referenceImageUrls")
    ]
    others += [upload for upload in work.library.uploaded("image") if upload is not main]
    references = list(dict.fromkeys([main, *others]))[: model.context_images]
    requested_size = parse_size(args.text("aspectRatio", "aspect_ratio"), args.number("width"), args.number("height"))
    files = {f"contextImage{slot}": media for slot, media in enumerate(references, 1)}
    return await _render(work, model, image_size(model, requested_size, size_of(main)), files=files)


async def apply_style(work: ToolContext) -> list[Media]:
    return await _edited(work, await work.needed("image", "sourceImageIndex"))


async def refine_result(work: ToolContext) -> list[Media]:
    source = await work.needed("image", "sourceImageIndex")
    return await _from_source(work, source, _REFINED)


async def restore_photo(work: ToolContext) -> list[Media]:
    """Restore the original upload, even if there are newer results."""
    # Protocol notes: tools §2.2.
    uploads = work.library.uploaded("image")
    source = await work.named("image", urls=SOURCE_URLS["image"]) or (uploads[0] if uploads else None)
    return await _from_source(work, source or await work.needed("image"), _RESTORED)


async def change_angle(work: ToolContext) -> list[Media]:
    return await _edited(work, await work.needed("image", "sourceImageIndex"))


async def seen_from(work: ToolContext, source: Media, view: str, seed: int) -> Media:
    """Return a source from another angle."""
    model = work.model(EDIT_DEFAULT)
    size = image_size(model, None, size_of(source))
    return (await _render(work, model, size, files={"contextImage1": source}, prompt=view, seed=seed, count=1))[0]


async def upscale_image(work: ToolContext) -> list[Media]:
    """Enlarge an image without rendering."""
    source = await work.needed("image", "sourceImageIndex", "source_image_index")
    size, edge = size_of(source) or Size(1024, 1024), work.arguments.number("targetLongestEdge")
    scale = (work.arguments.number("scale") or 2) if edge is None else edge / max(size.width, size.height)
    width, height = round(size.width * scale), round(size.height * scale)
    if max(width, height) > _MOST_PIXELS:
        raise ToolError("INVALID_ARGUMENTS", f"The result would be {width}x{height}; {_MOST_PIXELS} is the most")
    produce = partial(_enlarge, await work.renderer.path(source), (width, height))
    return [await work.renderer.cut(Cut(produce=produce, kind="image", mime="image/png", width=width, height=height))]


async def remove_background(work: ToolContext) -> list[Media]:
    """Cut out what stands out; with ``applyMask`` false, return the mask."""
    source = await work.needed("image", "sourceImageIndex", "source_image_index")
    return await _separated(work, BIREFNET, source, {"applyMask": work.arguments.flag("applyMask") is not False})


async def _separated(work: ToolContext, model_id: str, source: Media, details: Mapping[str, Any]) -> list[Media]:
    model = work.model(model_id)
    size = image_size(model, size_of(source) or Size(1024, 1024), None)
    return await _render(work, model, size, source, details, count=1)


async def segment_image(work: ToolContext) -> list[Media]:
    """Return the mask of what a text, points or boxes describe, or the cut-out with ``applyMask``."""
    # Protocol notes: projects-5x §4.8.
    args = work.arguments
    source = await work.needed("image", "sourceImageIndex")
    points = args.objects("points")
    prompt = {
        "points": points,
        "boxes": [{"label": "positive", **box} for box in args.objects("boxes")],
        "text": args.text("text"),
        "threshold": 0.5 if args.number("threshold") is None else args.number("threshold"),
        "multimask": args.flag("multimask") is not False if points else None,
        "applyMask": args.flag("applyMask") is True,
        "maxInstances": args.raw("maxInstances"),
    }
    details = {"sam3Prompt": {key: value for key, value in prompt.items() if value is not None}}
    return await _separated(work, SAM3, source, details)


_VIEWS = {"left": 1, "back": 2, "right": 3}
"""The slots of further views."""
_MESH = ("textureSize", "meshTargetFaces", "normalMapSize", "ambientOcclusionSize", "shapeResolution")


async def image_to_3d(work: ToolContext) -> list[Media]:
    """Return a 3D model of a front view and possibly further views."""
    # Protocol notes: projects-5x §4.9.
    args = work.arguments
    files = {"startingImage": await work.needed("image", "sourceImageIndex")}
    for side, slot in _VIEWS.items():
        view = await work.named("image", f"{side}ViewImageIndex", urls=(f"{side}_view_image_url",))
        if view is not None:
            files[f"contextImage{slot}"] = view
    requested = RenderRequest(
        model=work.model("pixal3d_int8_i23d" if len(files) == 1 else "pixal3d_multiview_int8_i23d"),
        prompt="",
        seed=work.chosen_seed,
        output_format="glb",
        files=files,
        details={name: args.raw(name) for name in _MESH if args.raw(name) is not None},
    )
    return await work.renderer.render(requested)


async def _edited(work: ToolContext, source: Media) -> list[Media]:
    args, model = work.arguments, work.model(EDIT_DEFAULT)
    requested_size = parse_size(args.text("aspectRatio", "aspect_ratio"), None, None)
    size = image_size(model, requested_size, size_of(source), args.number("scale") or 1)
    return await _render(work, model, size, files={"contextImage1": source})


async def _from_source(work: ToolContext, source: Media, change: float) -> list[Media]:
    args = work.arguments
    model = work.model(image_model(work.catalogue, None))
    requested_size = parse_size(args.text("aspectRatio", "aspect_ratio"), None, None)
    size = image_size(model, requested_size, size_of(source), args.number("scale") or 1)
    return await _render(work, model, size, source, _strength(change))


def _strength(change: float) -> dict[str, object]:
    return {"strength": min(1.0, max(0.0, change))}


async def _render(
    work: ToolContext,
    model: Model,
    size: Size,
    source: Media | None = None,
    details: Mapping[str, Any] | None = None,
    *,
    files: Mapping[str, Media] | None = None,
    prompt: str | None = None,
    seed: int | None = None,
    count: int | None = None,
) -> list[Media]:
    args = work.arguments
    image_prompt = args.text("outputFormat", "output_format") or "png"
    inputs = dict(files or {})
    if source is not None:
        inputs["startingImage"] = source
    quality = args.text("gptImageQuality")
    extra = {"gptImageQuality": quality} if quality is not None and model.external else {}
    extra |= work.loras
    requested = RenderRequest(
        model=model,
        prompt=work.prompt if prompt is None else prompt,
        negative_prompt=args.text("negativePrompt", "negative_prompt") or "",
        seed=work.chosen_seed if seed is None else seed,
        count=work.variations if count is None else count,
        output_format="jpg" if image_prompt == "jpeg" else image_prompt,
        files=inputs,
        details={"sizePreset": "custom", "width": size.width, "height": size.height, **extra, **(details or {})},
    )
    return await work.renderer.render(requested)


def _enlarge(source: Path, size: tuple[int, int], path: Path) -> None:
    cover(source, size).save(path, "PNG", compress_level=1)
