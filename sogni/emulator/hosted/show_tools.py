"""The tools that compose a show from several renders: an orbit, a dance, a sequence of animated photos.

Called by the runner (tools §2.2, §6).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..encoding import write_audio
from ..music import Score, play
from .cutting_tools import joined
from .image_tools import edit_image, seen_from
from .made import Made
from .problems import ToolError
from .shelf import Media
from .studio import Cut
from .video_tools import animate_photo, animated, clip
from .work import Arguments, Work, together

_ORBIT = ("right side view", "back view", "left side view")
_TRANSITION_SECONDS = 2.5
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
"""Seconds one WAN render can last."""


async def animate(work: Work) -> Made:
    """One photo, or several that become one film unless ``stitched`` is false."""
    if not work.arguments.numbers("sourceImageIndices"):
        return Made(await animate_photo(work))
    clips = await animated(work)
    if work.arguments.flag("stitched") is False or len(clips) == 1:
        return Made(clips)
    return Made([await joined(work, clips)], parts=clips)


async def orbit_video(work: Work) -> Made:
    """Go round what an image shows: renders of other angles, and a passage from each to the next."""
    args = work.arguments
    source = await work.needed("image", "sourceImageIndex")
    elevation = args.text("elevation") or "eye-level shot"
    distance = args.text("distance") or "medium shot"
    angles = args.texts("angles") or list(_ORBIT)
    views = [f"{angle} {elevation} {distance}" for angle in angles]
    stills = await together(seen_from(work, source, view, work.seed_of(part)) for part, view in enumerate(views, 1))
    stops = [source, *stills, source]
    lines = _lines(work, len(stops) - 1)
    passages = [
        clip(
            work,
            "i2v",
            {"referenceImage": stops[part], "referenceImageEnd": stops[part + 1]},
            seconds=_TRANSITION_SECONDS,
            prompt=" ".join(text for text in (work.prompt, lines[part]) if text),
            seed=work.seed_of(part),
        )
        for part in range(len(stops) - 1)
    ]
    clips = [made for group in await together(passages) for made in group]
    return Made([await joined(work, clips)], parts=clips)


def _lines(work: Work, count: int) -> list[str]:
    """Return what is said during each passage."""
    lines = work.arguments.texts("dialogues")[:count]
    lines += [""] * (count - len(lines))
    spoken, segment = work.arguments.text("dialogue"), int(work.arguments.number("dialogueSegment") or 0)
    if spoken and 0 <= segment < count:
        lines[segment] = spoken
    return lines


async def dance_montage(work: Work) -> Made:
    """Let what an image shows dance: 9:16 at 480 pixels, with music."""
    args = work.arguments
    dance = args.text("dance") or ""
    if dance not in _DANCE_SECONDS:
        raise ToolError("INVALID_ARGUMENTS", f"dance: {dance!r} is none of {', '.join(_DANCE_SECONDS)}")
    seconds = args.number("duration") or min(float(_DANCE_SECONDS[dance]), _LONGEST_DANCE)
    if args.flag("singleClip") and seconds > _LONGEST_SINGLE:
        raise ToolError("INVALID_ARGUMENTS", f"singleClip: lasts {_LONGEST_SINGLE:g} seconds at most")
    dancer = await _dancer(work)
    count = -int(-seconds // _DANCE_CLIP)
    shape = Arguments({**args.values, "aspectRatio": "480x848"})
    stage = Work(work.bench, shape, work.shelf, work.seed)
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
    clips = [made for group in await together(renders) for made in group]
    music = await work.bench.cut(
        Cut(produce=partial(_music, dance, seconds), kind="audio", mime="audio/mpeg", duration=seconds)
    )
    return Made([await joined(work, clips, audio=music)], parts=clips)


async def _dancer(work: Work) -> Media:
    wish = work.arguments.text("imagePrompt")
    if wish is None:
        return await work.needed("image", "sourceImageIndex")
    values = {"prompt": wish, "sourceImageIndex": work.arguments.raw("sourceImageIndex")}
    return (await edit_image(Work(work.bench, Arguments(values), work.shelf, work.seed)))[0]


def _music(dance: str, seconds: float, path: Path) -> None:
    write_audio(path, play(Score(words=dance, seed=len(dance), seconds=seconds, bpm=124)), "mp3")
