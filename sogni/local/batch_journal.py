"""What a batch has done so far: decides how it is kept, so that a batch that was broken off goes on.

One line of JSON per event, written before the next thing is done; only the last one can be incomplete. A project
is noted before it is sent: whoever goes on asks the service whether it is there, and pays for nothing twice.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import field, frozen

from sogni.errors import ConflictError, ValidationError
from sogni.local.files import lock, unlock

_BEGINNING = b'{"service": '
"""Of every line, also of one that was not finished: what begins otherwise is somebody's file, and stays as it is."""


@frozen(kw_only=True)
class Entry:
    """What became of a request: the project it was sent as, and the files that were saved."""

    project: str | None = None
    files: tuple[Path, ...] = field(default=())


class BatchJournal:
    """The journal of one batch, a context manager; nobody else can have it meanwhile.

    `service` is where the projects run: what one service has made is not there for another. ConflictError when
    another program has the journal, ValidationError when it is none, OSError.
    """

    def __init__(self, path: Path, *, service: str) -> None:
        self.path = path
        self._service = service
        self._entries: dict[tuple[str, str], Entry] = {}
        self._descriptor = -1
        self._locked = False

    def __enter__(self) -> BatchJournal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open()
        try:
            self._read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        empty = os.fstat(self._descriptor).st_size == 0
        if empty:
            self.path.unlink(missing_ok=True)
        if self._locked:
            unlock(self._descriptor)
        os.close(self._descriptor)

    def __getitem__(self, key: str) -> Entry:
        return self._entries.get((self._service, key), Entry())

    def begins(self, key: str, project_id: str) -> None:
        """A project is about to be sent."""
        self._note(key, project=project_id)

    def saved(self, key: str, files: Iterable[Path]) -> None:
        """The results of a request are there."""
        self._note(key, files=[_relative(path, self.path.parent) for path in files])

    def forget(self, key: str) -> None:
        """The project of a request came to nothing; it is to begin anew."""
        self._note(key)

    def _open(self) -> None:
        try:
            held = lock(self.path)
        except OSError:
            # Where locks do not work a program alone can go on; where the file cannot be opened, this says why.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            return
        if held is None:
            raise ConflictError(f"{self.path} is in use: another batch is writing it")
        self._descriptor, self._locked = held, True

    def _read(self) -> None:
        # A file system that loses power may leave zeros for what it had not written yet.
        content = self.path.read_bytes().rstrip(b"\0")
        mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        *lines, torn = content.removeprefix(mark).split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                self._apply(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise self._no_journal(number) from error
        if not (torn.startswith(_BEGINNING) or _BEGINNING.startswith(torn)):
            raise self._no_journal(len(lines) + 1)
        # The process was killed while it wrote the rest; nothing had been done yet.
        os.ftruncate(self._descriptor, len(mark) + sum(len(line) + 1 for line in lines))
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def _no_journal(self, number: int) -> ValidationError:
        words = f"{self.path} is not the journal of a batch: line {number} cannot be read"
        return ValidationError(words, field="journal", value=str(self.path))

    def _apply(self, service: str, request: str, project: str | None = None, files: Iterable[str] = ()) -> None:
        saved = tuple(self.path.parent / name for name in files)
        before = self._entries.get((service, request), Entry())
        self._entries[service, request] = Entry(project=project or (before.project if saved else None), files=saved)

    def _note(self, key: str, **what: Any) -> None:
        line = {"service": self._service, "request": key, **what}
        text = json.dumps(line).encode() + b"\n"
        before = os.fstat(self._descriptor).st_size
        try:
            while text:
                text = text[os.write(self._descriptor, text) :]
            os.fsync(self._descriptor)
        except OSError as error:
            # What was written of the line would spoil the next one.
            with suppress(OSError):
                os.ftruncate(self._descriptor, before)
                os.lseek(self._descriptor, before, os.SEEK_SET)
            error.filename = str(self.path)
            raise
        self._apply(**line)


def _relative(path: Path, directory: Path) -> str:
    """A path as the journal keeps it: both can be moved together."""
    try:
        return os.path.relpath(path, directory)
    except ValueError:  # Windows: on different drives
        return os.path.abspath(path)
