"""File locks and atomic file writes.

A lock ends with the process that holds it. No function waits for a lock.

Files appear under their names only when they are complete: they are written as a `.part` file in the directory of the
target, which is then renamed. A killed program leaves its `.part` file behind. The next program that writes to the
directory removes it if it can prove that no process is writing it:

- The writer locks the file until it is renamed. The system releases the lock when the last process that has the file
  open ends, forked children included, so reused process ids and forks do not matter.
- A lock is proof only between processes of the same kernel with the same mount: processes on other hosts of a network
  file system may not see it. The name of a `.part` file identifies kernel and mount, and only matching files are
  checked.

Where this is impossible (no locks, no kernel id, or Windows, where an open file cannot be renamed), the name has no
such id, and the file is never removed.
"""

from __future__ import annotations

import filecmp
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from io import FileIO
from itertools import count
from pathlib import Path, PurePath
from types import TracebackType
from typing import TypeVar
from uuid import uuid4

from sogni.core.media import HEAD_SIZE, extension_of, sniff
from sogni.core.projects.file_names import shortened

PathT = TypeVar("PathT", bound=PurePath)


def lock(path: Path) -> int | None:
    """Lock a file, creating it if missing, and return its descriptor, or None if it is already locked.

    Raises OSError if locks do not work.
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
    """Lock an open file. Returns False if it is already locked or no longer the one at its path.

    Raises OSError if locks do not work.
    """
    if not try_lock(descriptor):
        return False
    _check_lock(path)
    return os.path.samestat(os.stat(path), os.fstat(descriptor))


def _check_lock(path: Path) -> None:
    # Some network and user-space file systems grant every lock; two clients would then disconnect each other.
    second = os.open(path, os.O_RDWR)
    try:
        if try_lock(second):
            raise OSError(f"locks do not work in {path.parent}")
    finally:
        os.close(second)


# These locks belong to the open file, so they also exclude other clients in this process (unlike lockf).
if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file. Returns False if it is already locked."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Release the lock. The caller must still close the file."""
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file. Returns False if it is already locked."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Release the lock. The caller must still close the file."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_KERNEL_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_NAME = 255
"""Maximum length of a file name in bytes, on most file systems."""


class PartFile:
    """A file that is written next to its target: a context manager.

    The file is removed at the end unless it was renamed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._part_path: Path | None = None

    def __enter__(self) -> PartFile:
        self._directory.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # a directory may be writable but not readable
            _remove_stale_parts(os.path.abspath(self._directory))
        self._part_path, self._file = _begin(self._directory)
        return self

    def write(self, data: bytes) -> None:
        """Append to the file."""
        assert self._file is not None
        left = memoryview(data)
        with self._lock:
            while left:
                left = left[self._file.write(left) :]

    def replace(self, target: Path) -> Path:
        """Rename the file to `target`, replacing an existing file. Raises OSError."""
        os.replace(self._complete(), target)
        self._part_path = None
        return target

    def add(self, target: Path) -> Path:
        """Rename the file to `target`, with a number if another file has that name, and return its path.

        If an existing file has the same content, its path is returned. Raises OSError.
        """
        part = self._complete()
        for path in numbered(target):
            try:
                _publish(part, path)
            except FileExistsError:
                if _same(part, path):
                    return path
            else:
                self._part_path = None
                return path
        raise AssertionError("there is always another number")  # pragma: no cover

    def _complete(self) -> Path:
        assert self._file is not None
        assert self._part_path is not None
        if sys.platform == "win32":
            self._file.close()  # Windows cannot rename an open file; elsewhere the lock is needed until then
        return self._part_path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        # The file is unbuffered, so closing it in a forked child writes nothing. The parent's file stays.
        if self._pid != os.getpid():
            self._file.close()
            return
        part = self._part_path
        if sys.platform != "win32" and part is not None:
            part.unlink(missing_ok=True)
        with self._lock:  # a thread may still be writing for a canceled task, so the descriptor must stay valid
            self._file.close()
        if sys.platform == "win32" and part is not None:
            part.unlink(missing_ok=True)


def write_file(target: Path, data: bytes) -> Path:
    """Write a file atomically, replacing an existing one. Raises OSError."""
    with PartFile(target.parent) as file:
        file.write(data)
        return file.replace(target)


def numbered(target: PathT) -> Iterator[PathT]:
    """Return a path, then the same with numbers in its name: `cat.png`, `cat-1.png` and so on."""
    yield target
    for number in count(1):
        ending = f"-{number}{target.suffix}"
        yield target.with_name(shortened(target.stem, _MAX_NAME - len(os.fsencode(ending))) + ending)


def _publish(part: Path, target: Path) -> None:
    """Rename a file. Raises FileExistsError if the name is taken, or another OSError."""
    if sys.platform == "win32":
        os.rename(part, target)
        return
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            os.replace(part, target)
        except BaseException:
            target.unlink()
            raise
    else:
        part.unlink()


def _same(part: Path, target: Path) -> bool:
    """Return whether `target` is a regular file with the same content."""
    try:
        return stat.S_ISREG(target.lstat().st_mode) and filecmp.cmp(part, target, shallow=False)
    except OSError:
        return False


def _begin(directory: Path) -> tuple[Path, FileIO]:
    owner = _owner(directory)
    if owner is not None:
        part = directory / f".{uuid4().hex}.{owner}.part"
        # Not with `tempfile`, whose files only the owner can read, and so would be the result.
        file = part.open("xb", buffering=0)
        with suppress(OSError):
            if hold(file.fileno(), part):
                return part, file
        # Locks do not work, or another program removed the file as stale before it was locked.
        file.close()
        part.unlink(missing_ok=True)
    part = directory / f".{uuid4().hex}.part"
    return part, part.open("xb", buffering=0)


def _owner(directory: Path) -> str | None:
    """Return an id of this kernel and this mount, or None if locks are no proof."""
    kernel = _kernel_id()
    if kernel is None:
        return None
    return sha256(f"{kernel} {os.stat(directory).st_dev}".encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _kernel_id() -> str | None:
    if sys.platform == "linux":
        with suppress(OSError):
            return _KERNEL_ID.read_text("ascii").strip() or None
    return None


@lru_cache(maxsize=1000)
def _remove_stale_parts(directory: str) -> None:
    """Remove the `.part` files of killed programs. Cached, because the directory may be large."""
    owner = _owner(Path(directory))
    if owner is None:
        return
    name = re.compile(rf"\.[0-9a-f]{{32}}\.{owner}\.part")
    with os.scandir(directory) as entries:
        for entry in entries:
            if name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # may belong to another user
                    _remove_stale_part(entry.path)


def _remove_stale_part(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if try_lock(descriptor):
            os.unlink(path)  # while locked, so that a process that has just created it notices
    finally:
        os.close(descriptor)


PathFor = Callable[[str], Path]


class DownloadFile:
    """A file that is being downloaded, next to its target: a context manager.

    The suffix of the target depends on the content: `path_for` is called with it at the end.
    """

    def __init__(self, path_for: PathFor, *, overwrite: bool = False) -> None:
        self._path_for = path_for
        self._overwrite = overwrite
        self._head = b""
        self._part = PartFile(path_for(".part").parent)

    def __enter__(self) -> DownloadFile:
        self._part.__enter__()
        return self

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        if len(self._head) < HEAD_SIZE:
            self._head += chunk[: HEAD_SIZE - len(self._head)]
        self._part.write(chunk)

    def finish(self) -> Path:
        """Rename the file to its target and return the path.

        Unless `overwrite` is set, the file gets a number if another one has its name.
        """
        target = self._path_for(suffix_of(self._head))
        return self._part.replace(target) if self._overwrite else self._part.add(target)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part.__exit__(kind, error, trace)


def suffix_of(head: bytes) -> str:
    """Return the file suffix for content that starts with `head`."""
    return extension_of(sniff(head, "image") or sniff(head, "video") or sniff(head, "audio"))


_NUMBERED = re.compile(r"[a-z_]+-(\d{1,9})\.\w+")


def next_number(directory: str | os.PathLike[str]) -> int:
    """Return the next free number for names such as `generate_image-3.png`, starting at 0."""
    try:
        return number_after(os.listdir(directory))
    except FileNotFoundError:
        return 0


def number_after(names: Iterable[str]) -> int:
    """Return the number that follows the highest one in the names of files."""
    return max((int(found[1]) + 1 for found in map(_NUMBERED.fullmatch, names) if found), default=0)
