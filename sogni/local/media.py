"""PIL images as images that every reader shows alike: 8 bits, gray or RGB, upright.

Used wherever a PIL image is uploaded or put into a message. It imports Pillow only where there is an image already.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from weakref import WeakValueDictionary

from sogni.core.media import HEAD_SIZE
from sogni.errors import ValidationError

if TYPE_CHECKING:
    from PIL.Image import Image

PLAIN = ("L", "LA", "RGB", "RGBA")
"""Modes that PNG holds as they are, and that can be scaled without losing thin lines."""
_ORIENTATION = 0x0112
_WIDE = 65535.0


def plain(image: Image) -> Image:
    """The image in one of the `PLAIN` modes, turned as its EXIF data say; the image itself when it is like that.

    Raises what Pillow raises for an image that it cannot read.
    """
    return _converted(_upright(image))


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # whatever a camera wrote there, the picture can still be seen
        return image
    return image if turn is None else image.transpose(turn)


def _converted(image: Image) -> Image:
    mode = image.mode
    if mode.startswith(("I", "F")):
        return _eight_bits(image)
    if "transparency" in image.info or mode in ("P", "PA", "RGBa"):
        clear = "transparency" in image.info or mode != "P"
        return image.convert("RGBA" if clear else "RGB")
    if mode in PLAIN:
        return image
    other = image.convert({"1": "L", "La": "LA"}.get(mode, "RGB"))
    # A profile of the former colors says nothing about the new ones.
    other.info.pop("icc_profile", None)
    return other


def _eight_bits(image: Image) -> Image:
    """An image of numbers as one of 256 grays.

    Pillow would cut off what is above 255. 16 bits are scaled; numbers of no given range by what there is: fractions,
    8 bits, 16 bits, or else from the smallest to the largest.
    """
    numbers = image.convert("F")
    low, high = numbers.getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if image.mode.startswith("I;16"):
        low, high = 0.0, _WIDE
    elif not (low < 0 or high > _WIDE):
        limits = (1.0, 255.0, _WIDE) if image.mode == "F" else (255.0, _WIDE)
        low, high = 0.0, next(limit for limit in limits if not high > limit)
    scale = 255.0 / max(high - low, 1e-30)
    gray = numbers.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")
    gray.info.pop("icc_profile", None)
    return gray


# Media inputs as sources: decides how a path, bytes, a file object or a PIL image is read (api rule 5).
#
# Opened by both shells before anything is sent. A source can be read several times, so that an upload
# can be repeated; a file is never held in memory. What is uploaded is all of a file object from its beginning, also
# when
# several calls are given the same one: no upload depends on the object's position.


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


class _Reader(io.RawIOBase):
    """A reader with a position of its own over a source that several may read."""

    def __init__(self, source: _PositionedSource) -> None:
        self._source = source
        self._place = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read_at(self._place, self._source.size - self._place if size < 0 else size)
        self._place += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _PositionedSource(MediaSource):
    """A file of our own. Readers do not share a position: one may still be in a thread when the next one begins."""

    def __init__(self, name: str, file: BinaryIO | io.FileIO, size: int) -> None:
        self._file = file
        try:
            head = self.read_at(0, HEAD_SIZE)
        except BaseException:
            file.close()
            raise
        super().__init__(name, size, head)

    @abstractmethod
    def read_at(self, place: int, size: int) -> bytes:
        """Up to `size` bytes from `place` on, none at the end."""

    def open(self) -> BinaryIO:
        if self._file.closed:
            raise ValueError(f"{self.name} is closed")
        return _Reader(self)  # type: ignore[return-value]  # a raw file is a file object, but no BinaryIO to typeshed

    def close(self) -> None:
        self._file.close()


class _DescriptorSource(_PositionedSource):
    """A second descriptor of a file the caller has open: the caller's position is neither used nor moved."""

    def read_at(self, place: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, place)


class _SpoolSource(_PositionedSource):
    """A filled temporary file."""

    def __init__(self, name: str, file: BinaryIO, size: int) -> None:
        self._lock = threading.Lock()
        super().__init__(name, file, size)

    def read_at(self, place: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(place)
            return self._file.read(size) or b""


def open_source(name: str, value: Any) -> MediaSource:
    """Look at a media input. ValidationError names the field `name`, what was given and what is allowed."""
    source = _source(name, value)
    if source.size <= 0:  # below 0: a file object that stands beyond its end
        source.close()
        raise ValidationError(
            f"{name}: {source.name} is empty", field=name, value=source.name, allowed="a file with content"
        )
    return source


def load_image_formats() -> None:
    """Have Pillow import its formats now, not in the thread that first converts or writes an image."""
    if (pillow := sys.modules.get("PIL.Image")) is not None:
        pillow.preinit()
        for module in ("PIL.TiffImagePlugin", "PIL.ImageCms"):  # EXIF data, and LAB
            with suppress(ImportError):
                import_module(module)


def _source(name: str, value: Any) -> MediaSource:
    if isinstance(value, bytes | bytearray | memoryview):
        return _BytesSource(f"the bytes given as {name}", bytes(value))
    if isinstance(value, str | os.PathLike):
        return _path_source(name, value)
    if hasattr(value, "read"):
        with _alone_with(value):
            return _file_source(name, value)
    if hasattr(value, "save") and hasattr(value, "size"):
        with _alone_with(value):  # Pillow reads an image from its file when it is first needed
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
    """All of a file object, wherever it stands, and however many calls are given the same one."""
    shown = getattr(file, "name", None)
    label = os.path.basename(shown) if isinstance(shown, str) else f"the file given as {name}"
    try:
        if type(file) is io.BytesIO:
            return _BytesSource(label, file.getvalue())
        own = _second_descriptor(file)
        if own is not None:
            return _DescriptorSource(label, own, os.fstat(own.fileno()).st_size)
        seekable = file.seekable()
        place = file.tell() if seekable else 0
        # One byte where that can be taken back: some text files know their type only when they have read something.
        sample = file.read(1 if seekable else 0)
    except (OSError, ValueError, AttributeError) as error:
        raise ValidationError(
            f"{name}: cannot read {label}: {error}", field=name, value=label, allowed=ALLOWED
        ) from error
    if not isinstance(sample, bytes):
        raise ValidationError(
            f"{name}: {label} is open as text; open it with mode 'rb'", field=name, value=label, allowed=ALLOWED
        )
    if not seekable:
        return spooled(label, iter(lambda: file.read(_IN_MEMORY), b""))
    try:
        return spooled(label, _pieces(file))
    finally:
        file.seek(place)


def _second_descriptor(file: Any) -> io.FileIO | None:
    """A descriptor of our own for a plain file; None for what transforms its content, such as a `GzipFile`."""
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file
    if type(raw) is not io.FileIO or not raw.readable() or not hasattr(os, "pread"):
        return None
    file.flush()
    return io.FileIO(os.dup(raw.fileno())) if stat.S_ISREG(os.fstat(raw.fileno()).st_mode) else None


def _pieces(file: Any) -> Iterator[bytes]:
    place = 0
    while True:
        file.seek(place)  # every time: whoever else has the object may have moved it
        piece = file.read(_IN_MEMORY)
        if not piece:
            return
        yield piece
        place += len(piece)


def _image_class() -> tuple[type[Any], ...]:
    """The class of Pillow's images; nothing while Pillow is not in use."""
    pillow = sys.modules.get("PIL.Image")
    return () if pillow is None else (pillow.Image,)


def _image_source(name: str, image: Any) -> MediaSource:
    buffer = io.BytesIO()
    try:
        if isinstance(image, _image_class()):
            image = plain(image)
        image.save(buffer, format="PNG")
    except (OSError, ValueError, KeyError, SyntaxError, ImportError) as error:
        raise ValidationError(
            f"{name}: the image cannot be written as PNG: {error}",
            field=name,
            value=type(image).__name__,
            allowed=ALLOWED,
        ) from error
    return _BytesSource(f"the image given as {name}", buffer.getvalue())


_guard = threading.Lock()
_readers: WeakValueDictionary[int, threading.Lock] = WeakValueDictionary()
"""A lock for each object that is being read, by its id; it lasts as long as somebody has it or waits for it."""


@contextmanager
def _alone_with(value: Any) -> Iterator[None]:
    """Read an object that has a single position while no other thread of ours does."""
    with _guard:
        lock = _readers.setdefault(id(value), threading.Lock())
    with lock:
        yield


def _forget_readers() -> None:
    """In a forked child: the threads that read are those of the parent."""
    global _guard
    _guard = threading.Lock()
    _readers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_readers)


def spool() -> BinaryIO:
    """A temporary file that stays in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # type: ignore[return-value]  # no BinaryIO to typeshed


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
    return _SpoolSource(label, file, file.seek(0, os.SEEK_END))
