"""Results as files: decides that a file appears under its name only when it is complete.

Filled by both shells. What was not finished leaves nothing behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from uuid import uuid4

from ..protocol.media_types import HEAD_SIZE, extension_of, sniff

PathFor = Callable[[str], Path]


class PartialFile:
    """A file being downloaded, beside its target; used as a context manager.

    The suffix of the target fits the content: `path_for` is asked with it when all is there.
    """

    def __init__(self, path_for: PathFor) -> None:
        self._path_for = path_for
        self._head = b""
        self._file: BinaryIO | None = None
        self._place: Path | None = None

    def __enter__(self) -> PartialFile:
        directory = self._path_for(".part").parent
        directory.mkdir(parents=True, exist_ok=True)
        self._place = directory / f".{uuid4().hex}.part"
        # Not a file of `tempfile`: those are readable by their owner only, and so would the result be.
        self._file = self._place.open("xb")
        return self

    def write(self, chunk: bytes) -> None:
        """Append a piece."""
        assert self._file is not None
        if len(self._head) < HEAD_SIZE:
            self._head += chunk[: HEAD_SIZE - len(self._head)]
        self._file.write(chunk)

    def finish(self) -> Path:
        """Put the file under its name and return that; an existing file is replaced."""
        assert self._file is not None
        assert self._place is not None
        self._file.close()
        target = self._path_for(suffix_of(self._head))
        os.replace(self._place, target)
        self._place = None
        return target

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._place is not None:
            assert self._file is not None
            self._file.close()
            self._place.unlink(missing_ok=True)


def suffix_of(head: bytes) -> str:
    """The file suffix for content that begins with `head`."""
    return extension_of(sniff(head, "image") or sniff(head, "video") or sniff(head, "audio"))
