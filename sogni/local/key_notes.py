"""Notes about requests with idempotency keys, so that later processes notice different parameters.

A note consists of digests, so it reveals no prompts or URLs. Nothing here raises: if no state can be kept, there are no
notes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sogni.local.app_ids import state_directory
from sogni.settings import VERSION

_KEEP = 30 * 24 * 3600.0
"""Seconds that a note is kept."""


class KeyNotes:
    """The notes of this user, one file for each project id."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._pruned = False

    def read(self, service: str, project_id: str) -> dict[str, str] | None:
        """Return the digests of the parameters of a project; None if there is no note of this version."""
        with suppress(OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError):
            note = json.loads(self._path(project_id).read_text("utf-8"))
            if (note["service"], note["version"]) == (service, VERSION):
                return {str(name): str(digest) for name, digest in note["parameters"].items()}
        return None

    def write(self, service: str, project_id: str, parameters: Mapping[str, str]) -> None:
        """Note the digests of the parameters of a project."""
        note = {"service": service, "version": VERSION, "parameters": dict(parameters)}
        with suppress(OSError, RuntimeError, ValueError):
            path = self._path(project_id)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._pruned:
                self._pruned = True
                _remove_old(path.parent)
            # Not flushed to disk: a note that is lost or incomplete is not used.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(note, file)

    def _path(self, project_id: str) -> Path:
        return (self._directory or state_directory() / "keys") / f"{project_id}.json"


def _remove_old(directory: Path) -> None:
    oldest = time.time() - _KEEP
    with os.scandir(directory) as entries:
        for entry in entries:
            # Another process may remove it at the same time.
            with suppress(OSError):
                if entry.stat().st_mtime < oldest:
                    os.unlink(entry.path)
