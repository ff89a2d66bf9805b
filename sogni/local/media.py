"""Media inputs (paths, bytes, file objects and PIL images) as sources that can be read several times.

A source can be read repeatedly, so that uploads can be retried, and never holds a large file in memory. A file object
is uploaded as a whole, from its beginning, regardless of its position and also when several calls share it. PIL images
are normalized so that all readers show them alike. Pillow is used only if it is already imported.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from weakref import WeakValueDictionary

from sogni.core.media import HEAD_SIZE
from sogni.errors import ValidationError

if TYPE_CHECKING:
    from PIL.Image import Image

_STANDARD_MODES = ("L", "LA", "RGB", "RGBA")
"""Modes that PNG supports directly and that can be scaled without losing thin lines."""
_ORIENTATION = 0x0112
_MAX_16_BIT = 65535.0


def normalized(image: Image) -> Image:
    """Return an image upright and in 8-bit gray or RGB, or the image itself if it already is.

    Raises the errors of Pillow if it cannot read the image.
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
    except Exception:  # malformed EXIF data, which does not affect the pixels
        return image
    return image if turn is None else image.transpose(turn)


def _converted(image: Image) -> Image:
    mode = image.mode
    if mode.startswith(("I", "F")):
        return _eight_bits(image)
    if "transparency" in image.info or mode in ("P", "PA", "RGBa"):
        transparent = "transparency" in image.info or mode != "P"
        return image.convert("RGBA" if transparent else "RGB")
    if mode in _STANDARD_MODES:
        return image
    other = image.convert({"1": "L", "La": "LA"}.get(mode, "RGB"))
    # The color profile does not apply to the converted colors.
    other.info.pop("icc_profile", None)
    return other


def _eight_bits(image: Image) -> Image:
    """Scale an image of numbers to 8-bit gray, where Pillow would clip values above 255.

    16-bit images are scaled by their range. For other modes the range is guessed from the values: 0 to 1, 8 bits,
    16 bits, or else minimum to maximum.
    """
    numbers = image.convert("F")
    low, high = numbers.getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if image.mode.startswith("I;16"):
        low, high = 0.0, _MAX_16_BIT
    elif not (low < 0 or high > _MAX_16_BIT):
        limits = (1.0, 255.0, _MAX_16_BIT) if image.mode == "F" else (255.0, _MAX_16_BIT)
        low, high = 0.0, next(limit for limit in limits if not high > limit)
    scale = 255.0 / max(high - low, 1e-30)
    gray = numbers.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")
    gray.info.pop("icc_profile", None)
    return gray


ALLOWED = "a path, bytes, a binary file object, a PIL image or a finished Job"
_IN_MEMORY = 1024 * 1024


class MediaSource(ABC):
    """A media input with its size in bytes and its first bytes.

    Call `open` for each attempt to read it, and `close` when done. `name` is used in messages; `content_type` is set
    when the content is checked.
    """

    def __init__(self, name: str, size: int, head: bytes) -> None:
        self.name = name
        self.size = size
        self.head = head
        self.content_type: str | None = None

    @abstractmethod
    def open(self) -> BinaryIO:
        """Return a reader that starts at the beginning. The caller must close it."""

    def sha256(self) -> str:
        """Return the SHA-256 of the content in hexadecimal. Raises OSError if the content cannot be read completely."""
        with self.open() as file:
            return _sha256(file, self)

    def close(self) -> None:  # noqa: B027  most sources hold no resources
        """Release the resources of the source. File objects of the user stay open."""


class _PathSource(MediaSource):
    def __init__(self, path: Path, size: int, head: bytes) -> None:
        super().__init__(path.name, size, head)
        self._path = path

    def open(self) -> BinaryIO:
        return self._path.open("rb")

    def sha256(self) -> str:
        with self._path.open("rb") as file:
            return _sha256_of_file(file, file.fileno(), self)


class _BytesSource(MediaSource):
    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(name, len(content), content[:HEAD_SIZE])
        self._content = content

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)


class _Reader(io.RawIOBase):
    """A reader with its own position in a shared source."""

    def __init__(self, source: _PositionedSource) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read_at(self._position, self._source.size - self._position if size < 0 else size)
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _PositionedSource(MediaSource):
    """A file of our own. Each reader has its own position, because a thread may still use one when the next starts."""

    def __init__(self, name: str, file: BinaryIO | io.FileIO, size: int) -> None:
        self._file = file
        try:
            head = self.read_at(0, HEAD_SIZE)
        except BaseException:
            file.close()
            raise
        super().__init__(name, size, head)

    @abstractmethod
    def read_at(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes at `position`, or none at the end."""

    def open(self) -> BinaryIO:
        if self._file.closed:
            raise ValueError(f"{self.name} is closed")
        return _Reader(self)  # type: ignore[return-value]  # a raw file is a file object, but no BinaryIO to typeshed

    def close(self) -> None:
        self._file.close()


class _DescriptorSource(_PositionedSource):
    """A second descriptor of the caller's file, whose position is neither used nor changed."""

    def read_at(self, position: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, position)

    def sha256(self) -> str:
        with self.open() as reader:
            return _sha256_of_file(reader, self._file.fileno(), self)


class _SpoolSource(_PositionedSource):
    """A complete temporary file."""

    def __init__(self, name: str, file: BinaryIO, size: int) -> None:
        self._lock = threading.Lock()
        super().__init__(name, file, size)

    def read_at(self, position: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(position)
            return self._file.read(size) or b""


def open_source(name: str, value: Any) -> MediaSource:
    """Return the source of a media input for the field `name`. Raises ValidationError."""
    source = _source(name, value)
    if source.size <= 0:  # negative for a file object positioned beyond its end
        source.close()
        raise ValidationError(
            f"{name} must be a file with content, got {source.name}, which is empty",
            field=name,
            value=source.name,
            allowed="a file with content",
        )
    return source


def load_image_formats() -> None:
    """Make Pillow import its formats now, and not in the thread that first converts or writes an image."""
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
        with _exclusive(value):
            return _file_source(name, value)
    if hasattr(value, "save") and hasattr(value, "size"):
        with _exclusive(value):  # Pillow reads the file of an image on first use
            return _image_source(name, value)
    kind = type(value).__name__
    raise ValidationError(f"{name} must be {ALLOWED}, got {kind}", field=name, value=kind, allowed=ALLOWED)


def _path_source(name: str, value: str | os.PathLike[str]) -> MediaSource:
    text = os.fsdecode(value)
    if text.partition(":")[0].lower() in ("http", "https", "data", "ftp") and ":" in text:
        kind = "a data: URI" if text.lower().startswith("data:") else "a URL"
        raise ValidationError(
            f"{name} must be {ALLOWED}, got {kind}; download it first",
            field=name,
            value=text.partition("?")[0][:80],
            allowed=ALLOWED,
        )
    path = Path(text)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            # Reading a pipe could block forever, and it could not be read twice.
            raise ValueError("not a regular file")
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
    """Return the source of a whole file object, regardless of its position and of other calls that use it."""
    path = getattr(file, "name", None)
    label = os.path.basename(path) if isinstance(path, str) else f"the file given as {name}"
    try:
        if type(file) is io.BytesIO:
            return _BytesSource(label, file.getvalue())
        own = _second_descriptor(file)
        if own is not None:
            return _DescriptorSource(label, own, os.fstat(own.fileno()).st_size)
        seekable = file.seekable()
        position = file.tell() if seekable else 0
        # One byte if the position can be restored: some text files return their type only after reading.
        sample = file.read(1 if seekable else 0)
    except (OSError, ValueError, AttributeError) as error:
        raise ValidationError(
            f"{name}: cannot read {label}: {error}", field=name, value=label, allowed=ALLOWED
        ) from error
    if not isinstance(sample, bytes):
        raise ValidationError(
            f"{name} must be open in binary mode, got {label} in text mode; open it with mode 'rb'",
            field=name,
            value=label,
            allowed=ALLOWED,
        )
    if not seekable:
        return spooled(label, iter(lambda: file.read(_IN_MEMORY), b""))
    try:
        return spooled(label, _file_chunks(file))
    finally:
        file.seek(position)


def _second_descriptor(file: Any) -> io.FileIO | None:
    """Return a new descriptor of a regular file, or None for objects that transform its content, such as `GzipFile`."""
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file
    if type(raw) is not io.FileIO or not raw.readable() or not hasattr(os, "pread"):
        return None
    file.flush()
    return io.FileIO(os.dup(raw.fileno())) if stat.S_ISREG(os.fstat(raw.fileno()).st_mode) else None


def _file_chunks(file: Any) -> Iterator[bytes]:
    position = 0
    while True:
        file.seek(position)  # every time, because other users of the object may have moved it
        chunk = file.read(_IN_MEMORY)
        if not chunk:
            return
        yield chunk
        position += len(chunk)


def _image_class() -> tuple[type[Any], ...]:
    """Return the image class of Pillow, or nothing if Pillow is not imported."""
    pillow = sys.modules.get("PIL.Image")
    return () if pillow is None else (pillow.Image,)


def _image_source(name: str, image: Any) -> MediaSource:
    buffer = io.BytesIO()
    try:
        if isinstance(image, _image_class()):
            image = normalized(image)
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
_locks: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()
"""Locks of the objects being read, by id or version. A lock exists while a thread holds it or waits for it."""


def _exclusive(value: Any) -> AbstractContextManager[None]:
    """Lock an object with a single position against our other threads."""
    return _locked(id(value))


@contextmanager
def _locked(key: Hashable) -> Iterator[None]:
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        yield


# Hashes: the same file may be the input of many projects, and is read for its hash only once.

_hashes: dict[Hashable, str] = {}
"""Hashes of files by version: device, inode, size and times."""
_MAX_HASHES = 1024
_SETTLED_SECONDS = 2.0
"""Age from which a file can be recognized by its times. A younger one may change again within the same tick of the file
system's clock, which has up to two seconds."""


def _sha256(file: BinaryIO, source: MediaSource) -> str:
    """Return the hash of the bytes that are uploaded: as many as there were when the source was opened."""
    digest, left = hashlib.sha256(), source.size
    while left:
        chunk = file.read(min(_IN_MEMORY, left))
        if not chunk:
            raise OSError(f"{source.name} became shorter while it was read")
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _sha256_of_file(file: BinaryIO, descriptor: int, source: MediaSource) -> str:
    """Like `_sha256`, but a file that has not changed is not read again."""
    version = _version(descriptor)
    with _locked(version):
        known = _hashes.get((version, source.size))
        if known is not None:
            return known
        settled = time.time() - version[3] / 1e9 > _SETTLED_SECONDS
        found = _sha256(file, source)
        # Not every file system numbers its files.
        if settled and version[1] and version == _version(descriptor):
            if len(_hashes) >= _MAX_HASHES:
                _hashes.clear()
            _hashes[version, source.size] = found
        return found


def _version(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _reset_locks() -> None:
    """Reset the locks in a forked child, because their holders are threads of the parent."""
    global _guard
    _guard = threading.Lock()
    _locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_locks)


def spool() -> BinaryIO:
    """Return a temporary file that stays in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # type: ignore[return-value]  # no BinaryIO to typeshed


def spooled(label: str, chunks: Any) -> MediaSource:
    """Return a source with the content of chunks that can be read only once."""
    file = spool()
    try:
        for chunk in chunks:
            file.write(chunk)
        return finished_spool(label, file)
    except BaseException:
        file.close()
        raise


def finished_spool(label: str, file: BinaryIO) -> MediaSource:
    """Return a source that owns a complete temporary file."""
    return _SpoolSource(label, file, file.seek(0, os.SEEK_END))
