"""Storage: uploaded and generated files, and the signed URLs that grant access to them.

All files are in one temporary directory, so that large files do not fill memory. A result is a function that writes
its file when it is first read: clients cannot tell, and projects whose results nobody reads cost nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal, TypeVar

from attrs import define, field, frozen

from sogni.emulator.persistence import Archive

T = TypeVar("T")
RESULT_LIFETIME = 24 * 3600
"""Seconds a file is kept."""
# Protocol notes: projects-4.2 §10.4.


@frozen
class Key:
    """The name of a file: project ID, result ID (empty for uploads) and role."""

    # Protocol notes: projects-4.2 §10.1.

    project_id: str
    item_id: str
    role: str

    @property
    def path(self) -> str:
        return "/".join(part for part in (self.project_id, self.item_id, self.role) if part)

    @classmethod
    def of(cls, path: str) -> Key:
        project_id, *rest = path.split("/")
        return cls(project_id, "/".join(rest[:-1]), rest[-1] if rest else "")


Producer = Callable[[Path], None]
"""Writes the file to a path in a worker thread. It is deterministic."""


@define(eq=False)
class StoredFile:
    """One file. ``path`` exists once it has been uploaded or generated."""

    path: Path
    content_type: str | None
    created: float
    produce: Producer | None = None
    making: asyncio.Future[None] | None = None
    key: Key | None = None


@define(eq=False)
class Store:
    """All files of one emulator. Its methods belong to the server's event loop."""

    executor: Executor
    clock: Callable[[], float]
    archive: Archive = field(factory=Archive)
    directory: Path = field(init=False)
    _files: dict[Key, StoredFile] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        if self.archive.directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix="sogni-emulator-"))
        else:
            self.directory = self.archive.directory / "files"
            self.directory.mkdir(exist_ok=True)
            self._restore()

    @property
    def lasting(self) -> bool:
        """Return whether finished files outlive the emulator."""
        return self.archive.persistent

    def _restore(self) -> None:
        """Load the saved files, and remove unfinished ones."""
        for project, item, role, name, content_type, created in self.archive.files():
            if _is_ours(name) and (self.directory / name).is_file():
                self._files[Key(project, item, role)] = StoredFile(self.directory / name, content_type, created)
        known = {stored.path for stored in self._files.values()}
        for path in self.directory.iterdir():
            if not _is_ours(path.name):
                continue  # not ours: the directory may contain other files
            if path not in known:
                path.unlink()
            else:
                self._count = max(self._count, int(path.name))

    def close(self) -> None:
        if not self.lasting:
            shutil.rmtree(self.directory, ignore_errors=True)

    def new_path(self) -> Path:
        """Return an unused path.

        A repeated upload gets its own path, so that results made from the first one do not change.
        """
        self._count += 1
        return self.directory / f"{self._count:08d}"

    def put(self, key: Key, path: Path, content_type: str | None) -> None:
        """Register an uploaded file."""
        self._forget_old()
        self._files[key] = StoredFile(path, content_type, self.clock())
        self._keep(key)

    def put_later(self, key: Key, produce: Producer, content_type: str) -> None:
        """Register a file that is generated when it is first read."""
        self._forget_old()
        self._files[key] = StoredFile(self.new_path(), content_type, self.clock(), produce, key=key)

    def find(self, key: Key) -> StoredFile | None:
        return self._files.get(key)

    def has(self, key: Key) -> bool:
        return key in self._files

    def drop(self, key: Key) -> None:
        """Remove a file."""
        stored = self._files.pop(key, None)
        if stored is not None:
            stored.path.unlink(missing_ok=True)
            self.archive.delete_file((key.project_id, key.item_id, key.role))

    def clear(self) -> None:
        """Remove every file."""
        for key in list(self._files):
            self.drop(key)

    def _keep(self, key: Key) -> None:
        stored = self._files[key]
        names = key.project_id, key.item_id, key.role
        self.archive.put_file(names, stored.path.name, stored.content_type, stored.created)

    async def ready(self, stored: StoredFile) -> Path:
        """Return the path of a file, generating it if necessary. Concurrent readers wait for the same work."""
        if stored.produce is None:
            return stored.path
        if stored.making is None:
            stored.making = self.run(stored.produce, stored.path)
        # Shielded: a reader that disconnects must not cancel the work of others.
        await asyncio.shield(stored.making)
        if stored.produce is not None:
            stored.produce = stored.making = None
            if stored.key is not None and self._files.get(stored.key) is stored:
                self._keep(stored.key)
        return stored.path

    async def content(self, stored: StoredFile) -> bytes:
        """Return the content of a file, generated and read in a worker thread."""
        path = await self.ready(stored)
        return await self.run(path.read_bytes)

    def run(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Run a function in a worker thread."""
        return asyncio.get_running_loop().run_in_executor(self.executor, function, *arguments)

    def _forget_old(self) -> None:
        oldest = self.clock() - RESULT_LIFETIME
        while self._files:
            key = next(iter(self._files))
            if self._files[key].created > oldest:
                return
            self.drop(key)


def _is_ours(name: str) -> bool:
    """Return whether a name could come from ``new_path``."""
    return name.isascii() and name.isdecimal() and len(name) >= 8


SIGNATURE = "X-Amz-Signature"
_ISSUER, _ISSUED, _LIFETIME, _HEADERS = "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"


class AccessDeniedError(Exception):
    """A signed URL that grants no access; ``code`` and message are those of the storage service's XML."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@define
class Signer:
    """Signs the URLs of files and checks the signatures. Lifetimes are in seconds.

    A signature covers the method, the file, the time, and the content type of an upload if it was given.
    """

    clock: Callable[[], float]
    archive: Archive = field(factory=Archive)
    _secret: str = field(init=False, repr=False)
    _issue: int = field(init=False)
    """URLs of earlier issues have expired."""

    def __attrs_post_init__(self) -> None:
        self._secret, self._issue = self.archive.fact("signer") or (secrets.token_hex(32), 1)
        self._keep()

    def _keep(self) -> None:
        self.archive.set_fact("signer", [self._secret, self._issue])

    def sign(
        self,
        verb: Literal["PUT", "GET"],
        key: Key,
        *,
        lifetime: int,
        content_type: str | None = None,
        steady: bool = False,
    ) -> dict[str, str]:
        """Return the query parameters of a signed URL; if ``steady``, they are the same for half of its lifetime."""
        now = self.clock()
        issued = now - now % (lifetime / 2) if steady else now
        query = {_ISSUER: f"local/{self._issue}", _ISSUED: str(round(issued * 1000)), _LIFETIME: str(lifetime)}
        if content_type is not None:
            query[_HEADERS] = "content-type"
        return {**query, SIGNATURE: self._signature(verb, key, query, content_type)}

    def check(self, verb: str, key: Key, query: Mapping[str, str], content_type: str | None) -> None:
        """Raise ``AccessDeniedError`` unless a URL grants access to a file."""
        given = {name: query[name] for name in (_ISSUER, _ISSUED, _LIFETIME, _HEADERS) if name in query}
        expected = self._signature(verb, key, given, content_type if _HEADERS in given else None)
        if not hmac.compare_digest(expected.encode(), query.get(SIGNATURE, "").encode(errors="replace")):
            message = "The request signature does not match the signature provided."
            raise AccessDeniedError("SignatureDoesNotMatch", message)
        ended = int(given[_ISSUED]) / 1000 + int(given[_LIFETIME]) <= self.clock()
        if ended or given[_ISSUER] != f"local/{self._issue}":
            raise AccessDeniedError("AccessDenied", "Request has expired")

    def _signature(self, verb: str, key: Key, query: Mapping[str, str], content_type: str | None) -> str:
        signed = json.dumps([verb, key.path, query, content_type]).encode()
        return hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()

    def expire_all(self) -> None:
        """Expire all issued URLs."""
        self._issue += 1
        self._keep()

    def clear(self) -> None:
        """Revoke all issued URLs."""
        self._secret = secrets.token_hex(32)
        self._keep()
