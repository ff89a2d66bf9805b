"""Tools that edit finished videos or compose several renders: stitch, extend, replace, overlay, subtitles, upscale,
orbit, dance.

Cutting is free; what has to be rendered for it is charged.
"""
# Protocol notes: tools §2.2, §6.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sogni.emulator.media.codecs import write_audio
from sogni.emulator.media.music import Score, play
from sogni.emulator.tools.editing import (
    Film,
    Overlay,
    OverlayRenderer,
    Piece,
    check_color,
    parse_subtitles,
    picture_at,
    subtitles,
    write_film,
)
from sogni.emulator.tools.image_tools import edit_image, seen_from
from sogni.emulator.tools.media_library import Artifacts, Media, ToolError
from sogni.emulator.tools.renderer import Cut
from sogni.emulator.tools.tool_context import Arguments, ToolContext, transaction
from sogni.emulator.tools.video_tools import animate_photo, animated, clip

_MP4 = "video/mp4"
_TRANSITION_SECONDS = 0.5


async def stitch_video(work: ToolContext) -> Artifacts:
    """Join videos in the given order, from a list of numbers or a bound list of URLs."""
    args = work.arguments
    clips = [work.library.pick("video", index) for index in args.numbers("videoIndices", "video_indices")]
    urls = args.texts("video_urls", "videoUrls", "reference_video_urls")
    clips += [await work.renderer.fetch(url, "video") for url in urls]
    if len(clips) < 2:
        raise ToolError("INVALID_ARGUMENTS", "videoIndices must have at least two entries")
    audio = await work.named("audio", "audioIndex")
    transition = args.raw("transition")
    style = transition if isinstance(transition, Mapping) else {}
    overlap = float(style.get("durationSeconds") or _TRANSITION_SECONDS) if style else 0.0
    return Artifacts([await joined(work, clips, audio=audio, style=style.get("type"), overlap=overlap)], parts=clips)


async def joined(
    work: ToolContext, clips: Sequence[Media], *, audio: Media | None = None, style: Any = None, overlap: float = 0.0
) -> Media:
    """Return videos played one after the other, in the size of the first."""
    pieces = [await _piece(work, video) for video in clips]
    film = Film(
        pieces=pieces,
        size=_frame(clips[0]),
        transition=style if overlap else None,
        overlap=overlap if style else 0.0,
        audio=None if audio is None else await work.renderer.path(audio),
    )
    return await _filmed(work, film, sound=audio is not None or any(video.sound for video in clips))


async def extend_video(work: ToolContext) -> Artifacts:
    """Extend a video from its last frame; the result is the new part and the joined video."""
    base = await _base(work, "videoIndex")
    seconds = work.arguments.number("duration") or 5.0
    still = await _still(work, base, base.duration or 0.0)
    part = await _take(work, {"referenceImage": still}, seconds)
    return Artifacts([part, await joined(work, [base, part])])


async def _take(work: ToolContext, files: Mapping[str, Media], seconds: float) -> Media:
    return (await clip(work, "i2v", files, seconds=seconds, seed=work.chosen_seed, selector=_model(work)))[0]


async def replace_video_segment(work: ToolContext) -> Artifacts:
    """Replace a segment of a video with a new take or a segment of another video."""
    args, base = work.arguments, await _base(work, "videoIndex")
    length = base.duration or 0.0
    start, end = (_moment(args.number(name), length) for name in ("startSeconds", "endSeconds"))
    index = args.number("replacementVideoIndex")
    if end < start or (end == start and index is None):
        raise ToolError("INVALID_ARGUMENTS", "endSeconds must be greater than startSeconds")
    if index is None:
        replacement, piece = await _new_take(work, base, start, end)
    else:
        replacement = work.library.pick("video", int(index))
        piece = await _slice(work, replacement)
    keep_audio = args.flag("keepOriginalAudio")
    if index is None if keep_audio is None else keep_audio:
        piece = _with_sound(piece, await work.renderer.path(base) if base.sound else None, start)
    before, after = await _piece(work, base, 0.0, start), await _piece(work, base, end, length)
    pieces = [part for part in (before, piece, after) if part.seconds > 0.01]
    result = await _filmed(work, Film(pieces=pieces, size=_frame(base)), sound=base.sound or replacement.sound)
    return Artifacts([replacement, result] if index is None else [result], parts=[replacement])


async def _new_take(work: ToolContext, base: Media, start: float, end: float) -> tuple[Media, Piece]:
    files = {"referenceImage": await _still(work, base, start), "referenceImageEnd": await _still(work, base, end)}
    take = await _take(work, files, end - start)
    return take, await _piece(work, take, 0.0, end - start)


async def _slice(work: ToolContext, video: Media) -> Piece:
    args, length = work.arguments, video.duration or 0.0
    start = args.number("replacementStartSeconds") or 0.0
    end = min(length, args.number("replacementEndSeconds") or length)
    if not 0 <= start < end:
        raise ToolError("INVALID_ARGUMENTS", "replacementEndSeconds must be greater than replacementStartSeconds")
    return await _piece(work, video, start, end)


def _with_sound(piece: Piece, sound: Path | None, start: float) -> Piece:
    return Piece(video=piece.video, start=piece.start, seconds=piece.seconds, sound=sound, sound_start=start)


async def overlay_video(work: ToolContext) -> Artifacts:
    """Lay text and images over a video."""
    base = await _base(work, "sourceVideoIndex")
    overlays = [
        await _overlay(work, given, base.duration or 0.0, number)
        for number, given in enumerate(work.arguments.objects("overlays", "overlay_items"))
    ]
    if not overlays:
        raise ToolError("INVALID_ARGUMENTS", "overlays must have at least one entry")
    return await _with_overlays(work, base, overlays)


async def _overlay(work: ToolContext, entry: Mapping[str, Any], length: float, number: int) -> Overlay:
    image, text = None, entry.get("text")
    if entry.get("kind") == "image":
        chosen = entry.get("sourceImageIndex")
        picture = work.library.newest("image") if chosen is None else work.library.pick("image", int(chosen))
        if picture is None:
            raise ToolError("MEDIA_REQUIRED", f"overlays[{number}] has no image")
        image = await work.renderer.path(picture)
    elif not isinstance(text, str) or not text:
        raise ToolError("INVALID_ARGUMENTS", f"overlays[{number}].text must be a string")
    background = entry.get("backgroundColor")
    return Overlay(
        start=_moment(entry.get("startSeconds") or 0.0, length, from_end=True),
        end=float("inf") if entry.get("endSeconds") is None else _moment(entry["endSeconds"], length, from_end=True),
        position=str(entry.get("position") or "bottom-center"),
        offset=(float(entry.get("offsetX") or 0), float(entry.get("offsetY") or 0)),
        text=text,
        font_size=float(entry.get("fontSizePct") or 6),
        color=check_color(str(entry.get("color") or "#FFFFFF"), f"overlays[{number}].color"),
        outline=check_color(str(entry.get("outlineColor") or "#000000"), f"overlays[{number}].outlineColor"),
        background=None if background is None else check_color(str(background), f"overlays[{number}].backgroundColor"),
        bold=entry.get("fontWeight") == "bold",
        image=image,
        width=float(entry.get("widthPct") or 15),
        opacity=1.0 if entry.get("opacity") is None else float(entry["opacity"]),
        fit=str(entry.get("fit") or "contain"),
    )


async def add_subtitles(work: ToolContext) -> Artifacts:
    """Write cues, SRT or VTT into a video."""
    args = work.arguments
    base = await _base(work, "sourceVideoIndex")
    srt, given = args.text("srt"), args.objects("cues")
    if bool(srt) == bool(given):
        raise ToolError("INVALID_ARGUMENTS", "Exactly one of cues and srt is required")
    cues = parse_subtitles(srt) if srt else [_cue(cue, number) for number, cue in enumerate(given)]
    style = args.raw("style")
    return await _with_overlays(work, base, subtitles(cues, style if isinstance(style, Mapping) else {}))


def _cue(cue: Mapping[str, Any], number: int) -> tuple[float, float, str]:
    start, end, text = cue.get("startSeconds"), cue.get("endSeconds"), cue.get("text")
    timed = isinstance(start, int | float) and isinstance(end, int | float) and end > start
    if not timed or not isinstance(text, str):
        raise ToolError("INVALID_ARGUMENTS", f"cues[{number}] must have startSeconds, a later endSeconds, and text")
    return float(cue["startSeconds"]), float(cue["endSeconds"]), text


async def _with_overlays(work: ToolContext, base: Media, overlays: Sequence[Overlay]) -> Artifacts:
    size = _frame(base)
    film = Film(pieces=[await _piece(work, base)], size=size, overlay_renderer=OverlayRenderer.of(overlays, size))
    return Artifacts([await _filmed(work, film, sound=base.sound)])


async def upscale_video(work: ToolContext) -> Artifacts:
    """Enlarge a video, keeping its timing and sound."""
    base = await _base(work, "sourceVideoIndex")
    width, height = _frame(base)
    target = work.arguments.number("targetResolution") or (1080 if min(width, height) < 720 else 1440)
    factor = max(1.0, target / min(width, height))
    size = round(width * factor / 2) * 2, round(height * factor / 2) * 2
    return Artifacts([await _filmed(work, Film(pieces=[await _piece(work, base)], size=size), sound=base.sound)])


async def _base(work: ToolContext, name: str) -> Media:
    """Return the video a tool works on: -1 and omitted mean the newest, else the first upload."""
    # Protocol notes: tools §2.1.
    index = work.arguments.number(name)
    if index is not None and index != -1:
        return work.library.pick("video", int(index))
    newest = await work.named("video") or work.library.newest("video")
    if newest is None:
        raise ToolError("MEDIA_REQUIRED", "The tool requires a video")
    return newest


async def _piece(work: ToolContext, video: Media, start: float = 0.0, end: float | None = None) -> Piece:
    path = await work.renderer.path(video)
    seconds = (video.duration or 0.0) if end is None else end
    sound = path if video.sound else None
    return Piece(video=path, start=start, seconds=max(0.0, seconds - start), sound=sound, sound_start=start)


async def _still(work: ToolContext, video: Media, seconds: float) -> Media:
    size = _frame(video)
    produce = partial(_write_still, await work.renderer.path(video), seconds, size)
    return await work.renderer.cut(Cut(produce=produce, kind="image", mime="image/png", width=size[0], height=size[1]))


def _write_still(video: Path, seconds: float, size: tuple[int, int], path: Path) -> None:
    picture_at(video, seconds, size).save(path, "PNG", compress_level=1)


async def _filmed(work: ToolContext, film: Film, *, sound: bool) -> Media:
    return await work.renderer.cut(
        Cut(
            produce=partial(write_film, film),
            kind="video",
            mime=_MP4,
            width=film.size[0],
            height=film.size[1],
            duration=film.seconds,
            sound=sound,
        )
    )


def _frame(video: Media) -> tuple[int, int]:
    """Return the size of a video, even on both sides as its encoder requires."""
    return (video.width or 640) // 2 * 2, (video.height or 640) // 2 * 2


def _moment(value: Any, length: float, *, from_end: bool = False) -> float:
    """Read a time: -1 is the end of the base; in overlays, negative times count from the end."""
    seconds = float(value or 0.0)
    if seconds >= 0:
        return min(seconds, length) if not from_end else seconds
    return max(0.0, length + seconds) if from_end else length


def _model(work: ToolContext) -> str | None:
    chosen = work.arguments.text("videoModel", "video_model")
    return None if chosen == "auto" else chosen


# Compositions of several renders


_ORBIT = ("right side view", "back view", "left side view")
_SHOW_TRANSITION_SECONDS = 2.5
_DANCE_SECONDS = {
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
_LONGEST_DANCE, _LONGEST_SINGLE = 30.0, 20.0
_DANCE_CLIP = 10.0
"""Maximum length of a WAN render, in seconds."""


async def animate(work: ToolContext) -> Artifacts:
    """Animate one photo, or several that are joined unless ``stitched`` is false."""
    if not work.arguments.numbers("sourceImageIndices"):
        return Artifacts(await animate_photo(work))
    clips = await animated(work)
    if work.arguments.flag("stitched") is False or len(clips) == 1:
        return Artifacts(clips)
    return Artifacts([await joined(work, clips)], parts=clips)


async def orbit_video(work: ToolContext) -> Artifacts:
    """Circle an object: render other angles, and a transition from each to the next."""
    args = work.arguments
    source = await work.needed("image", "sourceImageIndex")
    elevation = args.text("elevation") or "eye-level shot"
    distance = args.text("distance") or "medium shot"
    angles = args.texts("angles") or list(_ORBIT)
    views = [f"{angle} {elevation} {distance}" for angle in angles]
    stills = await transaction(seen_from(work, source, view, work.seed_of(part)) for part, view in enumerate(views, 1))
    stops = [source, *stills, source]
    lines = _lines(work, len(stops) - 1)
    passages = [
        clip(
            work,
            "i2v",
            {"referenceImage": stops[part], "referenceImageEnd": stops[part + 1]},
            seconds=_SHOW_TRANSITION_SECONDS,
            prompt=" ".join(text for text in (work.prompt, lines[part]) if text),
            seed=work.seed_of(part),
        )
        for part in range(len(stops) - 1)
    ]
    clips = [made for group in await transaction(passages) for made in group]
    return Artifacts([await joined(work, clips)], parts=clips)


def _lines(work: ToolContext, count: int) -> list[str]:
    """Return the spoken line of each transition."""
    lines = work.arguments.texts("dialogues")[:count]
    lines += [""] * (count - len(lines))
    spoken, segment = work.arguments.text("dialogue"), int(work.arguments.number("dialogueSegment") or 0)
    if spoken and 0 <= segment < count:
        lines[segment] = spoken
    return lines


async def dance_montage(work: ToolContext) -> Artifacts:
    """Let the subject of an image dance: 9:16 at 480 pixels, with music."""
    args = work.arguments
    dance = args.text("dance") or ""
    if dance not in _DANCE_SECONDS:
        raise ToolError("INVALID_ARGUMENTS", f"dance must be one of {', '.join(_DANCE_SECONDS)}, got {dance!r}")
    seconds = args.number("duration") or min(float(_DANCE_SECONDS[dance]), _LONGEST_DANCE)
    if args.flag("singleClip") and seconds > _LONGEST_SINGLE:
        raise ToolError("INVALID_ARGUMENTS", f"singleClip is limited to {_LONGEST_SINGLE:g} seconds at most")
    dancer = await _dancer(work)
    count = -int(-seconds // _DANCE_CLIP)
    shape = Arguments({**args.values, "aspectRatio": "480x848"})
    stage = ToolContext(work.renderer, shape, work.library, work.seed)
    renders = [
        clip(
            stage,
            "i2v",
            {"referenceImage": dancer},
            seconds=seconds / count,
            selector="wan22",
            prompt=f"dancing {dance}",
            seed=work.seed_of(part),
        )
        for part in range(count)
    ]
    clips = [made for group in await transaction(renders) for made in group]
    music = await work.renderer.cut(
        Cut(produce=partial(_music, dance, seconds), kind="audio", mime="audio/mpeg", duration=seconds)
    )
    return Artifacts([await joined(work, clips, audio=music)], parts=clips)


async def _dancer(work: ToolContext) -> Media:
    image_prompt = work.arguments.text("imagePrompt")
    if image_prompt is None:
        return await work.needed("image", "sourceImageIndex")
    values = {"prompt": image_prompt, "sourceImageIndex": work.arguments.raw("sourceImageIndex")}
    return (await edit_image(ToolContext(work.renderer, Arguments(values), work.library, work.seed)))[0]


def _music(dance: str, seconds: float, path: Path) -> None:
    write_audio(path, play(Score(words=dance, seed=len(dance), seconds=seconds, bpm=124)), "mp3")
