"""What a project asks for, once its request was checked.

Made by the checks of requests, read by everything behind them. Values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from attrs import frozen

from .accounts import Token
from .catalogue import Media, Model
from .estimates import Quote
from .fields import Fields
from .store import Producer

Network = Literal["fast", "relaxed"]


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


@frozen
class Product:
    """A file to be made: how, and of which content type."""

    produce: Producer
    content_type: str


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

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        """Say which uploaded file a worker cannot read. Runs in a thread."""
        ...

    def result(self, order: Any, seed: int, inputs: Mapping[str, Path]) -> Product:
        """Return the result for a seed."""
        ...

    def preview(self, order: Any, seed: int, inputs: Mapping[str, Path], done: float) -> Product | None:
        """Return what the result looks like when a share of the work, 0 to 1, is done."""
        ...
