"""Cached data about the files that the service keeps for an account."""

from __future__ import annotations

from collections.abc import Sequence

from sogni.core.shared_requests import SharedRequests
from sogni.models.saved_uploads import SavedUploadCapabilities

CAPABILITIES_LIFETIME = 60.0
PAUSE_WHEN_FULL = 15 * 60.0
"""Seconds during which `create` saves no files after the library was full."""
MAX_UPLOADS = 2
"""Number of files that are saved at the same time."""


class UploadLibrary:
    """The saved uploads of one account; times are monotonic seconds."""

    # additions-5x §8

    def __init__(self, account_number: int) -> None:
        self.account_number = account_number
        self.requests: SharedRequests = SharedRequests()
        self._capabilities: tuple[float, SavedUploadCapabilities] | None = None
        self._paused_until: float | None = None
        self._uploads: list[object] = []

    def capabilities(self, now: float) -> SavedUploadCapabilities | None:
        """Return the capabilities, unless they are unknown or too old."""
        known = self._capabilities
        return known[1] if known is not None and now - known[0] < CAPABILITIES_LIFETIME else None

    def keep_capabilities(self, capabilities: SavedUploadCapabilities, now: float) -> None:
        """Remember the capabilities."""
        self._capabilities = (now, capabilities)

    def full(self, now: float) -> None:
        """Save no more files for a while."""
        self._paused_until = now + PAUSE_WHEN_FULL

    def resume(self) -> None:
        """Save files again: there may be room."""
        self._paused_until = None

    def paused(self, now: float) -> bool:
        """Whether no files are saved because the library was full."""
        return self._paused_until is not None and now < self._paused_until

    # Uploads are numbered by their order of arrival; the first ones run.

    def arrive(self, upload: object) -> None:
        """Queue an upload."""
        self._uploads.append(upload)

    def may_run(self, upload: object) -> bool:
        """Whether it is the turn of an upload."""
        running: Sequence[object] = self._uploads[:MAX_UPLOADS]
        return upload in running

    def leave(self, upload: object) -> None:
        """Remove an upload that has ended, or that was interrupted in the queue."""
        if upload in self._uploads:
            self._uploads.remove(upload)
