"""The default app id: the same for an installation from day to day, and different for clients open at the same time.

Each installation has its own id, and clients that are open at the same time take numbered slots of it, starting with
the lowest free one. Nothing here raises or waits: if no state can be kept, the id is random.
"""

# The service keeps one connection per app id and closes the older one with 4015, but returns projects only to the app
# id that requested them (transport §1, §13). Hence an id that is stable and never used twice at once.

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import platformdirs

from sogni.local.files import lock, unlock

__all__ = ["AppSlot", "acquire_app_id", "state_directory"]

_SLOTS = 1000
_INSTALLATION = "installation"
_DAMAGED = ""


class AppSlot:
    """An app id, and the lock that keeps others from using it until `release`."""

    def __init__(self, app_id: str, descriptor: int | None = None) -> None:
        self.app_id = app_id
        self._descriptor = descriptor
        self._owner = os.getpid()

    def __repr__(self) -> str:
        return f"AppSlot({self.app_id!r})"

    @property
    def stable(self) -> bool:
        """Whether a later client of this installation can have the same id."""
        return "-" in self.app_id[36:]

    def release(self) -> None:
        """Release the id; repeatable."""
        descriptor = self._take()
        if descriptor is None:
            return
        with suppress(OSError):
            # Closing is not enough: a forked child that still has the file open would keep the slot.
            # In such a child itself, unlocking would release the parent's id.
            if os.getpid() == self._owner:
                unlock(descriptor)
        with suppress(OSError):
            os.close(descriptor)

    def release_after_fork(self) -> None:
        """Close the file in a forked child; the parent keeps the id."""
        descriptor = self._take()
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _take(self) -> int | None:
        descriptor, self._descriptor = self._descriptor, None
        return descriptor


def acquire_app_id(state_dir: Path | None = None) -> AppSlot:
    """Return the lowest free app id of this installation, or a random one where no state can be kept.

    `state_dir` is created if missing; None means `state_directory`.
    """
    try:
        directory = state_dir or state_directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        installation = _installation_id(directory)
        for number in range(_SLOTS):
            descriptor = lock(directory / f"slot-{number}.lock")
            if descriptor is not None:
                return AppSlot(f"{installation}-{number}", descriptor)
    except (OSError, RuntimeError, ValueError):  # RuntimeError: no home directory; ValueError: a zero byte in it
        pass
    return AppSlot(str(uuid4()).upper())


def state_directory() -> Path:
    """Return the directory for files that are kept between runs. Raises RuntimeError without a home."""
    path = platformdirs.PlatformDirs("sogni", appauthor=False).user_state_path
    if not path.is_absolute():  # how some releases of platformdirs say that there is no home directory
        raise RuntimeError("there is no home directory")
    return path


def _installation_id(directory: Path) -> str:
    path = directory / _INSTALLATION
    known = _read_id(path)
    if known is None:
        _write_id(path, _publish)
        known = _read_id(path)
    elif known == _DAMAGED:
        known = _repair(path)
    if not known:
        raise OSError(f"{path} cannot be written")
    return known


def _read_id(path: Path) -> str | None:
    """Return the id, None if there is no file, and `_DAMAGED` if there is no id in it."""
    try:
        return str(UUID(path.read_text("utf-8-sig").strip())).upper()
    except FileNotFoundError:
        return None
    except ValueError:
        return _DAMAGED


def _write_id(path: Path, publish: Callable[[str, Path], None]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f"{_INSTALLATION}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{uuid4()}\n".upper())
            file.flush()
            os.fsync(file.fileno())
        publish(name, path)
    finally:
        with suppress(OSError):
            os.unlink(name)


def _repair(path: Path) -> str | None:
    # One at a time: of two that replace a damaged file, the first would continue with an id that is gone.
    descriptor = lock(path.parent / f"{_INSTALLATION}.lock")
    if descriptor is None:
        return None
    try:
        if _read_id(path) == _DAMAGED:
            _write_id(path, os.replace)
        return _read_id(path)
    finally:
        os.close(descriptor)


def _publish(name: str, path: Path) -> None:
    """Give a finished file its name in one step, which fails for all but the first of several processes."""
    try:
        if sys.platform == "win32":
            os.rename(name, path)
        else:
            os.link(name, path)
    except FileExistsError:
        pass
    except OSError:
        os.replace(name, path)  # a file system without links: of two at the same moment the last wins
