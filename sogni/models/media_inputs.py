"""What may be given where a file is expected.

Named by the params of every project. Nothing here is opened or read; `protocol.media_types` decides what a file is.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, BinaryIO, Protocol


class PillowImage(Protocol):
    """An image of Pillow: anything that saves itself to a file object in a named format."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Write the image to `fp`."""


class FinishedJob(Protocol):
    """A finished `Job` of either package, used as an input: its result."""

    @property
    def result_url(self) -> str | None:
        """Where the result is."""


MediaInput = str | PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PillowImage | FinishedJob | bool
"""A path, bytes, a binary file object, a PIL image, a finished `Job`; `True`: already uploaded."""
