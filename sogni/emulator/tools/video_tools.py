"""Tools that generate videos and music. They choose model, size, length and inputs; the workers render."""
# Protocol notes: tools §2.2.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sogni.emulator.tools.media_library import Media, ToolError
from sogni.emulator.tools.renderer import RenderRequest
from sogni.emulator.tools.tool_context import (
    ToolContext,
    frame_count,
    music_model,
    parse_size,
    size_of,
    transaction,
    video_model,
    video_size,
)

_DEFAULT_SECONDS = 5.0
_ANIMATE_SECONDS = 10.0
_END_URLS = ("reference_image_end_url", "referenceImageEndUrl", "end_image_url")
_VIDEO_NAMES = ("videoModel", "video_model", "model")


async def generate_video(work: ToolContext) -> list[Media]:
    """Text to video, or from reference media if they are given."""
    args = work.arguments
    images = [work.library.pick("image", index) for index in args.numbers("referenceImageIndices", "sourceImageIndex")]
    videos = [work.library.pick("video", index) for index in args.numbers("referenceVideoIndices")]
    audios = [work.library.pick("audio", index) for index in args.numbers("referenceAudioIndices")]
    image = images[0] if images else await work.named("image")
    if image is None and (args.text(*_VIDEO_NAMES) or "").startswith("seedance"):
        # Seedance receives the uploads by default (tools §2.2).
        image = next(iter(work.library.uploaded("image")), None)
    end = images[1] if len(images) > 1 else await work.named("image", urls=_END_URLS)
    video = videos[0] if videos else await work.named("video")
    audio = audios[0] if audios else await work.named("audio")
    files = {"referenceImage": image, "referenceImageEnd": end}
    if video is not None:
        return await clip(work, "v2v", {"referenceImage": image, "referenceVideo": video})
    if audio is not None:
        return await clip(work, "a2v" if image is None else "ia2v", {"referenceImage": image, "referenceAudio": audio})
    return await clip(work, "t2v" if image is None and end is None else "i2v", files)


async def animate_photo(work: ToolContext) -> list[Media]:
    """Animate one image; several become clips that the caller joins."""
    source = await work.needed("image", "sourceImageIndex", "source_image_index")
    role = work.arguments.text("frameRole") or "start"
    end = await work.named("image", "endImageIndex", urls=_END_URLS)
    if role == "both" and end is None:
        raise ToolError("INVALID_ARGUMENTS", "frameRole 'both' requires endImageIndex or endImageIndices")
    return await clip(work, "i2v", _frames(role, source, end))


async def animated(work: ToolContext) -> list[Media]:
    """Return one clip per entry of ``sourceImageIndices``, in their order."""
    args = work.arguments
    indices, prompts, ends = args.numbers("sourceImageIndices"), args.texts("prompts"), args.numbers("endImageIndices")
    for name, given in (("prompts", prompts), ("endImageIndices", ends)):
        if given and len(given) != len(indices):
            raise ToolError("INVALID_ARGUMENTS", f"{name} must have one entry per entry of sourceImageIndices")
    if any(args.raw(name) is not None for name in ("sourceImageIndex", "numberOfVariations")):
        raise ToolError(
            "INVALID_ARGUMENTS", "sourceImageIndices cannot be combined with sourceImageIndex or variations"
        )
    role = args.text("frameRole") or "start"
    if role == "end":
        raise ToolError("INVALID_ARGUMENTS", "frameRole 'end' cannot be combined with sourceImageIndices")
    clips = []
    for part, index in enumerate(indices):
        end = work.library.pick("image", ends[part]) if ends else None
        files = _frames(role, work.library.pick("image", index), end)
        prompt = prompts[part] if prompts else None
        clips.append(clip(work, "i2v", files, prompt=prompt, seed=work.seed_of(part)))
    return [made for group in await transaction(clips) for made in group]


def _frames(role: str, image: Media, end: Media | None) -> dict[str, Media | None]:
    if role == "end":
        return {"referenceImageEnd": image}
    return {"referenceImage": image, "referenceImageEnd": end if role == "both" else None}


async def sound_to_video(work: ToolContext) -> list[Media]:
    """Generate a video for a sound. ``audioSourceIndex`` and ``sourceImageIndex`` count uploads from 0."""
    # Protocol notes: tools §2.1.
    args = work.arguments
    audio = await _uploaded_or_made(work, "audio", "audioSourceIndex")
    if audio is None:
        raise ToolError("MEDIA_REQUIRED", "The tool requires an audio file")
    image = await _uploaded_or_made(work, "image", "sourceImageIndex")
    selector = args.text(*_VIDEO_NAMES) or ""
    if selector == "wan-s2v" and image is None:
        raise ToolError("MEDIA_REQUIRED", "wan-s2v requires an image")
    workflow = "s2v" if selector == "wan-s2v" else "a2v" if image is None else "ia2v"
    details = {"audioStart": args.number("audioStart", "audio_start") or 0}
    files = {"referenceImage": image, "referenceAudio": audio}
    return await clip(work, workflow, files, details=details)


async def video_to_video(work: ToolContext) -> list[Media]:
    """Follow the motion, the outlines or the content of a video."""
    args = work.arguments
    mode = args.text("controlMode", "control_mode") or "animate-move"
    video = await _uploaded_or_made(work, "video", "videoSourceIndex")
    if video is None:
        raise ToolError("MEDIA_REQUIRED", "The tool requires a video")
    image = await _uploaded_or_made(work, "image", "sourceImageIndex")
    animate = mode in ("animate-move", "animate-replace")
    if image is None and (animate or mode == "pose"):
        raise ToolError("MEDIA_REQUIRED", f"controlMode {mode} requires a reference image")
    files: dict[str, Media | None] = {"referenceImage": image, "referenceVideo": video}
    details: dict[str, Any] = {}
    if mode == "inpaint" and args.number("maskImageIndex") is not None:
        files["referenceMask"] = await work.named("image", "maskImageIndex")
    if not animate and mode != "seedance-v2v":
        details["currentControlNetsJob"] = [{"name": mode}]
        position = args.text("outpaintPosition")
        if mode == "outpaint" and position is not None:
            details["outpaintPosition"] = position
    seconds = args.number("duration") or video.duration or (_ANIMATE_SECONDS if animate else _DEFAULT_SECONDS)
    selector = "seedance2" if mode == "seedance-v2v" and not args.text(*_VIDEO_NAMES) else None
    return await clip(
        work, mode if animate else "v2v", files, details=details, seconds=seconds, shape=video, selector=selector
    )


async def _uploaded_or_made(work: ToolContext, kind: Any, name: str) -> Media | None:
    """Read an index that counts uploads from 0. If it is omitted, or there are no uploads, the newest is used."""
    if name in work.library.bound:
        return work.library.bound[name]
    index, uploads = work.arguments.number(name), work.library.uploaded(kind)
    if index is None or index < 0:
        return await work.medium(kind, name)
    return uploads[int(index)] if int(index) < len(uploads) else work.library.pick(kind, int(index))


async def generate_music(work: ToolContext) -> list[Media]:
    """Generate music, instrumental without ``lyrics``."""
    args = work.arguments
    model = work.model(music_model(work.catalogue, args.text("model")))
    meter = args.number("timesig", "timesignature")
    values = {
        "duration": args.number("duration"),
        "bpm": args.number("bpm"),
        "keyscale": args.text("keyscale"),
        "timesignature": None if meter is None else str(int(meter)),
        "language": args.text("language"),
        "lyrics": args.text("lyrics"),
    }
    requested = RenderRequest(
        model=model,
        prompt=work.prompt,
        seed=work.chosen_seed,
        count=work.variations,
        output_format=args.text("outputFormat", "output_format") or "mp3",
        details={key: value for key, value in values.items() if value is not None},
    )
    return await work.renderer.render(requested)


_VOICES = {"voice": "custom_voice", "clone": "voice_clone", "design": "voice_design"}
_INSTRUCTIONS, _TRANSCRIPT = 500, 1000
"""The number of characters that the models accept, fewer than the tool."""


async def generate_speech(work: ToolContext) -> list[Media]:
    """Speak the prompt."""
    # Protocol notes: projects-5x §4.11.
    args = work.arguments
    kind = args.text("model") or "voice"
    values = {"language": args.text("language"), "creativity": args.number("creativity")}
    files = {}
    if kind == "clone":
        files["referenceAudio"] = await work.needed("audio", "voiceSourceIndex", urls=("voice_source_url",))
        values["referenceText"] = (args.text("voiceTranscript") or "")[:_TRANSCRIPT] or None
    elif kind == "design":
        values["instruct"] = (args.text("voiceDescription") or "")[:_INSTRUCTIONS]
    else:
        values["speaker"] = args.text("voice")
    requested = RenderRequest(
        model=work.model(f"qwen3_tts_1.7b_{_VOICES[kind]}_bf16"),
        prompt=work.prompt,
        seed=work.chosen_seed,
        count=work.variations,
        output_format=args.text("outputFormat", "output_format") or "wav",
        files=files,
        details={key: value for key, value in values.items() if value is not None},
    )
    return await work.renderer.render(requested)


async def clip(
    work: ToolContext,
    workflow: str,
    files: Mapping[str, Media | None],
    *,
    details: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    shape: Media | None = None,
    selector: str | None = None,
    prompt: str | None = None,
    seed: int | None = None,
) -> list[Media]:
    """Render a video. ``shape`` determines the default size; by default it is the main file."""
    args = work.arguments
    given = {role: media for role, media in files.items() if media is not None}
    model = work.model(video_model(work.catalogue, selector or args.text(*_VIDEO_NAMES), workflow))
    shapes = ["aspectRatio", "aspect_ratio", "ratio"]
    if args.text("controlMode") == "outpaint":
        shapes.append("outpaintAspectRatio")
    requested_size = parse_size(args.text(*shapes), args.number("width"), args.number("height"))
    source = size_of(shape or given.get("referenceImage") or given.get("referenceImageEnd"))
    short_side = args.number("targetResolution", "target_resolution")
    size = video_size(work.catalogue, model, requested_size, source, short_side)
    length = seconds or args.number("duration") or _DEFAULT_SECONDS
    frames, _ = frame_count(work.catalogue, model, length)
    extra: dict[str, Any] = {"width": size.width, "height": size.height, "frames": frames, **work.loras}
    extra |= details or {}
    sound = args.flag("generateAudio", "generate_audio")
    if sound is not None:
        extra["generateAudio"] = sound
    if model.id == "seedance-2-5" and {"referenceVideo", "referenceAudio"} & set(given):
        extra["seedanceTaskType"] = "reference"
        given.pop("referenceImage", None)
    requested = RenderRequest(
        model=model,
        prompt=work.prompt if prompt is None else prompt,
        negative_prompt=args.text("negativePrompt", "negative_prompt") or "",
        seed=work.chosen_seed if seed is None else seed,
        count=1 if seed is not None else work.variations,
        output_format="mov" if args.text("outputFormat") == "mov" and model.id == "seedance-2-5" else "mp4",
        files=given,
        details=extra,
    )
    return await work.renderer.render(requested)
