"""Media inputs as sources: decides how a path, bytes, a file object or a PIL image is read (api rule 5).

Opened by both shells before anything is sent. A source can be read several times, so that an upload
can be repeated; a file is never held in memory.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ValidationError
from ..protocol.media_types import HEAD_SIZE

ALLOWED = "a path, bytes, a binary file object, a PIL image or a finished Job"
_IN_MEMORY = 1024 * 1024


class MediaSource(ABC):
    """One input: its size in bytes, its first bytes, and a fresh reader for every try.

    `name` is what to call it in messages; `content_type` is set by whoever checks it. Close it when done.
    """

    def __init__(self, name: str, size: int, head: bytes) -> None:
        self.name = name
        self.size = size
        self.head = head
        self.content_type: str | None = None

    @abstractmethod
    def open(self) -> BinaryIO:
        """A reader from the beginning; the caller closes it."""

    def close(self) -> None:  # noqa: B027  most sources hold nothing
        """Let go of what the source holds; the user's own file objects stay open."""


class _PathSource(MediaSource):
    def __init__(self, path: Path, size: int, head: bytes) -> None:
        super().__init__(path.name, size, head)
        self._path = path

    def open(self) -> BinaryIO:
        return self._path.open("rb")


class _BytesSource(MediaSource):
    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(name, len(content), content[:HEAD_SIZE])
        self._content = content

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)


class _Borrowed(io.RawIOBase):
    """A reader over somebody else's file that does not close it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _FileSource(MediaSource):
    """A file object from where it stands now; `own` when it is ours to close."""

    def __init__(self, name: str, file: BinaryIO, *, own: bool) -> None:
        self._file, self._own = file, own
        self._start = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(self._start)
        head = file.read(HEAD_SIZE)
        file.seek(self._start)
        super().__init__(name, end - self._start, head)

    def open(self) -> BinaryIO:
        self._file.seek(self._start)
        return _Borrowed(self._file)  # type: ignore[return-value]

    def close(self) -> None:
        if self._own:
            self._file.close()


def open_source(name: str, value: Any) -> MediaSource:
    """Look at a media input. ValidationError names the field `name`, what was given and what is allowed."""
    source = _source(name, value)
    if source.size <= 0:  # below 0: a file object that stands beyond its end
        source.close()
        raise ValidationError(
            f"{name}: {source.name} is empty", field=name, value=source.name, allowed="a file with content"
        )
    return source


def _source(name: str, value: Any) -> MediaSource:
    if isinstance(value, bytes | bytearray | memoryview):
        return _BytesSource(f"the bytes given as {name}", bytes(value))
    if isinstance(value, str | os.PathLike):
        return _path_source(name, value)
    if hasattr(value, "read"):
        return _file_source(name, value)
    if hasattr(value, "save") and hasattr(value, "size"):
        return _image_source(name, value)
    kind = type(value).__name__
    raise ValidationError(f"{name} must be {ALLOWED}, not {kind}", field=name, value=kind, allowed=ALLOWED)


def _path_source(name: str, value: str | os.PathLike[str]) -> MediaSource:
    text = os.fsdecode(value)
    if text.partition(":")[0].lower() in ("http", "https", "data", "ftp") and ":" in text:
        kind = "a data: URI" if text.lower().startswith("data:") else "an address"
        raise ValidationError(
            f"{name} must be {ALLOWED}, not {kind}; download it first",
            field=name,
            value=text.partition("?")[0][:80],
            allowed=ALLOWED,
        )
    path = Path(text)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            # A pipe would be waited for, perhaps for ever, and could not be read twice.
            raise ValueError("it is no regular file")
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValidationError(
            f"{name}: cannot read {text}: {why}", field=name, value=text, allowed="a readable file"
        ) from error
    return _PathSource(path, size, head)


def _file_source(name: str, file: Any) -> MediaSource:
    shown = getattr(file, "name", None)
    label = os.path.basename(shown) if isinstance(shown, str) else f"the file given as {name}"
    try:
        seekable = file.seekable()
        sample = b"" if seekable else file.read(0)
        if seekable:
            place = file.tell()
            sample = file.read(1)
            file.seek(place)
    except (OSError, ValueError, AttributeError) as error:
        raise ValidationError(
            f"{name}: cannot read {label}: {error}", field=name, value=label, allowed=ALLOWED
        ) from error
    if not isinstance(sample, bytes):
        raise ValidationError(
            f"{name}: {label} is open as text; open it with mode 'rb'", field=name, value=label, allowed=ALLOWED
        )
    if seekable:
        return _FileSource(label, file, own=False)
    return spooled(label, iter(lambda: file.read(_IN_MEMORY), b""))


def _image_source(name: str, image: Any) -> MediaSource:
    buffer = io.BytesIO()
    try:
        image.save(buffer, format="PNG")
    except (OSError, ValueError, KeyError) as error:
        raise ValidationError(
            f"{name}: the image cannot be written as PNG: {error}",
            field=name,
            value=type(image).__name__,
            allowed=ALLOWED,
        ) from error
    return _BytesSource(f"the image given as {name}", buffer.getvalue())


def spool() -> BinaryIO:
    """A temporary file that stays in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # type: ignore[return-value]


def spooled(label: str, chunks: Any) -> MediaSource:
    """A source over pieces that can be read only once."""
    file = spool()
    try:
        for chunk in chunks:
            file.write(chunk)
        return finished_spool(label, file)
    except BaseException:
        file.close()
        raise


def finished_spool(label: str, file: BinaryIO) -> MediaSource:
    """A source over a filled temporary file, which it owns."""
    file.seek(0)
    return _FileSource(label, file, own=True)
