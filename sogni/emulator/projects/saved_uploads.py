"""Saved uploads: files that an account keeps, so that one file for many projects is transferred once.

A file is prepared, transferred to storage with its hash, finalized, and then bound to projects, which get copies.
"""
# Protocol notes: additions-5x §8, projects-5x §6.1.

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, evolve, field, fields, frozen

from sogni.emulator.account.accounts import Account
from sogni.emulator.persistence import Archive
from sogni.emulator.projects.storage import Key, Store
from sogni.emulator.responses import NOT_FOUND, RefusedError

if TYPE_CHECKING:
    from sogni.emulator.routes.router import Body

SAVED = "saved"
"""Takes the place of a project ID in the keys of saved uploads."""
TYPES = (
    "image/png", "image/jpeg", "image/webp", "video/mp4", "video/quicktime", "video/webm", "audio/mp4", "audio/mpeg",
    "audio/flac", "audio/wav", "audio/x-wav", "audio/wave",
)  # fmt: skip
FULL = "The library of saved uploads is full"
_KIND, _USE = "saved upload", "use of a saved upload"
_SHA256 = re.compile("[0-9a-f]{64}")
_DAY = 24 * 3600.0
_LONGEST_NAME = 255


@frozen(kw_only=True)
class UploadLimits:
    """The limits of the saved uploads of each account.

    Attributes:
        entries: Number of files.
        bytes: Size of all files together, in bytes.
        file_bytes: Size of one file, in bytes.
        idle_days: Days after which an unused file is deleted.
        copy_bytes_per_day: Bytes that may be copied to projects within 24 hours.
        bindings_per_day: Number of copies to projects within 24 hours.
    """

    entries: int = 200
    bytes: int = 2 * 1024**3
    file_bytes: int = 100 * 1024**2
    idle_days: int = 30
    copy_bytes_per_day: int = 50 * 1024**3
    bindings_per_day: int = 5000

    def __attrs_post_init__(self) -> None:
        for attribute in fields(UploadLimits):
            value = getattr(self, attribute.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{attribute.name} must be a non-negative integer, got {value!r}")


@frozen(kw_only=True)
class Saved:
    """One saved file; times are in epoch seconds."""

    id: str
    owner: str
    name: str
    sha256: str
    size: int
    content_type: str
    ready: bool
    created: float
    expires: float

    @property
    def key(self) -> Key:
        return Key(SAVED, self.id, "content")

    def wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "bytes": self.size,
            "contentType": self.content_type,
            "state": "ready" if self.ready else "uploading",
            "createdAt": round(self.created * 1000),
            "expiresAt": round(self.expires * 1000),
        }

    @property
    def upload_headers(self) -> dict[str, str]:
        """The headers with which the content must be transferred."""
        checksum = base64.b64encode(bytes.fromhex(self.sha256)).decode()
        return {"Content-Type": self.content_type, "If-None-Match": "*", "x-amz-checksum-sha256": checksum}


@frozen
class _Use:
    """A copy to a project; it counts for 24 hours."""

    id: str
    owner: str
    at: float
    size: int


class RejectedContentError(Exception):
    """Content that storage does not accept; status, code and message are those of its response."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@define(eq=False)
class SavedUploads:
    """The saved uploads of all accounts. ``limits`` None means that the service keeps none.

    Its methods belong to the server's event loop.
    """

    limits: UploadLimits | None
    store: Store
    archive: Archive
    clock: Callable[[], float]
    new_id: Callable[[], str]
    upload_lifetime: float
    directory: Path = field(init=False)
    _all: dict[str, Saved] = field(factory=dict, init=False)
    _uses: list[_Use] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Load what was saved, and remove files without a record."""
        self.directory = self.store.directory / SAVED
        for item in self.archive.items_of_kind(_KIND):
            saved = Saved(id=item.id, owner=item.owner, **item.body)
            if not saved.ready or self.path(saved).is_file():
                self._all[saved.id] = saved
        self._uses = [_Use(item.id, item.owner, **item.body) for item in self.archive.items_of_kind(_USE)]
        for path in self.directory.iterdir() if self.directory.is_dir() else ():
            if path.name not in self._all:
                path.unlink()

    def clear(self) -> None:
        for saved in list(self._all.values()):
            self._drop(saved)
        for use in self._uses:
            self.archive.delete(_USE, use.id)
        self._uses.clear()

    def path(self, saved: Saved) -> Path:
        """Return where the content is, once it has been transferred."""
        return self.directory / saved.id

    # What clients request

    def wire(self, account: Account) -> dict[str, Any]:
        """Return the files and limits of an account."""
        limits = asdict(self._available())
        camel = {re.sub("_(.)", lambda found: found[1].upper(), name): value for name, value in limits.items()}
        return {"assets": [saved.wire() for saved in self._of(account)], "limits": camel}

    def prepare(self, account: Account, body: Body) -> Saved:
        """Return the record of a file, a new one if its content is unknown."""
        limits = self._available()
        sha256 = body.text("sha256", required=True) or ""
        size = body.whole("bytes", required=True, minimum=1, maximum=limits.file_bytes) or 0
        content_type = body.text("contentType", required=True, allowed=TYPES) or ""
        name = body.text("name", required=True) or ""
        if not _SHA256.fullmatch(sha256):
            body.refuse("sha256", "must be 64 lower-case hexadecimal digits")
        if not 0 < len(name.strip()) <= _LONGEST_NAME:
            body.refuse("name", f"must have 1 to {_LONGEST_NAME} characters")
        body.check(strict=True)
        owned, now = self._of(account), self.clock()
        for saved in owned:
            if (saved.sha256, saved.size, saved.content_type) == (sha256, size, content_type):
                return self._used(saved) if saved.ready else self._keep(saved, expires=now + self.upload_lifetime)
        if len(owned) >= limits.entries or sum(saved.size for saved in owned) + size > limits.bytes:
            raise RefusedError(409, FULL)
        saved = Saved(
            id=self.new_id(),
            owner=account.wallet_address,
            name=name,
            sha256=sha256,
            size=size,
            content_type=content_type,
            ready=False,
            created=now,
            expires=now + self.upload_lifetime,
        )
        return self._keep(saved)

    async def receive(self, id: str, path: Path, headers: Mapping[str, str]) -> None:
        """Accept the content of a file, which is at ``path``, or raise ``RejectedContentError``."""
        saved = self._all.get(id)
        if saved is None:
            raise RejectedContentError(404, "NoSuchKey", "The specified key does not exist.")
        for name, value in saved.upload_headers.items():
            if headers.get(name) != value:
                raise RejectedContentError(403, "SignatureDoesNotMatch", f"The URL was signed for {name}: {value}")
        found = await self.store.run(_sha256, path)
        if path.stat().st_size != saved.size or not hmac.compare_digest(found, saved.sha256):
            raise RejectedContentError(400, "BadDigest", "The SHA256 you specified did not match what we received.")
        if self.path(saved).exists():
            raise RejectedContentError(412, "PreconditionFailed", "The object already exists.")
        self.directory.mkdir(exist_ok=True)
        path.rename(self.path(saved))

    def finalize(self, account: Account, id: str) -> Saved:
        """Return the record of a file whose content has been transferred."""
        saved = self.find(account, id)
        if not self.path(saved).exists():
            raise RefusedError(409, "The file has not been uploaded")
        return self._used(evolve(saved, ready=True))

    async def bind(self, account: Account, saved: Saved, key: Key) -> None:
        """Copy a file to a project."""
        limits, now = self._available(), self.clock()
        if not saved.ready:
            raise RefusedError(409, "The file has not been uploaded")
        while self._uses and self._uses[0].at <= now - _DAY:
            self.archive.delete(_USE, self._uses.pop(0).id)
        day = [use for use in self._uses if use.owner == account.wallet_address]
        copied = sum(use.size for use in day)
        if len(day) >= limits.bindings_per_day or copied + saved.size > limits.copy_bytes_per_day:
            wait = day[0].at + _DAY - now if day else _DAY
            raise RefusedError(429, "The daily limit of saved uploads is reached", retry_after=max(1.0, wait))
        use = _Use(self.new_id(), account.wallet_address, now, saved.size)
        self._uses.append(use)
        self.archive.put(_USE, use.id, use.owner, {"at": use.at, "size": use.size})
        copy = self.store.new_path()
        await self.store.run(_copy, self.path(saved), copy)
        self.store.put(key, copy, saved.content_type)
        if self._all.get(saved.id) is saved:
            self._used(saved)

    def remove(self, account: Account, id: str) -> None:
        """Delete a file. Its copies stay."""
        self._drop(self.find(account, id))

    # Records

    def _available(self) -> UploadLimits:
        if self.limits is None:
            raise RefusedError(403, "Saved uploads are not available")
        return self.limits

    def _of(self, account: Account) -> list[Saved]:
        now = self.clock()
        for saved in [saved for saved in self._all.values() if saved.expires <= now]:
            self._drop(saved)
        return [saved for saved in self._all.values() if saved.owner == account.wallet_address]

    def find(self, account: Account, id: str) -> Saved:
        self._available()
        for saved in self._of(account):
            if saved.id == id:
                return saved
        raise RefusedError(404, f"Saved upload {id} not found", NOT_FOUND)

    def _used(self, saved: Saved) -> Saved:
        """Restart the time after which an unused file is deleted."""
        return self._keep(saved, expires=self.clock() + self._available().idle_days * _DAY)

    def _keep(self, saved: Saved, **changes: Any) -> Saved:
        saved = self._all[saved.id] = evolve(saved, **changes)
        body = {name: value for name, value in asdict(saved).items() if name not in ("id", "owner")}
        self.archive.put(_KIND, saved.id, saved.owner, body)
        return saved

    def _drop(self, saved: Saved) -> None:
        del self._all[saved.id]
        self.path(saved).unlink(missing_ok=True)
        self.archive.delete(_KIND, saved.id)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> None:
    # A link costs nothing, and neither file ever changes.
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
