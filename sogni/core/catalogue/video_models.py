"""Rules for video models: timing, limits, and the inputs of each model.

One row per family, preceded by another where some of its ids differ; the first row that fits an id counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import attrs
from attrs import frozen

from sogni.core.catalogue.model_families import families, family_of, workflow_of
from sogni.core.checks import did_you_mean, invalid_value, number, optional, short_repr, text


@frozen(kw_only=True)
class Grid:
    """Numbers of frames a model can make: `base`, and `step` more each time, up to `most`."""

    base: int
    step: int
    most: int | None = None

    def nearest(self, frames: int) -> int:
        """Return the nearest number on the grid; of two equally near numbers the larger."""
        steps = half_up((frames - self.base) / self.step)
        if self.most is not None:
            steps = min(max(steps, 0), (self.most - self.base) // self.step)
        return self.base + self.step * steps

    def has(self, frames: int) -> bool:
        """Whether a model can render exactly this number of frames."""
        return frames == self.nearest(frames)


@frozen(kw_only=True)
class Timing:
    """How a family turns seconds into frames.

    `rate` counts frames whatever fps are asked for; without one the caller's fps count, or `usual_fps`.
    `sent_fps` is what the request has if the caller sets none; `extra` frames are added at the end.
    """

    rate: float | None = None
    usual_fps: float | None = 24
    sent_fps: float | None = None
    extra: int = 1
    grid: Grid | None = None

    def frames(self, duration: float, fps: float | None) -> int:
        """Return the number of frames for a duration in seconds.

        Raises ValueError if the family needs fps, has no default, and none is given.
        """
        rate = self.rate or (self.usual_fps if fps is None else fps)
        if rate is None:
            raise ValueError("this family needs fps to turn seconds into frames")
        frames = half_up(duration * rate) + self.extra
        return frames if self.grid is None else self.grid.nearest(frames)


def half_up(value: float) -> int:
    """Round as the service does: a half is rounded up, not to the even number."""  # projects-4.2 §6.5
    return math.floor(value + 0.5)


# Protocol notes: projects-4.2 §6, projects-5x §3, §4.


ASSETS = (
    "reference_image", "reference_image_end", "reference_audio", "reference_audio_identity", "reference_video",
    "reference_mask",
)  # fmt: skip
"""The single media inputs, in the order in which they are checked."""

URL_LISTS = ("reference_image_urls", "reference_video_urls", "reference_audio_urls")


@frozen(kw_only=True)
class Counted:
    """How many references of one kind a model takes.

    `fields` are where they may be given; fields that share one entry count as one.
    """

    fields: tuple[tuple[str, ...], ...] = ()
    least: int = 0
    most: int = 0


@frozen(kw_only=True)
class References:
    """How many references a model takes, of each kind and in `total`.

    `visual`: at least one image or video is needed always, or only (`beside_audio`) where there is audio.
    `anchors`: further single inputs the model takes, which no count limits.
    """

    images: Counted = Counted()
    videos: Counted = Counted()
    audios: Counted = Counted()
    total: int | None = None
    visual: Literal["always", "beside_audio"] | None = None
    anchors: tuple[str, ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """Every field that may be given."""
        kinds = (self.images, self.videos, self.audios)
        return frozenset(self.anchors).union(*(group for kind in kinds for group in kind.fields))


@frozen(kw_only=True)
class VideoModel:
    """Limits of the models of a family, or of some of them.

    Attributes:
        family: Name of the family.
        ids: IDs the row is for; any of the family if empty.
        workflows: Workflows the row is for; any if empty.
        seconds: Shortest and longest duration; None if nothing limits it.
        fps: Lowest and highest frame rate; None if nothing limits it.
        seed: Smallest and largest seed, where they differ from those of other models.
        steps: The only number of steps allowed.
        guidance: The only guidance allowed.
        smallest_side: Smallest width and height in pixels.
        side_step: Sizes are snapped to multiples of this number of pixels, frames to the grid, and durations to the
            range; None if nothing is snapped.
        negative_prompt: Whether one is sent, even if it is empty.
        matrix: Whether the workflow determines the media; else the `references` do.
        audio_guide: Whether the video follows an uploaded recording.
        has_tasks: Whether references need a `seedance_task_type`.
        takes_documents: Whether a document can be a reference.
        numbered: Whether references are sent as audio 1, audio 2 and so on.
        defaults: Key frame values that the caller's replace.
        constants: Key frame values that replace the caller's.
    """

    family: str
    ids: frozenset[str] = frozenset()
    workflows: frozenset[str] = frozenset()
    timing: Timing
    seconds: tuple[float, float] | None
    fps: tuple[float, float] | None = None
    seed: tuple[int, int] | None = None
    steps: int | None = None
    guidance: float | None = None
    smallest_side: int | None = 480
    side_step: int | None = None
    formats: tuple[str, ...] = ("mp4",)
    negative_prompt: bool = True
    matrix: bool = True
    references: References | None = None
    audio_guide: bool = False
    has_tasks: bool = False
    takes_documents: bool = False
    numbered: bool = False
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    constants: Mapping[str, Any] = attrs.field(factory=dict)

    def nearest_duration(self, seconds: float) -> float:
        """Return the nearest duration the model can render, if the documents promise that; else the same."""
        if self.side_step is None or self.seconds is None:
            return seconds
        return min(max(seconds, self.seconds[0]), self.seconds[1])

    def fits(self, family: str, model_id: str, workflow: str | None) -> bool:
        """Whether this is a row for an id."""
        return (
            self.family == family
            and (not self.ids or model_id in self.ids)
            and (not self.workflows or workflow in self.workflows)
        )


_WAN = VideoModel(family="wan2.2", timing=Timing(rate=16, usual_fps=16), seconds=(1, 10))

_LTX = VideoModel(family="ltx", timing=Timing(grid=Grid(base=1, step=8)), seconds=(4, 20), side_step=64)
_LTX_25 = attrs.evolve(
    _LTX,
    ids=frozenset(
        f"ltx25-22b-int8_{workflow}_{speed}"
        for workflow in ("t2v", "i2v", "a2v", "ia2v", "v2v")
        for speed in ("distilled", "dev")
    ),
    seconds=(2, 20),
)

_SEEDANCE_LIMITS = References(
    images=Counted(fields=(("reference_image",), ("reference_image_end",), ("reference_image_urls",)), most=9),
    videos=Counted(fields=(("reference_video",), ("reference_video_urls",)), most=3),
    audios=Counted(fields=(("reference_audio", "reference_audio_identity"), ("reference_audio_urls",)), most=3),
    total=12,
    visual="beside_audio",
)
_SEEDANCE = VideoModel(
    family="seedance",
    timing=Timing(sent_fps=24),
    seconds=(4, 15),
    negative_prompt=False,
    matrix=False,
    references=_SEEDANCE_LIMITS,
)
_SEEDANCE_25 = attrs.evolve(
    _SEEDANCE,
    ids=frozenset({"seedance-2-5", "seedance-2-5-uncensored"}),
    seconds=(4, 30),
    formats=("mp4", "mov"),
    references=attrs.evolve(
        _SEEDANCE_LIMITS,
        images=attrs.evolve(_SEEDANCE_LIMITS.images, most=30),
        videos=attrs.evolve(_SEEDANCE_LIMITS.videos, most=10),
        audios=attrs.evolve(_SEEDANCE_LIMITS.audios, most=10),
        total=50,
        visual=None,
    ),
    has_tasks=True,
)


def _happyhorse(workflow: str, least: int, most: int) -> VideoModel:
    images = Counted(fields=(("reference_image",), ("reference_image_urls",)), least=least, most=most)
    return VideoModel(
        family="happyhorse-1.1",
        workflows=frozenset({workflow}),
        timing=Timing(sent_fps=24),
        seconds=(3, 15),
        negative_prompt=False,
        matrix=False,
        references=References(images=images),
    )


_WAN3 = VideoModel(
    family="wan3",
    timing=Timing(usual_fps=30, sent_fps=30),
    seconds=(2, 30),
    fps=(30, 30),
    seed=(0, 2_147_483_647),
    negative_prompt=False,
    matrix=False,
    references=References(
        images=Counted(fields=(("reference_image_urls",),), most=10),
        videos=Counted(fields=(("reference_video",), ("reference_video_urls",)), most=5),
        audios=Counted(fields=(("reference_audio",), ("reference_audio_urls",)), most=5),
        anchors=("reference_image", "reference_image_end"),
    ),
    takes_documents=True,
)
_WAN3_ENHANCED = attrs.evolve(
    _WAN3,
    ids=frozenset({"wan3.0-spicy-video"}),
    takes_documents=False,
)

H3_FPS, H3_MOST = 24, 362
H3_GRID = Grid(base=124, step=17, most=H3_MOST)
_H3 = VideoModel(
    family="minimax-h3",
    timing=Timing(rate=24, sent_fps=24, extra=0, grid=H3_GRID),
    seconds=(124 / 24, 362 / 24),
    fps=(24, 24),
    guidance=1,
    smallest_side=None,
    negative_prompt=False,
)
_H3_GUIDED = attrs.evolve(
    _H3,
    workflows=frozenset({"ia2v", "flfa2v", "a2v"}),
    audio_guide=True,
)
_H3_REFERENCES = attrs.evolve(
    _H3,
    workflows=frozenset({"r2v"}),
    references=References(
        images=Counted(fields=(("reference_image",), ("context_images",)), most=9),
        videos=Counted(fields=(("reference_video",), ("reference_videos",)), most=3),
        audios=Counted(fields=(("reference_audio",), ("reference_audios",)), most=3),
        total=12,
        visual="always",
    ),
    numbered=True,
)
_FLASHVSR = VideoModel(
    family="flashvsr",
    timing=Timing(usual_fps=None, extra=0),
    seconds=None,
    fps=(1, 60),
    seed=(-1, 4_294_967_295),
    defaults={"seed": 0, "detailPreference": "stable", "processingSpeed": "stable"},
    constants={"steps": 1, "generateAudio": True, "interpolation": "none"},
)


@cache
def rows() -> tuple[VideoModel, ...]:
    """Every row; of those that fit an id the first counts."""
    return (
        attrs.evolve(_WAN, workflows=frozenset({"animate-move", "animate-replace"}), seconds=(1, 20)),
        _WAN,
        _LTX_25,
        _LTX,
        _SEEDANCE_25,
        _SEEDANCE,
        _happyhorse("t2v", 0, 0),
        _happyhorse("i2v", 1, 1),
        _happyhorse("r2v", 1, 9),
        _WAN3_ENHANCED,
        _WAN3,
        _H3_GUIDED,
        _H3_REFERENCES,
        _H3,
        _FLASHVSR,
    )


def video_model(model_id: str) -> VideoModel | None:
    """Return the row of a model id; None if it is not a video model."""
    family = family_of(model_id)
    if family is None or family.media != "video":
        return None
    workflow = workflow_of(model_id)
    row = next(row for row in rows() if row.fits(family.name, model_id, workflow))
    steps = family.steps.get(model_id)
    return row if steps is None else attrs.evolve(row, steps=steps)


def video_row(model_id: str) -> VideoModel:
    """Return the row of a model id. Raises ValidationError, naming the nearest ids, if it is not a video model."""
    row = video_model(model_id)
    if row is None:
        known = [known for family in families() if family.media == "video" for known in family.ids]
        sentence = f"model_id: {short_repr(model_id)} is not a video model{did_you_mean(model_id, known)}"
        raise invalid_value("model_id", model_id, "the id of a video model", sentence)
    return row


def calculate_video_frames(model_id: str, duration: float, fps: float | None = None) -> int:
    """Return the number of frames of a video, as `projects.create` calculates it from `duration`.

    Args:
        model_id: ID of a video model, for example `"ltx23-22b-fp8_t2v_distilled"`.
        duration: Length of the video in seconds, more than 0. It is not limited to the range of the model.
        fps: Frames per second; the default of the model if None. WAN always counts 16, and FlashVSR has no default.

    Returns:
        The number of frames, snapped to the nearest that the model can render.

    Raises:
        ValidationError: An argument is invalid, or `fps` is missing.

    Example:
        >>> sogni.calculate_video_frames("ltx23-22b-fp8_t2v_distilled", 5, fps=25)
        129
    """
    model = video_row(text("model_id", model_id, empty=False))
    seconds = _positive("duration", duration)
    rate = optional(_positive, "fps", fps)
    if rate is None and model.timing.rate is None and model.timing.usual_fps is None:
        raise invalid_value("fps", None, f"a number for {model_id}")
    return model.timing.frames(seconds, rate)


def frames_for_audio_guide(seconds: float) -> int:
    """Return the number of frames of a MiniMax H3 video that is guided by a recording.

    Args:
        seconds: Length of the recording, more than 0.

    Returns:
        The smallest number of frames that covers the recording, from 124 to 362.

    Raises:
        ValidationError: `seconds` is not a positive number.

    Example:
        >>> sogni.frames_for_audio_guide(5.9)
        158
    """
    needed = math.ceil(_positive("seconds", seconds) * H3_FPS - 1e-6)
    steps = math.ceil(max(0, needed - H3_GRID.base) / H3_GRID.step)
    return min(H3_GRID.base + H3_GRID.step * steps, H3_MOST)


def _positive(field: str, value: Any) -> float:
    plain = number(field, value, low=0)
    if not plain:
        raise invalid_value(field, value, "a number greater than 0")
    return plain
