"""The hosted tools that make media: what they take, which model they use, and how their results are composed.

Renders are charged; cutting and joining are free.
"""
# Protocol notes: tools §2.1, §2.2, §6.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sogni.emulator.catalogue.models import Model
from sogni.emulator.fields import present
from sogni.emulator.media.films import write_edited
from sogni.emulator.media.image_kind import BIREFNET, SAM3
from sogni.emulator.media.pictures import enlarge
from sogni.emulator.tools.media_library import (
    Artifacts,
    Kind,
    Media,
    Size,
    ToolError,
    frame_count,
    image_model,
    image_size,
    music_model,
    video_model,
    video_size,
)
from sogni.emulator.tools.text_tools import parse_subtitles
from sogni.emulator.tools.tool_context import Arguments, ToolContext, required, transaction

Files = Mapping[str, Media | None]


def _invalid(message: str) -> ToolError:
    return ToolError("INVALID_ARGUMENTS", message)


async def _render(
    work: ToolContext, model: Model, files: Files, details: Mapping[str, Any], **more: Any
) -> list[Media]:
    """Render the results of a call; ``more`` replaces its prompt, seed, number or format."""
    values: dict[str, Any] = {"prompt": work.prompt, "seed": work.chosen_seed, "count": work.variations, **more}
    used: dict[str, Media] = present(files)
    return await work.renderer.render(work.renderer.order(model, used, details, **values), used)


# Images


async def _image(
    work: ToolContext, model: Model, size: Size, files: Files, details: Mapping[str, Any] | None = None, **more: Any
) -> list[Media]:
    container = work.arguments.text("outputFormat") or "png"
    quality = work.arguments.given("gptImageQuality") if model.external else {}
    values = {"sizePreset": "custom", "width": size.width, "height": size.height, **quality, **work.loras}
    more = {
        "negative_prompt": work.negative_prompt,
        "output_format": "jpg" if container == "jpeg" else container,
        **more,
    }
    return await _render(work, model, files, {**values, **(details or {})}, **more)


async def generate_image(work: ToolContext) -> list[Media]:
    """Text to image, or image to image if a source and ``starting_image_strength`` are given."""
    args = work.arguments
    model = image_model(work.catalogue, args.text("model"))
    strength, guidance = args.number("startingImageStrength"), args.number("guidance")
    source = None if strength is None else await work.medium("image", "sourceImageIndex")
    details = {} if guidance is None else {"guidanceScale": guidance}
    if source is not None and strength is not None:
        details["strength"] = 1 - strength
    size = image_size(model, work.size(), Size.of(source))
    return await _image(work, model, size, {"startingImage": source}, details)


async def edit_image(
    work: ToolContext, *, source: Media | None = None, original: bool = False, alone: bool = False, **more: Any
) -> list[Media]:
    """Edit an image, with further references unless it is ``alone``; ``original`` prefers the first upload."""
    args, uploads = work.arguments, work.library.uploaded("image")
    model = image_model(work.catalogue, args.text("model"), edit=True)
    if original:
        source = await work.named("image") or next(iter(uploads), None)
    references = [source or await work.needed("image", "sourceImageIndex")]
    if not alone:
        urls = args.texts("referenceImageUrls")
        references += [await work.renderer.fetch(url, "image") for url in urls] + uploads
    used = list(dict.fromkeys(references))[: model.context_images]
    size = image_size(model, work.size(), Size.of(used[0]), args.number("scale") or 1)
    return await _image(work, model, size, {f"contextImage{slot}": media for slot, media in enumerate(used, 1)}, **more)


async def upscale_image(work: ToolContext) -> list[Media]:
    source = await work.needed("image", "sourceImageIndex")
    size, edge = Size.of(source) or Size(1024, 1024), work.arguments.number("targetLongestEdge")
    scale = (work.arguments.number("scale") or 2) if edge is None else edge / max(size.width, size.height)
    larger = size.scaled(scale)
    if max(larger.width, larger.height) > _MOST_PIXELS:
        raise _invalid(f"The result would be {larger.width}x{larger.height}; {_MOST_PIXELS} is the most")
    produce = partial(enlarge, await work.renderer.path(source), (larger.width, larger.height), format="png")
    media = Media(kind="image", mime="image/png", width=larger.width, height=larger.height)
    return [await work.renderer.make(media, produce)]


_MOST_PIXELS = 15360


async def remove_background(work: ToolContext) -> list[Media]:
    """Cut out what stands out; with ``applyMask`` false, return the mask."""
    return await _separated(work, BIREFNET, {"applyMask": work.arguments.flag("applyMask") is not False})


async def segment_image(work: ToolContext) -> list[Media]:
    """Return the mask of what a text, points or boxes describe, or the cut-out with ``applyMask``."""
    # Protocol notes: projects-5x §4.8.
    args = work.arguments
    points = args.objects("points")
    prompt = {
        "points": points,
        "boxes": [{"label": "positive", **box} for box in args.objects("boxes")],
        "threshold": 0.5 if args.number("threshold") is None else args.number("threshold"),
        "applyMask": args.flag("applyMask") is True,
        **args.given("text", "maxInstances"),
        **({"multimask": args.flag("multimask") is not False} if points else {}),
    }
    return await _separated(work, SAM3, {"sam3Prompt": prompt})


async def _separated(work: ToolContext, model_id: str, details: Mapping[str, Any]) -> list[Media]:
    source = await work.needed("image", "sourceImageIndex")
    model = work.catalogue.models[model_id]
    size = image_size(model, Size.of(source) or Size(1024, 1024), None)
    return await _image(work, model, size, {"startingImage": source}, details, count=1)


async def image_to_3d(work: ToolContext) -> list[Media]:
    """Return a 3D model of a front view and possibly further views."""
    # Protocol notes: projects-5x §4.9.
    files = {"startingImage": await work.needed("image", "sourceImageIndex")}
    for slot, side in enumerate(("left", "back", "right"), 1):
        view = await work.named("image", f"{side}ViewImageIndex", urls=(f"{side}ViewImageUrl",))
        if view is not None:
            files[f"contextImage{slot}"] = view
    name = "pixal3d_int8_i23d" if len(files) == 1 else "pixal3d_multiview_int8_i23d"
    mesh = ("textureSize", "meshTargetFaces", "normalMapSize", "ambientOcclusionSize", "shapeResolution")
    details = work.arguments.given(*mesh)
    return await _render(work, work.catalogue.models[name], files, details, prompt="", output_format="glb")


# Sound


async def generate_music(work: ToolContext) -> list[Media]:
    """Generate music, instrumental without ``lyrics``."""
    args = work.arguments
    meter = args.number("timesig", "timesignature")
    details = args.given("duration", "bpm", "keyscale", "language", "lyrics")
    details |= {} if meter is None else {"timesignature": str(int(meter))}
    container = args.text("outputFormat") or "mp3"
    return await _render(work, music_model(work.catalogue, args.text("model")), {}, details, output_format=container)


async def generate_speech(work: ToolContext) -> list[Media]:
    """Speak the prompt with a voice that is named, cloned or described."""
    # Protocol notes: projects-5x §4.11.
    args, kind, files = work.arguments, work.arguments.text("model") or "voice", {}
    details = args.given("language", "creativity")
    if kind == "clone":
        files["referenceAudio"] = await work.needed("audio", "voiceSourceIndex", urls=("voiceSourceUrl",))
        # The models accept fewer characters than the tool.
        details |= {"referenceText": text[:1000]} if (text := args.text("voiceTranscript")) else {}
    elif kind == "design":
        details["instruct"] = (args.text("voiceDescription") or "")[:500]
    else:
        details |= {"speaker": speaker} if (speaker := args.text("voice")) else {}
    voice = {"voice": "custom_voice", "clone": "voice_clone", "design": "voice_design"}[kind]
    model = work.catalogue.models[f"qwen3_tts_1.7b_{voice}_bf16"]
    container = args.text("outputFormat") or "wav"
    return await _render(work, model, files, details, output_format=container)


# Videos


_DEFAULT_SECONDS, _ANIMATE_SECONDS = 5.0, 10.0
_FRAMES = ("referenceImage", "referenceImageEnd")
_END_URLS = ("referenceImageEndUrl", "endImageUrl")


async def _clip(
    work: ToolContext,
    workflow: str,
    files: Files,
    *,
    seconds: float | None = None,
    shape: Media | None = None,
    selector: str | None = None,
    details: Mapping[str, Any] | None = None,
    **more: Any,
) -> list[Media]:
    """Render a video. ``shape`` determines the default size; by default it is the main file."""
    args = work.arguments
    model = video_model(work.catalogue, selector or work.video_model, workflow)
    outpaint = ("outpaintAspectRatio",) if args.text("controlMode") == "outpaint" else ()
    source = Size.of(shape or files.get("referenceImage") or files.get("referenceImageEnd"))
    short_side = args.number("targetResolution")
    size = video_size(work.catalogue, model, work.size(*outpaint), source, short_side)
    frames = frame_count(work.catalogue, model, seconds or args.number("duration") or _DEFAULT_SECONDS)
    values = {"width": size.width, "height": size.height, "frames": frames, **work.loras, **(details or {})}
    if (sound := args.flag("generateAudio")) is not None:
        values["generateAudio"] = sound
    newest_seedance = model.id == "seedance-2-5"
    if newest_seedance and (files.get("referenceVideo") or files.get("referenceAudio")):
        values["seedanceTaskType"] = "reference"
        files = {**files, "referenceImage": None}
    more = {
        "negative_prompt": work.negative_prompt,
        "output_format": "mov" if args.text("outputFormat") == "mov" and newest_seedance else "mp4",
        **({"count": 1} if "seed" in more else {}),
        **more,
    }
    return await _render(work, model, files, values, **more)


async def _clips(renders: Iterable[Any]) -> list[Media]:
    return [media for group in await transaction(renders) for media in group]


async def generate_video(work: ToolContext) -> list[Media]:
    """Text to video, or from reference media if they are given."""
    args = work.arguments

    async def references(kind: Kind, *names: str) -> list[Media]:
        found = [work.library.pick(kind, index) for index in args.numbers(*names)]
        return found or [media for media in [await work.named(kind)] if media is not None]

    images = await references("image", "referenceImageIndices", "sourceImageIndex")
    videos = await references("video", "referenceVideoIndices")
    audios = await references("audio", "referenceAudioIndices")
    if not images and (work.video_model or "").startswith("seedance"):
        # Seedance receives the uploads by default (tools §2.2).
        images = work.library.uploaded("image")[:1]
    image = images[0] if images else None
    end = images[1] if len(images) > 1 else await work.named("image", urls=_END_URLS)
    if videos:
        return await _clip(work, "v2v", {"referenceImage": image, "referenceVideo": videos[0]})
    if audios:
        files = {"referenceImage": image, "referenceAudio": audios[0]}
        return await _clip(work, "ia2v" if image else "a2v", files)
    files = {"referenceImage": image, "referenceImageEnd": end}
    return await _clip(work, "i2v" if image or end else "t2v", files)


async def animate_photo(work: ToolContext) -> list[Media] | Artifacts:
    """Animate one image, or several, whose clips are joined unless ``stitched`` is false."""
    args, role = work.arguments, work.arguments.text("frameRole") or "start"

    def frames(image: Media, end: Media | None) -> Files:
        if role == "end":
            return {"referenceImageEnd": image}
        return {"referenceImage": image, "referenceImageEnd": end if role == "both" else None}

    indices = args.numbers("sourceImageIndices")
    if not indices:
        source = await work.needed("image", "sourceImageIndex")
        end = await work.named("image", "endImageIndex", urls=_END_URLS)
        if role == "both" and end is None:
            raise _invalid("frameRole 'both' requires endImageIndex or endImageIndices")
        return await _clip(work, "i2v", frames(source, end))
    prompts, ends = args.texts("prompts"), args.numbers("endImageIndices")
    if any(given and len(given) != len(indices) for given in (prompts, ends)):
        raise _invalid("prompts and endImageIndices must have one entry per entry of sourceImageIndices")
    if role == "end" or args.given("sourceImageIndex", "numberOfVariations"):
        raise _invalid(
            "sourceImageIndices cannot be combined with sourceImageIndex, numberOfVariations or frameRole 'end'"
        )
    images = [work.library.pick("image", index) for index in indices]
    last: list[Media | None] = [work.library.pick("image", index) for index in ends]
    clips = await _clips(
        _clip(
            work,
            "i2v",
            frames(image, last[part] if last else None),
            seed=work.seed_of(part),
            prompt=prompts[part] if prompts else work.prompt,
        )
        for part, image in enumerate(images)
    )
    return clips if args.flag("stitched") is False else await _joined(work, clips)


async def sound_to_video(work: ToolContext) -> list[Media]:
    audio = required(await work.upload("audio", "audioSourceIndex"), "audio file")
    image = await work.upload("image", "sourceImageIndex")
    spoken = work.video_model == "wan-s2v"
    if spoken and image is None:
        raise ToolError("MEDIA_REQUIRED", "wan-s2v requires an image")
    details = {"audioStart": work.arguments.number("audioStart") or 0}
    files = {"referenceImage": image, "referenceAudio": audio}
    return await _clip(work, "s2v" if spoken else "ia2v" if image else "a2v", files, details=details)


async def video_to_video(work: ToolContext) -> list[Media]:
    """Follow the motion, the outlines or the content of a video."""
    args = work.arguments
    mode = args.text("controlMode") or "animate-move"
    video, image = (
        required(await work.upload("video", "videoSourceIndex"), "video"),
        await work.upload("image", "sourceImageIndex"),
    )
    animate = mode in ("animate-move", "animate-replace")
    if image is None and (animate or mode == "pose"):
        raise ToolError("MEDIA_REQUIRED", f"controlMode {mode} requires a reference image")
    files: dict[str, Media | None] = {"referenceImage": image, "referenceVideo": video}
    details: dict[str, Any] = {}
    if mode == "inpaint" and args.number("maskImageIndex") is not None:
        files["referenceMask"] = await work.named("image", "maskImageIndex")
    if not animate and mode != "seedance-v2v":
        details["currentControlNetsJob"] = [{"name": mode}]
        details |= args.given("outpaintPosition") if mode == "outpaint" else {}
    seconds = args.number("duration") or video.duration or (_ANIMATE_SECONDS if animate else _DEFAULT_SECONDS)
    selector = "seedance2" if mode == "seedance-v2v" and not work.video_model else None
    workflow = mode if animate else "v2v"
    return await _clip(work, workflow, files, details=details, seconds=seconds, shape=video, selector=selector)


# Editing and composing videos


async def stitch_video(work: ToolContext) -> Artifacts:
    """Join videos in the given order, from a list of numbers or a bound list of URLs."""
    args = work.arguments
    clips = [work.library.pick("video", index) for index in args.numbers("videoIndices")]
    urls = args.texts("videoUrls", "referenceVideoUrls")
    clips += [await work.renderer.fetch(url, "video") for url in urls]
    if len(clips) < 2:
        raise _invalid("videoIndices must have at least two entries")
    transition = args.raw("transition")
    overlap = float(transition.get("durationSeconds") or 0.5) if isinstance(transition, Mapping) else 0.0
    return await _joined(work, clips, audio=await work.named("audio", "audioIndex"), overlap=overlap)


async def _joined(
    work: ToolContext, clips: Sequence[Media], *, audio: Media | None = None, overlap: float = 0.0
) -> Artifacts:
    """Return a video as long as others together; a transition shortens all but the last."""
    if len(clips) == 1 and audio is None:
        return Artifacts(clips)
    seconds = sum(video.duration or 0.0 for video in clips) - overlap * (len(clips) - 1)
    sound = audio is not None or any(video.sound for video in clips)
    return Artifacts([await _film(work, clips[0], seconds=seconds, sound=sound)], parts=clips)


async def _film(
    work: ToolContext,
    base: Media,
    *,
    seconds: float | None = None,
    sound: bool | None = None,
    size: tuple[int, int] | None = None,
) -> Media:
    """Return a video that starts like another one, and has its properties unless others are given."""
    # The encoder requires even sides.
    width, height = size or ((base.width or 640) // 2 * 2, (base.height or 640) // 2 * 2)
    made = Media(
        kind="video",
        mime="video/mp4",
        width=width,
        height=height,
        duration=base.duration if seconds is None else seconds,
        sound=base.sound if sound is None else sound,
    )
    source = await work.renderer.path(base)
    produce = partial(write_edited, source, size=(width, height), seconds=made.duration, sound=made.sound)
    return await work.renderer.make(made, produce)


async def _base(work: ToolContext, name: str) -> Media:
    """Return the video a tool works on: -1 and omitted mean the newest, else the first upload."""
    index = work.arguments.number(name)
    if index is not None and index != -1:
        return work.library.pick("video", int(index))
    return await work.needed("video")


async def _still(work: ToolContext, video: Media) -> Media:
    """Return a frame of a video, from which another take can start."""
    size = (video.width or 640) // 2 * 2, (video.height or 640) // 2 * 2
    produce = partial(enlarge, await work.renderer.path(video), size, format="png")
    return await work.renderer.make(Media(kind="image", mime="image/png", width=size[0], height=size[1]), produce)


async def _take(work: ToolContext, files: Files, seconds: float) -> Media:
    selector = None if work.video_model == "auto" else work.video_model
    return (await _clip(work, "i2v", files, seconds=seconds, seed=work.chosen_seed, selector=selector))[0]


async def extend_video(work: ToolContext) -> Artifacts:
    """Extend a video; the results are the new part and the joined video."""
    base = await _base(work, "videoIndex")
    seconds = work.arguments.number("duration") or _DEFAULT_SECONDS
    part = await _take(work, {"referenceImage": await _still(work, base)}, seconds)
    return Artifacts([part, *(await _joined(work, [base, part])).results])


async def replace_video_segment(work: ToolContext) -> Artifacts:
    """Replace a segment of a video with a new take or a segment of another video."""
    args, base = work.arguments, await _base(work, "videoIndex")
    length = base.duration or 0.0
    # -1 is the end of the base.
    moments = [float(args.number(name) or 0) for name in ("startSeconds", "endSeconds")]
    start, end = (length if moment < 0 else min(moment, length) for moment in moments)
    index = args.number("replacementVideoIndex")
    if end < start or (end == start and index is None):
        raise _invalid("endSeconds must be greater than startSeconds")
    if index is None:
        still = await _still(work, base)
        replacement, seconds = await _take(work, dict.fromkeys(_FRAMES, still), end - start), end - start
    else:
        replacement = work.library.pick("video", int(index))
        first = args.number("replacementStartSeconds") or 0.0
        last = min(replacement.duration or 0.0, args.number("replacementEndSeconds") or replacement.duration or 0.0)
        if not 0 <= first < last:
            raise _invalid("replacementEndSeconds must be greater than replacementStartSeconds")
        seconds = last - first
    result = await _film(work, base, seconds=start + seconds + length - end, sound=base.sound or replacement.sound)
    return Artifacts([replacement, result] if index is None else [result], parts=[replacement])


async def overlay_video(work: ToolContext) -> list[Media]:
    """Return a copy of a video. The overlays are checked, not drawn."""
    base = await _base(work, "sourceVideoIndex")
    overlays = work.arguments.objects("overlays", "overlayItems")
    if not overlays:
        raise _invalid("overlays must have at least one entry")
    for number, entry in enumerate(overlays):
        if entry.get("kind") != "image":
            if not isinstance(entry.get("text"), str) or not entry["text"]:
                raise _invalid(f"overlays[{number}].text must be a string")
        elif entry.get("sourceImageIndex") is not None:
            work.library.pick("image", int(entry["sourceImageIndex"]))
        elif work.library.newest("image") is None:
            raise ToolError("MEDIA_REQUIRED", f"overlays[{number}] has no image")
    return [await _film(work, base)]


async def add_subtitles(work: ToolContext) -> list[Media]:
    """Return a copy of a video. The subtitles are checked, not drawn."""
    args, base = work.arguments, await _base(work, "sourceVideoIndex")
    srt, cues = args.text("srt"), args.objects("cues")
    if bool(srt) == bool(cues):
        raise _invalid("Exactly one of cues and srt is required")
    if srt:
        parse_subtitles(srt)
    for number, cue in enumerate(cues):
        start, end, text = cue.get("startSeconds"), cue.get("endSeconds"), cue.get("text")
        timed = isinstance(start, int | float) and isinstance(end, int | float) and end > start
        if not timed or not isinstance(text, str):
            raise _invalid(f"cues[{number}] must have startSeconds, a later endSeconds, and text")
    return [await _film(work, base)]


async def upscale_video(work: ToolContext) -> list[Media]:
    """Enlarge a video, keeping its timing and sound."""
    base = await _base(work, "sourceVideoIndex")
    width, height = base.width or 640, base.height or 640
    target = work.arguments.number("targetResolution") or (1080 if min(width, height) < 720 else 1440)
    factor = max(1.0, target / min(width, height))
    size = round(width * factor / 2) * 2, round(height * factor / 2) * 2
    return [await _film(work, base, size=size)]


_TRANSITION_SECONDS = 2.5
_DANCE_CLIP, _LONGEST_SINGLE = 10.0, 20.0
"""The longest render of WAN, and the longest single clip, in seconds."""


async def orbit_video(work: ToolContext) -> Artifacts:
    """Circle an object: render other angles, and a transition from each to the next."""
    args = work.arguments
    source = await work.needed("image", "sourceImageIndex")
    angles = args.texts("angles") or ["right side view", "back view", "left side view"]
    point = f"{args.text('elevation') or 'eye-level shot'} {args.text('distance') or 'medium shot'}"
    stills = await _clips(
        edit_image(work, source=source, alone=True, prompt=f"{angle} {point}", seed=work.seed_of(part), count=1)
        for part, angle in enumerate(angles, 1)
    )
    stops = [source, *stills, source]
    clips = await _clips(
        _clip(
            work,
            "i2v",
            {"referenceImage": stops[part], "referenceImageEnd": stops[part + 1]},
            seconds=_TRANSITION_SECONDS,
            seed=work.seed_of(part),
        )
        for part in range(len(stops) - 1)
    )
    return await _joined(work, clips)


async def dance_montage(work: ToolContext) -> Artifacts:
    """Let the subject of an image dance: 9:16 at 480 pixels, with music."""
    args = work.arguments
    dance = args.text("dance") or ""
    seconds = args.number("duration") or min(float(_DANCES[dance]), 30.0)
    if args.flag("singleClip") and seconds > _LONGEST_SINGLE:
        raise _invalid(f"singleClip is limited to {_LONGEST_SINGLE:g} seconds at most")
    if (prompt := args.text("imagePrompt")) is not None:
        dancer = (await edit_image(work, prompt=prompt, count=1))[0]
    else:
        dancer = await work.needed("image", "sourceImageIndex")
    stage = ToolContext(work.renderer, Arguments({**args.values, "aspectRatio": "480x848"}), work.library, work.seed)
    count = -int(-seconds // _DANCE_CLIP)
    clips = await _clip(
        stage,
        "i2v",
        {"referenceImage": dancer},
        seconds=seconds / count,
        selector="wan22",
        prompt=f"dancing {dance}",
        count=count,
    )
    return Artifacts([await _film(work, clips[0], seconds=seconds, sound=True)], parts=clips)


_DANCES = {
    "rasputin": 32,
    "big-guy": 11,
    "keep-it-gangsta": 21,
    "this-is-america": 22,
    "chinese-new-year": 18,
    "spongebob": 27,
    "chanel": 14,
    "crystal-light-aerobics-1988": 52,
    "plastic-dream-sequence": 28,
}
"""The dances and their lengths in seconds."""
