"""Journal of a batch, which lets an interrupted batch continue.

Each event is a line of JSON that is written before the batch proceeds, so only the last line can be incomplete. A
project is recorded with its idempotency key before it is sent: the next run uses the same key, so nothing is paid for
twice.

A killed process loses nothing that it has written, but a power failure loses what has not reached the disk. To wait for
the disk with each line would cost milliseconds. Instead, the keys are derived from a secret of the journal, the only
line that has to be on disk before the first project is sent: without the others, the next run derives the same keys,
and finds its projects at the service.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import secrets
import time
import weakref
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import field, frozen

from sogni.errors import ConflictError, ValidationError
from sogni.local.files import lock, unlock
from sogni.local.storage import is_url

_LINE_START = b'{"service": '
"""Start of every line, including incomplete ones. Any other file is rejected and left unchanged."""
_SECRET = ""
"""In place of a request: its line contains the secret from which idempotency keys are derived."""
_SYNC_SECONDS = 1.0
"""How long a batch that proceeds leaves its lines to the operating system."""


@frozen(kw_only=True)
class Entry:
    """State of a request: the id and the idempotency key of its project, and the saved files or URLs of objects.

    Journals of former versions have no keys.
    """

    project: str | None = None
    idempotency_key: str | None = None
    files: tuple[Path | str, ...] = field(default=())


class BatchJournal:
    """The journal of one batch: a context manager that locks the file.

    Args:
        path: Path of the journal, created if missing and removed if it stays empty.
        service: Service on which the projects run. Entries of other services are ignored.

    Raises:
        ConflictError: Another program is using the journal.
        ValidationError: The file is not a journal.
        OSError: The file cannot be read or written.
    """

    def __init__(self, path: Path, *, service: str) -> None:
        self.path = path
        self._service = service
        self._entries: dict[tuple[str, str], Entry] = {}
        self._failures: Counter[tuple[str, str]] = Counter()
        self.has_new_keys: bool = False
        """Whether `new_key` returns unused keys, because no earlier run has had the secret."""
        self._descriptor = -1
        self._locked = False
        self._synced = -_SYNC_SECONDS

    def __enter__(self) -> BatchJournal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open()
        try:
            _open_journals.add(self)
            self._read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _open_journals.discard(self)
        if self._descriptor < 0:  # in a forked child
            return
        if os.fstat(self._descriptor).st_size == 0:
            self.path.unlink(missing_ok=True)
        if self._locked:
            unlock(self._descriptor)
        os.close(self._descriptor)

    def __getitem__(self, key: str) -> Entry:
        return self._entries.get((self._service, key), Entry())

    def new_key(self, key: str) -> str:
        """Return the idempotency key of the next project of a request.

        It is the same until the project fails, even after a power failure.
        """
        if self[_SECRET].idempotency_key is None:
            self._append(_SECRET, idempotency_key=secrets.token_hex(16))
            self.sync()
            self.has_new_keys = self._locked
        name = f"{self[_SECRET].idempotency_key} {key} {self._failures[self._service, key]}"
        return hashlib.sha256(name.encode()).hexdigest()[:32]

    def begins(self, key: str, project_id: str, idempotency_key: str) -> None:
        """Record that a project is about to be sent."""
        self._append(key, project=project_id, idempotency_key=idempotency_key)

    def saved(self, key: str, files: Iterable[Path | str]) -> None:
        """Record the saved results of a request."""
        self._append(key, files=[_relative(path, self.path.parent) for path in files])

    def forget(self, key: str) -> None:
        """Record that the project of a request failed, so that the next run repeats it."""
        self._append(key)

    @property
    def sync_is_due(self) -> bool:
        """Whether the lines have been left to the operating system for long enough."""
        return time.monotonic() - self._synced > _SYNC_SECONDS

    def sync(self) -> None:
        """Wait until all lines are on disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            error.filename = str(self.path)
            raise
        self._synced = time.monotonic()

    def _open(self) -> None:
        try:
            held = lock(self.path)
        except OSError:
            # If locks do not work, continue without one. If the file cannot be opened, this raises the reason.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            return
        if held is None:
            raise ConflictError(f"{self.path} is in use by another batch")
        self._descriptor, self._locked = held, True

    def _read(self) -> None:
        # After a power failure, some file systems leave zeros in place of unwritten data.
        content = self.path.read_bytes().rstrip(b"\0")
        mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        *lines, incomplete = content.removeprefix(mark).split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                self._apply(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise self._invalid(number) from error
        if not (incomplete.startswith(_LINE_START) or _LINE_START.startswith(incomplete)):
            raise self._invalid(len(lines) + 1)
        # The process was killed while writing this line, before acting on it.
        os.ftruncate(self._descriptor, len(mark) + sum(len(line) + 1 for line in lines))
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def _invalid(self, number: int) -> ValidationError:
        message = f"{self.path} is not the journal of a batch: line {number} is malformed"
        return ValidationError(message, field="journal", value=str(self.path))

    def _apply(
        self,
        service: str,
        request: str,
        project: str | None = None,
        idempotency_key: str | None = None,
        files: Iterable[str] = (),
    ) -> None:
        saved = tuple(name if is_url(name) else self.path.parent / name for name in files)
        before = self._entries.get((service, request), Entry())
        if not (saved or project or idempotency_key):
            self._failures[service, request] += 1
        self._entries[service, request] = Entry(
            project=project or (before.project if saved else None),
            idempotency_key=idempotency_key or (before.idempotency_key if saved else None),
            files=saved,
        )

    def _append(self, key: str, **event: Any) -> None:
        line = {"service": self._service, "request": key, **event}
        data = json.dumps(line).encode() + b"\n"
        before = os.fstat(self._descriptor).st_size
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            # Remove the partial line, which would corrupt the next one.
            with suppress(OSError):
                os.ftruncate(self._descriptor, before)
                os.lseek(self._descriptor, before, os.SEEK_SET)
            error.filename = str(self.path)
            raise
        self._apply(**line)


_open_journals: weakref.WeakSet[BatchJournal] = weakref.WeakSet()


def _leave_journals() -> None:
    """Close the journals of the parent: a worker that outlives it would block the lock for the next run."""
    for journal in list(_open_journals):
        os.close(journal._descriptor)
        journal._descriptor = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_journals)


def _relative(path: Path | str, directory: Path) -> str:
    """Return a path relative to the journal, so that both can be moved together, or a URL unchanged."""
    if isinstance(path, str):
        return path
    try:
        return os.path.relpath(path, directory)
    except ValueError:  # Windows: on different drives
        return os.path.abspath(path)
