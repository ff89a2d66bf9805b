"""What a project asks for, once its request was checked.

Made by the checks of requests, read by everything behind them. Values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

from attrs import frozen

from sogni.emulator.account.accounts import Token
from sogni.emulator.catalogue.models import Media, Model
from sogni.emulator.fields import Fields
from sogni.emulator.projects.estimates import Quote
from sogni.emulator.projects.storage import Producer

Network = Literal["fast", "relaxed"]
Sound = Literal["none", "native", "reference"]
"""The audio track of a video: none, made up by the model, or taken from the reference audio."""


@frozen(kw_only=True)
class Order:
    """What orders of every media have in common. ``request`` is the frame's payload as it arrived."""

    project_id: str
    model: Model
    media: Media
    count: int
    previews: int
    token: Token
    network: Network
    output_format: str
    disable_safety: bool
    app_source: str | None
    steps: int
    performed_steps: int
    seed: int | None
    request: Mapping[str, Any]


@frozen
class Control:
    """The ControlNet of an image: its name, its share in the result from 0 to 1, and whether an image came
    with it."""

    name: str
    strength: float
    has_image: bool


@frozen(kw_only=True)
class Segmentation:
    """What is to be found in a picture: by a prompt of SAM 3, or whatever stands out. ``cut_out``: not its mask."""

    prompt: Mapping[str, Any] | None
    cut_out: bool


@frozen(kw_only=True)
class ImageOrder(Order):
    """An image project. ``denoise`` is the wire's ``strength``: 0 keeps the starting image, 1 ignores it."""

    width: int
    height: int
    size_preset: str | None
    prompt: str
    negative_prompt: str
    style_prompt: str
    starting_image: bool
    denoise: float
    context_images: tuple[int, ...]
    control: Control | None
    mask: bool
    segmentation: Segmentation | None = None


@frozen(kw_only=True)
class VideoOrder(Order):
    """A video project. ``frames`` and ``fps`` are those of the file that is delivered; ``paid_frames`` those
    that are generated, before any interpolation and trimming. ``workflow`` is None for providers that decide
    by the inputs."""

    family: str
    workflow: str | None
    width: int
    height: int
    frames: int
    paid_frames: int
    fps: Fraction
    prompt: str
    negative_prompt: str
    style_prompt: str
    assets: frozenset[str]
    """The uploads the request flags, by the names of the asset matrix."""
    has_video_input: bool
    sound: Sound
    audio_start: float
    audio_duration: float
    video_start: float
    first_frame: bool
    last_frame: bool
    subjects: tuple[tuple[float, float], ...]
    """Points on what animate-replace replaces, as sent: shares of the picture or pixels."""
    control: Control | None
    return_last_frame: bool


@frozen(kw_only=True)
class AudioOrder(Order):
    """A music project. ``duration`` is in seconds, ``beats`` is the upper number of the time signature."""

    duration: float
    bpm: float
    beats: int
    keyscale: str
    language: str
    prompt: str
    style_prompt: str
    lyrics: str


@frozen
class Product:
    """A file to be made: how, and of which content type. ``last_frame`` makes the picture of a video's end
    that some providers deliver beside it."""

    produce: Producer
    content_type: str
    last_frame: Producer | None = None


class MediaKind(Protocol):
    """What the emulator must know about one kind of media in order to serve its models.

    A new kind is a class of this shape, registered under its ``Media`` name.
    """

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> Order | None:
        """Read a request; findings go to the readers. None when there is nothing to build an order from."""
        ...

    def uploads(self, order: Any) -> list[str]:
        """Return the upload roles the request says are there."""
        ...

    def quote(self, order: Any) -> Quote:
        """Return what the project costs."""
        ...

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        """Say which uploaded file is, by its first bytes, not what its role asks for."""
        ...

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        """Say which uploaded file a worker cannot read. Runs in a thread."""
        ...

    def result(self, order: Any, seed: int, inputs: Mapping[str, Path]) -> Product:
        """Return the result for a seed."""
        ...

    def preview(self, order: Any, seed: int, inputs: Mapping[str, Path], done: float) -> Product | None:
        """Return what the result looks like when a share of the work, 0 to 1, is done."""
        ...
