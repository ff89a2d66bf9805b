"""Access to files: the folders that a server may read from and save to, and the files named in calls.

Nothing outside of those folders is opened, whatever `..` or symbolic links a path contains.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO
from urllib.parse import unquote, unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from sogni.errors import ValidationError

MAX_DATA_BYTES = 20 * 1024 * 1024
"""Largest file in a data: URI."""
MAX_PATH = 4096
"""Maximum length of a path, which errors quote."""
_DATA = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*(?P<base64>;base64)?,", re.ASCII)


class Roots:
    """Folders that may be read from and saved to. Relative paths start in the first one.

    Args:
        folders: The folders, without links. Those that do not exist, or that a link has replaced, are ignored.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders: list[Path] = [it for it in dict.fromkeys(folders) if it.is_dir() and not is_replaced(it)]

    def open(self, given: str, field: str) -> BinaryIO:
        """Open a file for reading.

        Args:
            given: A path, or a file: URI.
            field: Name of the argument, for errors.

        Raises:
            ValidationError: The file does not exist, is not a regular file, or is outside of the folders.
        """
        path = self._inside(given, field)
        try:
            # A pipe would block until another program writes to it.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        except OSError as error:
            raise ValidationError(f"{field}: cannot open {given}: {error.strerror}", field=field, value=given) from None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ValidationError(f"{field} must be a file, got {given}", field=field, value=given)
            # A folder of the path may have become a link after it was resolved.
            if not os.path.samestat(found, os.stat(self._inside(given, field))):
                raise ValidationError(f"{field}: {given} has changed", field=field, value=given)
            return os.fdopen(descriptor, "rb")
        except OSError as error:
            os.close(descriptor)
            raise ValidationError(f"{field}: cannot open {given}: {error.strerror}", field=field, value=given) from None
        except BaseException:
            os.close(descriptor)
            raise

    def folder(self, given: str, field: str) -> Path:
        """Create a folder to save to, if necessary, and return its path.

        Raises:
            ValidationError: The folder is outside of the allowed folders, or cannot be created.
        """
        path = self._inside(given, field)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValidationError(
                f"{field}: cannot create {given}: {error.strerror}", field=field, value=given
            ) from None
        return self._inside(str(path), field)

    def _inside(self, given: str, field: str) -> Path:
        path = _path_of(given, field)
        if not self.folders:
            raise ValidationError(
                f"{field}: files cannot be used, because no folder is allowed: start the server with --root FOLDER",
                field=field,
                value=given,
            )
        if names_other_host(path, self.folders):
            raise ValidationError(f"{field} must be a file of this computer, got {given}", field=field, value=given)
        # Links are resolved as far as the path exists; nothing below that can be one.
        resolved = Path(os.path.realpath(self.folders[0] / path))
        if not any(resolved.is_relative_to(folder) for folder in self.folders):
            allowed = ", ".join(map(str, self.folders))
            raise ValidationError(
                f"{field} must be inside of an allowed folder ({allowed}), got {given}", field=field, value=given
            )
        return resolved


def is_replaced(folder: Path) -> bool:
    """Whether a folder, whose links had been resolved, is now reached by a link."""
    return os.path.realpath(folder) != str(folder)


def names_other_host(path: PurePath, folders: Iterable[PurePath]) -> bool:
    """Whether a path of Windows names a network share or a device that none of the folders is on.

    Merely resolving such a path sends the credentials of the user to the host.
    """
    return path.drive.startswith("\\\\") and path.drive.lower() not in {it.drive.lower() for it in folders}


def folders_of_uris(uris: Iterable[str]) -> list[Path]:
    """Return the folders of file: URIs; others are ignored."""
    found = []
    for uri in uris:
        try:
            parts = urlsplit(uri)
        except ValueError:
            continue
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and "\0" not in unquote(parts.path):
            path = Path(url2pathname(parts.path))
            if path.is_absolute():
                found.append(path)
    return found


def _path_of(given: str, field: str) -> Path:
    if len(given) > MAX_PATH:
        raise ValidationError(f"{field} must have at most {MAX_PATH:,} characters as a path", field=field)
    if "\0" in given:
        raise ValidationError(f"{field} must not contain a zero byte", field=field)
    if given.startswith("file:"):
        paths = folders_of_uris([given])
        if not paths:
            raise ValidationError(f"{field} must be a file: URI of this computer, got {given}", field=field)
        return paths[0]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", given):  # two characters and more: C: is a drive
        scheme = given.partition(":")[0]
        raise ValidationError(
            f"{field} must be a path, a sogni: URI or a data: URI, got a URI with {scheme}:; save the file to an "
            "allowed folder first",
            field=field,
        )
    return Path(os.path.expanduser(given))


def data_of(uri: str, field: str) -> BinaryIO:
    """Return the content of a data: URI.

    Raises:
        ValidationError: It is malformed, empty or too large.
    """
    head = _DATA.match(uri)
    if head is None:
        raise ValidationError(f"{field} must be a data: URI such as data:image/png;base64,…", field=field)
    text = uri[head.end() :]
    if len(text) > MAX_DATA_BYTES * 4 // 3 + 4:
        limit = MAX_DATA_BYTES // 1024**2
        raise ValidationError(f"{field} must be at most {limit} MiB as a data: URI; use a file instead", field=field)
    try:
        content = base64.b64decode(unquote(text), validate=True) if head["base64"] else unquote_to_bytes(text)
    except (binascii.Error, ValueError):
        raise ValidationError(f"{field} must be valid base64", field=field) from None
    if not content:
        raise ValidationError(f"{field} must not be empty", field=field)
    return BytesIO(content)
