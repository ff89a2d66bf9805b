"""Saved uploads: files that the service keeps for the account, and their limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from attrs import field, frozen

from sogni.models.base import EPOCH, LooseModel, Model

SavedUploadState = Literal["uploading", "ready"]


@frozen(kw_only=True)
class SavedUpload(Model):
    """A file that the service keeps for the account.

    Attributes:
        id: ID of the file.
        name: Its name, for display.
        bytes: Its size in bytes.
        content_type: Its content type.
        state: ``"ready"``, or ``"uploading"`` while its content is incomplete.
        created_at: When it was saved.
        expires_at: When the service deletes it unless it is used again.
    """

    id: str
    name: str | None = None
    bytes: int | None = None
    content_type: str | None = None
    state: SavedUploadState | str = "ready"
    created_at: datetime | None = field(default=None, metadata=EPOCH)
    expires_at: datetime | None = field(default=None, metadata=EPOCH)


@frozen(kw_only=True)
class SavedUploadLimits(Model):
    """Storage limits of an account. None if the service does not state the limit.

    Attributes:
        entries: Number of files.
        bytes: Size of all files together, in bytes.
        file_bytes: Size of one file, in bytes.
        idle_days: Days after which an unused file is deleted.
        copy_bytes_per_day: Bytes that may be copied to projects per day.
        bindings_per_day: Number of copies to projects per day.
    """

    entries: int | None = None
    bytes: int | None = None
    file_bytes: int | None = None
    idle_days: int | None = None
    copy_bytes_per_day: int | None = None
    bindings_per_day: int | None = None


@frozen(kw_only=True)
class SavedUploadList(Model):
    """The files that the service keeps for the account. Iterating over the list yields them.

    Attributes:
        assets: The files.
        limits: Storage limits of the account.
    """

    assets: list[SavedUpload] = field(factory=list)
    limits: SavedUploadLimits = field(factory=SavedUploadLimits)

    def __iter__(self) -> Iterator[SavedUpload]:
        """Iterate over the files."""
        return iter(self.assets)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.assets)


@frozen(kw_only=True)
class SavedUploadCapabilities(LooseModel):
    """Whether the service keeps files for the account.

    Attributes:
        enabled: True if it does.
    """

    enabled: bool = False
