"""Locks between the programs of one user: decides who has a file to itself.

Called for the default app id and for kept tokens. A lock ends with the program that holds it; nothing waits here.
"""

from __future__ import annotations

import filecmp
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from io import FileIO
from itertools import count
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from sogni.core.media import HEAD_SIZE, extension_of, sniff
from sogni.core.projects.file_names import shortened


def lock(path: Path) -> int | None:
    """Lock a file, made when missing, and return what `unlock` takes; None when it is locked.

    OSError where locks do not work.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited (PEP 446)
    try:
        if try_lock(descriptor):
            _check_lock(path)
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def hold(descriptor: int, path: Path) -> bool:
    """Lock an open file; False when it is locked, or is no longer the one at its path. OSError as above."""
    if not try_lock(descriptor):
        return False
    _check_lock(path)
    return os.path.samestat(os.stat(path), os.fstat(descriptor))


def _check_lock(path: Path) -> None:
    # Some network and user-space file systems grant every lock; two clients would throw each other out.
    second = os.open(path, os.O_RDWR)
    try:
        if try_lock(second):
            raise OSError(f"locks do not work in {path.parent}")
    finally:
        os.close(second)


# A lock belongs to an open file, so another client of this process finds it taken, too (not so with lockf).
if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file; False when another open file has the lock."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Let others have the file; it is still to be closed."""
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file; False when another open file has the lock."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Let others have the file; it is still to be closed."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


# Files that appear under their names only when they are complete.
#
# Used for downloads, conversations and plans. A file is written as a `.part` file in the directory of its target and
# takes its name in one step. A program that is killed leaves its `.part` file behind; the next one that writes to the
# directory removes it, if it can prove that nobody is writing it any more:
#
# - The writer holds a lock on the file until the file has its name. The system releases the lock when the last
#   process
#   that has the file open ends, forked children included, so neither a process id that is used again nor a fork
# matters.
# - A lock proves something only to processes of the same kernel that have the same file system mounted: others, on a
#   network file system, may not see it. The name of a `.part` file says where it is written, and only files that were
#   written here are looked at.
#
# Where this cannot be known (no locks, no id of the running kernel, Windows, where an open file cannot be renamed)
# the
# name says nothing, and nobody removes the file.


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LONGEST = 255
"""Bytes of a file name, on most file systems."""


class PartFile:
    """A file that is being written beside its target; used as a context manager.

    What was not put in its place is removed at the end.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._place: Path | None = None

    def __enter__(self) -> PartFile:
        self._directory.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # a directory may be writable and not readable
            _remove_left_once(os.path.abspath(self._directory))
        self._place, self._file = _begin(self._directory)
        return self

    def write(self, data: bytes) -> None:
        """Append to the file."""
        assert self._file is not None
        left = memoryview(data)
        with self._lock:
            while left:
                left = left[self._file.write(left) :]

    def replace(self, target: Path) -> Path:
        """Give the file its name, in place of any other file that has it. OSError."""
        os.replace(self._complete(), target)
        self._place = None
        return target

    def add(self, target: Path) -> Path:
        """Give the file its name, or that name with a number where another file has it; returns the path. OSError.

        A file that is there with the same content stays, and is returned.
        """
        place = self._complete()
        for path in _numbered(target):
            try:
                _publish(place, path)
            except FileExistsError:
                if _same(place, path):
                    return path
            else:
                self._place = None
                return path
        raise AssertionError("there is always another number")  # pragma: no cover

    def _complete(self) -> Path:
        assert self._file is not None
        assert self._place is not None
        if sys.platform == "win32":
            self._file.close()  # an open file cannot be renamed there; elsewhere its lock is needed until it is
        return self._place

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        # Nothing is buffered: in a forked child closing the file writes nothing, and the parent's stays where it is.
        if self._pid != os.getpid():
            self._file.close()
            return
        place = self._place
        if sys.platform != "win32" and place is not None:
            place.unlink(missing_ok=True)
        with self._lock:  # a thread may still be writing for a task that was canceled: its descriptor stays what it is
            self._file.close()
        if sys.platform == "win32" and place is not None:
            place.unlink(missing_ok=True)


def write_file(target: Path, data: bytes) -> Path:
    """Write a whole file in place of any other of its name. OSError."""
    with PartFile(target.parent) as part:
        part.write(data)
        return part.replace(target)


def _numbered(target: Path) -> Iterator[Path]:
    yield target
    for number in count(1):
        ending = f"-{number}{target.suffix}"
        yield target.with_name(shortened(target.stem, _LONGEST - len(os.fsencode(ending))) + ending)


def _publish(place: Path, target: Path) -> None:
    """Give a file a name that no other file has. FileExistsError, OSError."""
    if sys.platform == "win32":
        os.rename(place, target)
        return
    try:
        os.link(place, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            os.replace(place, target)
        except BaseException:
            target.unlink()
            raise
    else:
        place.unlink()


def _same(place: Path, target: Path) -> bool:
    """Whether a name stands for a file, not a link or a directory, with the same content."""
    try:
        return stat.S_ISREG(target.lstat().st_mode) and filecmp.cmp(place, target, shallow=False)
    except OSError:
        return False


def _begin(directory: Path) -> tuple[Path, FileIO]:
    owner = _owner(directory)
    if owner is not None:
        place = directory / f".{uuid4().hex}.{owner}.part"
        # Not a file of `tempfile`: those are readable by their owner only, and so would the result be.
        file = place.open("xb", buffering=0)
        with suppress(OSError):
            if hold(file.fileno(), place):
                return place, file
        # Locks do not work here, or another program took it for one that was left behind before it was locked.
        file.close()
        place.unlink(missing_ok=True)
    place = directory / f".{uuid4().hex}.part"
    return place, place.open("xb", buffering=0)


def _owner(directory: Path) -> str | None:
    """Names this kernel and this mount of the file system, None where a lock proves nothing."""
    boot = _boot_id()
    if boot is None:
        return None
    return sha256(f"{boot} {os.stat(directory).st_dev}".encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _boot_id() -> str | None:
    if sys.platform == "linux":
        with suppress(OSError):
            return _BOOT_ID.read_text("ascii").strip() or None
    return None


@lru_cache(maxsize=1000)
def _remove_left_once(directory: str) -> None:
    """Remove what killed programs left in a directory; once, as it may be large."""
    owner = _owner(Path(directory))
    if owner is None:
        return
    name = re.compile(rf"\.[0-9a-f]{{32}}\.{owner}\.part")
    with os.scandir(directory) as entries:
        for entry in entries:
            if name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # it may belong to another user
                    _remove_left(entry.path)


def _remove_left(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if try_lock(descriptor):
            os.unlink(path)  # while it is locked: whoever has just made it finds that out
    finally:
        os.close(descriptor)


# Results as files, named by their content.
#
# Filled by both packages. What was not finished leaves nothing behind.


PathFor = Callable[[str], Path]


class PartialFile:
    """A file being downloaded, beside its target; used as a context manager.

    The suffix of the target fits the content: `path_for` is asked with it when all is there.
    """

    def __init__(self, path_for: PathFor, *, overwrite: bool = False) -> None:
        self._path_for = path_for
        self._overwrite = overwrite
        self._head = b""
        self._part = PartFile(path_for(".part").parent)

    def __enter__(self) -> PartialFile:
        self._part.__enter__()
        return self

    def write(self, chunk: bytes) -> None:
        """Append a piece."""
        if len(self._head) < HEAD_SIZE:
            self._head += chunk[: HEAD_SIZE - len(self._head)]
        self._part.write(chunk)

    def finish(self) -> Path:
        """Put the file under its name and return that.

        Where another file has that name, the new one gets a number, unless it is to `overwrite`.
        """
        target = self._path_for(suffix_of(self._head))
        return self._part.replace(target) if self._overwrite else self._part.add(target)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part.__exit__(kind, error, trace)


def suffix_of(head: bytes) -> str:
    """The file suffix for content that begins with `head`."""
    return extension_of(sniff(head, "image") or sniff(head, "video") or sniff(head, "audio"))


# Numbers in file names: decides where those of a directory go on, so that no earlier file is replaced.
#
# Called by `chat.tools.save` of both packages. It reads a directory and writes nothing.


_NUMBERED = re.compile(r"[a-z_]+-(\d{1,9})\.\w+")


def next_number(directory: str | os.PathLike[str]) -> int:
    """The number after the highest one in names like `generate_image-3.png`; 0 for a directory without any."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    return max((int(found[1]) + 1 for found in map(_NUMBERED.fullmatch, names) if found), default=0)
