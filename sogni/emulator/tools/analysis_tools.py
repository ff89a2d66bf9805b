"""Helper tools of workflows that analyze media, list them, ask questions and conclude.

They produce no media and cost nothing; their findings are JSON.
"""
# Protocol notes: workflows §2.2.

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from PIL import Image

from sogni.emulator.tools.editing import picture_at
from sogni.emulator.tools.media_library import KINDS, Artifacts, Facts, Media, ToolError, UserNeededError, probe
from sogni.emulator.tools.tool_context import ToolContext

_SHADES = (
    ("black", (20, 20, 20)),
    ("white", (235, 235, 235)),
    ("grey", (128, 128, 128)),
    ("red", (200, 40, 40)),
    ("orange", (230, 130, 40)),
    ("yellow", (230, 210, 60)),
    ("green", (50, 150, 70)),
    ("blue", (50, 90, 200)),
    ("purple", (130, 60, 170)),
    ("brown", (120, 80, 50)),
    ("pink", (230, 150, 180)),
)
_PALETTE = 4


async def analyze_image(work: ToolContext) -> Artifacts:
    """Describe an image by what can be measured: size, shape, brightness, colors."""
    image = await work.needed("image", "sourceImageIndex", "imageIndex", "source_image_index")
    return await _described(work, image)


async def analyze_video(work: ToolContext) -> Artifacts:
    """Describe a video by its properties and the frame in its middle."""
    video = await work.needed("video", "sourceVideoIndex", "videoIndex", "source_video_index")
    return await _described(work, video)


async def extract_metadata(work: ToolContext) -> Artifacts:
    medium = await _any(work)
    facts = await _probe(work, medium)
    return Artifacts(facts={"metadata": _metadata(medium, facts)})


async def inspect_asset(work: ToolContext) -> Artifacts:
    return Artifacts(facts={"asset": _asset(work, await _any(work))})


async def label_asset(work: ToolContext) -> Artifacts:
    label = work.arguments.text("label", "name", "role")
    if label is None:
        raise ToolError("INVALID_ARGUMENTS", "label must be a string")
    return Artifacts(facts={"asset": {**_asset(work, await _any(work)), "label": label}})


async def create_asset_manifest(work: ToolContext) -> Artifacts:
    assets = [_asset(work, media) for media in (*work.library.uploads, *work.library.results)]
    return Artifacts(facts={"manifest": {"count": len(assets), "assets": assets}})


async def map_assets_for_model(work: ToolContext) -> Artifacts:
    """Return the number under which each medium is passed to a model."""
    kinds = [kind for kind in KINDS if work.library.of(kind) or work.library.uploaded(kind)]
    mapped = {
        f"reference{kind.capitalize()}Indices": [
            work.library.index(media) for media in (*work.library.of(kind), *work.library.uploaded(kind))
        ]
        for kind in kinds
    }
    return Artifacts(facts={"model": work.arguments.text("model", "destination_model"), "mapping": mapped})


async def validate_asset_references(work: ToolContext) -> Artifacts:
    """Return which numbers refer to existing media."""
    missing = []
    for kind in KINDS:
        for index in work.arguments.numbers(f"{kind}Indices", f"reference{kind.capitalize()}Indices"):
            try:
                work.library.pick(kind, index)
            except ToolError as problem:
                missing.append({"kind": kind, "index": index, "message": problem.message})
    return Artifacts(facts={"valid": not missing, "missing": missing})


async def ask_clarifying_question(work: ToolContext) -> Artifacts:
    """Wait for the user, once: resuming the workflow is the answer."""
    if work.arguments.flag("answered"):
        return Artifacts(facts={"answer": work.arguments.text("answer")})
    question = work.arguments.text("question", "prompt", "message") or "Please say more about what you want."
    options = work.arguments.raw("options", "choices")
    raise UserNeededError(
        "ask_clarifying_question", question, {"question": question, **({"options": options} if options else {})}
    )


async def finalize_response(work: ToolContext) -> Artifacts:
    return Artifacts(facts={"response": work.arguments.text("response", "message", "content", "summary") or "Done."})


async def _any(work: ToolContext) -> Media:
    """Return the medium passed to a tool that accepts any kind."""
    for kind in KINDS:
        found = await work.named(kind, f"{kind}Index", f"source{kind.capitalize()}Index", f"source_{kind}_index")
        if found is not None:
            return found
    requested = work.arguments.text("mediaType", "media_type")
    for kind in KINDS:
        newest = work.library.newest(kind) if requested in (None, kind) else None
        if newest is not None:
            return newest
    raise ToolError("MEDIA_REQUIRED", "The tool requires an image, video or audio file")


def _asset(work: ToolContext, media: Media) -> dict[str, object]:
    facts = {key: value for key, value in media.wire("").items() if key != "url"}
    return {
        **facts,
        "index": work.library.index(media) if media in (*work.library.results, *work.library.uploads) else None,
    }


async def _described(work: ToolContext, media: Media) -> Artifacts:
    path, facts = await work.renderer.path(media), await _probe(work, media)
    loop = asyncio.get_running_loop()
    colors, brightness = await loop.run_in_executor(work.renderer.state.store.executor, _colors, path, media)
    metadata = _metadata(media, facts)
    shape = "square" if facts.width == facts.height else "wide" if (facts.width or 0) > (facts.height or 0) else "tall"
    light = "dark" if brightness < 0.35 else "bright" if brightness > 0.65 else "evenly lit"
    what = "video" if media.kind == "video" else "image"
    analysis = f"A {shape}, {light} {what} of {facts.width}x{facts.height} pixels in {', '.join(colors)}."
    return Artifacts(
        facts={"analysis": analysis, "colors": colors, "brightness": round(brightness, 3), "metadata": metadata}
    )


async def _probe(work: ToolContext, media: Media) -> Facts:
    path = await work.renderer.path(media)
    loop = asyncio.get_running_loop()
    facts = await loop.run_in_executor(work.renderer.state.store.executor, probe, path, media.kind)
    if facts is None:
        raise ToolError("INVALID_MEDIA", f"The {media.kind} is unreadable")
    return facts


def _metadata(media: Media, facts: Facts) -> dict[str, object]:
    found = {
        "mediaType": media.kind,
        "mimeType": media.mime,
        "width": facts.width,
        "height": facts.height,
        "duration": None if facts.duration is None else round(facts.duration, 3),
        "frameRate": None if facts.frame_rate is None else round(facts.frame_rate, 3),
        "codecs": list(facts.codecs),
        "hasAudio": facts.sound if media.kind == "video" else None,
        "seed": media.seed,
    }
    return {key: value for key, value in found.items() if value is not None}


def _colors(path: Path, media: Media) -> tuple[list[str], float]:
    """Return the names of the most frequent colors, and the brightness from 0 to 1."""
    if media.kind == "video":
        image = picture_at(path, (media.duration or 0) / 2, (160, 160))
    else:
        with Image.open(path) as opened:
            image = opened.convert("RGB").resize((160, 160))
    pixels = np.asarray(image, dtype=np.float32).reshape(-1, 3)
    shades = np.asarray([shade for _, shade in _SHADES], dtype=np.float32)
    nearest = np.linalg.norm(pixels[:, None] - shades[None], axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=len(_SHADES))
    order = sorted(range(len(_SHADES)), key=lambda index: -int(counts[index]))
    names = [_SHADES[index][0] for index in order[:_PALETTE] if counts[index] > len(pixels) * 0.03]
    return names, float(pixels.mean() / 255)
