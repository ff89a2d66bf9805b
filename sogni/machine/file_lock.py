"""Locks between the programs of one user: decides who has a file to itself.

Called for the default app id and for kept tokens. A lock ends with the program that holds it; nothing waits here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["hold", "lock", "try_lock", "unlock"]


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
