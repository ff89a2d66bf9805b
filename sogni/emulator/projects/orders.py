"""Orders: what a project asks for, after its request was checked. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

from attrs import field, frozen

from sogni.emulator.account.accounts import Token
from sogni.emulator.catalogue.models import Media, Model
from sogni.emulator.projects.estimates import Work, performed_steps, stages_of
from sogni.emulator.projects.storage import Producer

Network = Literal["fast", "relaxed"]
CONTENT_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "glb": "model/gltf-binary",
}


@frozen(kw_only=True)
class Order:
    """What a project asks for.

    Attributes:
        work: What determines the price of one result.
        uploads: The roles of the files that must have been uploaded.
        request: The payload of the frame as received.
        denoise: Share of a starting image that is replaced; None without one.
        frames: Frames of a delivered video, at ``fps``.
        duration: Length in seconds of music or speech.
        sound: Whether a video has sound.
        options: What only the kind of media knows.
    """

    project_id: str
    model: Model
    count: int
    previews: int
    token: Token
    network: Network
    output_format: str
    disable_safety: bool
    app_source: str | None
    steps: int
    seed: int | None
    request: Mapping[str, Any]
    work: Work
    uploads: Sequence[str] = ()
    size_preset: str | None = None
    width: int | None = None
    height: int | None = None
    denoise: float | None = None
    frames: int | None = None
    fps: Fraction = Fraction(1)
    duration: float | None = None
    sound: bool = False
    options: Mapping[str, Any] = field(factory=dict)

    @property
    def media(self) -> Media:
        return self.model.media

    @property
    def key_frame(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.request["keyFrames"][0]
        return found

    @property
    def prompts(self) -> str:
        """The positive prompts."""
        return f"{self.key_frame.get('positivePrompt')} {self.key_frame.get('stylePrompt')}"

    @property
    def performed_steps(self) -> int:
        return performed_steps(self.steps, self.denoise or 0.0)

    @property
    def stages(self) -> int:
        return stages_of(self.model, self.performed_steps)

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.output_format]


@frozen
class Control:
    """The ControlNet of an image or a video: its name, and whether an image was uploaded for it."""

    name: str
    has_image: bool


@frozen
class Product:
    """A file to be made: the function that writes it, and its content type. ``last_frame`` writes the last image of a
    video, which some providers deliver as well.
    """

    produce: Producer
    content_type: str
    last_frame: Producer | None = None
