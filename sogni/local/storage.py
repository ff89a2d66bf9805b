"""Save results to fsspec URLs, such as ``s3://bucket/prefix``.

An object appears completely or not at all. Object stores receive it in a single request, or complete a multipart upload
with one. On file systems, it is written under a temporary name, then renamed.

fsspec is imported when a URL is given, by the calling thread: if a background thread imported it, a process forked at
that time would see a partial module.
"""

from __future__ import annotations

import inspect
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import ENOSYS
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

from attrs import frozen

from sogni.core.checks import invalid_value
from sogni.core.projects.file_names import exact_path
from sogni.core.storage import Directory, StoredName
from sogni.local.files import next_number as next_file_number
from sogni.local.files import number_after, numbered
from sogni.redaction import redact, secret, secret_url

T = TypeVar("T")

MISSING = "saving to a URL needs fsspec, which is not installed: pip install 'sogni[fsspec]'"

# With two letters or more: `C://pictures` is a path.
# Also a chain such as `zip://a.zip::s3://…`, which is refused.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+(?:::[A-Za-z0-9+.-]+)*)://(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://[^/]*:[^/]*@")
_LOCAL = frozenset({"file", "local"})
_READ_ONLY = frozenset({"data", "http", "https"})
_OBJECT_STORES = frozenset({"abfs", "abfss", "az", "gcs", "gs", "s3", "s3a"})
"""Protocols whose uploads are atomic."""
_SHOWN_OPTIONS = frozenset({"endpoint", "endpoint_url", "region", "region_name"})
_ERRORS = (FileNotFoundError, PermissionError, TimeoutError, ConnectionError)
_CHUNK = 1 << 20


class StorageOptions(dict[str, Any]):
    """Options of a file system, which may be secrets: only their names are shown."""

    def __repr__(self) -> str:
        return f"<storage options: {', '.join(map(str, self)) or 'none'}>"

    def secrets(self) -> Iterator[str]:
        """Return the strings among the values."""
        return _strings(self)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _SHOWN_OPTIONS:
                yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def hidden(place: T, options: Any) -> tuple[T, Any]:
    """Return a path or URL, and storage options, with a repr that hides passwords. Invalid ones are unchanged."""
    return secret_url(place), StorageOptions(options) if isinstance(options, Mapping) else secret(options)


def is_url(text: str) -> bool:
    """Return whether a string is a URL rather than a path."""
    return _URL.fullmatch(text) is not None


def batch_directory(directory: str | os.PathLike[str], journal: object) -> Path | str:
    """Return where a batch saves: a directory, also that of a ``file://`` URL, or another URL, if a journal is given.

    Raises ValidationError for an invalid URL or one without a journal, and ImportError without fsspec or what it needs.
    """
    url = _matched("directory", directory)
    if url is None:
        return Path(directory)
    if url[1].lower() in _LOCAL:
        return _local_path("directory", url[0])
    if journal is None:
        allowed = "a directory, because the journal of a batch is a local file; pass a journal to save to a URL"
        raise invalid_value("directory", url[0], allowed)
    _opened("directory", directory, None)
    return url[0]


def directory_or_storage(directory: str | os.PathLike[str], options: Any) -> Directory:
    """Return the directory itself, that of a ``file://`` URL, or the storage of another URL.

    Raises ValidationError for a URL or options that are invalid, and ImportError without fsspec or what it needs.
    """
    return _opened("directory", directory, options)


def next_number(directory: Directory) -> int:
    """Return the next free number for names such as `generate_image-3.png`, starting at 0. Raises OSError."""
    if isinstance(directory, str | os.PathLike):
        return next_file_number(directory)
    return directory.next_number()


def path_or_object(path: str | os.PathLike[str], options: Any) -> Callable[[str], Any]:
    """Return where the object of a URL or the file of a path is saved, as `exact_path` does.

    Raises as `directory_or_storage` does.
    """
    url = _matched("path", path)
    if url is None or url[1].lower() in _LOCAL:
        local = _opened("path", path, options)
        assert isinstance(local, str | os.PathLike)
        return exact_path(local)
    parent, slash, name = url[2].rpartition("/")
    if name in ("", ".", "..") or not (slash or url[1].lower() == "memory"):
        raise invalid_value("path", redact(url[0]), "the URL of an object")
    storage = _opened("path", f"{url[1]}://{parent}", options)
    assert isinstance(storage, UrlStorage)
    return StoredName(storage, lambda suffix: name if PurePosixPath(name).suffix else name + suffix)


def _opened(name: str, given: str | os.PathLike[str], options: Any) -> Directory:
    if options is not None and not isinstance(options, StorageOptions):
        raise invalid_value("storage_options", type(options).__name__, "a mapping of names to values")
    url = _matched(name, given)
    protocol = "" if url is None else url[1].lower()
    if url is None or protocol in _LOCAL:
        if options is not None:
            raise invalid_value(name, given, "a URL such as s3://bucket/prefix if storage_options are given")
        return given if url is None else _local_path(name, url[0])
    if "?" in url[2] or "::" in url[0] or "\0" in url[0]:
        raise invalid_value(name, redact(url[0]), "one URL without a query")
    if not url[2].strip("/") and protocol != "memory":
        raise invalid_value(name, url[0], "a URL with a bucket or host")
    _check_protocol(name, protocol, url[0])
    return UrlStorage(f"{protocol}://{url[2].rstrip('/')}", protocol, options or StorageOptions())


def _matched(name: str, given: str | os.PathLike[str]) -> re.Match[str] | None:
    """Return the parts of a URL, None for a path. Raises ValidationError for other types, or a password in the URL."""
    if not isinstance(given, str):
        if not isinstance(given, os.PathLike):
            what = type(given).__name__
            raise invalid_value(
                name,
                what,
                "a path or URL",
                f"{name} must be a path or URL, got {what}; for the bytes of a result, "
                "use get_result_data() or open() of its job",
            )
        return None
    if _PASSWORD.match(given):
        raise invalid_value(name, redact(given), "a URL without a password, which storage_options take")
    return _URL.fullmatch(given)


def _local_path(name: str, url: str) -> Path:
    try:
        parts = urlsplit(url)
        path = url2pathname(parts.path)
    except ValueError:
        path = ""
    if not Path(path).is_absolute() or parts.netloc not in ("", "localhost"):
        raise invalid_value(name, url, "a file URL with an absolute path, such as file:///home/ada/pictures")
    return Path(path)


def _check_protocol(name: str, protocol: str, url: str) -> None:
    fsspec = _fsspec()
    if protocol in _READ_ONLY or protocol not in fsspec.available_protocols():
        raise invalid_value(name, url, "a URL whose protocol fsspec can write, such as s3, gs or memory")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        message = f"saving to {protocol}:// URLs needs a library beside sogni[fsspec]: {error}"
        raise ImportError(message, name=error.name) from None


def _fsspec() -> ModuleType:
    try:
        import fsspec
    except ImportError:
        raise ImportError(MISSING, name="fsspec") from None
    module: ModuleType = fsspec
    return module


@frozen
class UrlStorage:
    """The objects below one URL."""

    url: str
    """Without a password, and without a slash at the end."""
    protocol: str
    options: StorageOptions

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Return a new directory that is removed at the end."""
        with tempfile.TemporaryDirectory(prefix="sogni-", ignore_cleanup_errors=True) as directory:
            yield Path(directory)

    def put(self, file: Path, name: str, *, overwrite: bool) -> str:
        """Store a file whole and return its URL; unless `overwrite` is set, with a number if its name is taken.

        If an existing object has the same content, its URL is returned. Raises OSError.
        """
        return self._do(f"save to {self._url_of(name)}", lambda fs, base: self._put(fs, base, file, name, overwrite))

    def next_number(self) -> int:
        """Return the next free number for names of files. Raises OSError."""
        return self._do(f"list {self.url}", self._next_number)

    def _next_number(self, fs: Any, base: str) -> int:
        fs.invalidate_cache(base)
        try:
            return number_after(path.rstrip("/").rpartition("/")[2] for path in fs.ls(base, detail=False))
        except (FileNotFoundError, PermissionError):  # those who may write need not be allowed to list
            return 0

    def _url_of(self, name: str) -> str:
        return f"{self.url}{name}" if self.url.endswith("://") else f"{self.url}/{name}"

    def _do(self, what: str, function: Callable[[Any, str], T]) -> T:
        """Call a function with the file system and the path of the URL.

        Errors of file systems may contain credentials, and so may the locals of their frames. They are replaced.
        """
        try:
            fs, base = _fsspec().core.url_to_fs(self.url, **self.options)
            return function(fs, base.rstrip("/"))
        except Exception as error:
            kind = next((it for it in _ERRORS if isinstance(error, it)), OSError)
            cause = redact(str(error), self.options.secrets()) or type(error).__name__
        raise kind(f"cannot {what}: {cause}")

    def _put(self, fs: Any, base: str, file: Path, name: str, overwrite: bool) -> str:
        for candidate in numbered(PurePosixPath(name)):
            path = f"{base}/{candidate}"
            if overwrite or not self._is_taken(fs, path):
                try:
                    self._write(fs, file, path, create=not overwrite)
                except OSError as error:
                    # Perhaps somebody else has just created it; how that is reported differs.
                    if overwrite or not (_is_conflict(error) or self._is_taken(fs, path)):
                        raise
                else:
                    return self._url_of(str(candidate))
            if _is_same(fs, path, file):
                return self._url_of(str(candidate))
        raise AssertionError("there is always another number")  # pragma: no cover

    def _is_taken(self, fs: Any, path: str) -> bool:
        fs.invalidate_cache(path)  # file systems are shared and remember their listings
        try:
            return bool(fs.exists(path))
        except PermissionError:
            # Those who may write need not be allowed to read; a store of objects refuses to replace one anyway.
            if self.protocol in _OBJECT_STORES:
                return False
            raise

    def _write(self, fs: Any, file: Path, path: str, *, create: bool) -> None:
        if self.protocol not in _OBJECT_STORES:
            _write_and_rename(fs, file, path)
            return
        accepted = inspect.signature(getattr(fs, "_put_file", fs.put_file)).parameters
        if create and "mode" in accepted:
            try:
                fs.put_file(str(file), path, mode="create")
            except OSError as error:
                if error.errno != ENOSYS:
                    raise
            else:
                return
        # Without conditional writes, somebody else may create the object after the check.
        fs.put_file(str(file), path, **({"overwrite": not create} if "overwrite" in accepted else {}))


def _is_conflict(error: OSError) -> bool:
    """Return whether a conditional write failed because the object exists."""
    if isinstance(error, FileExistsError):
        return True
    response = getattr(error.__cause__, "response", None)  # of botocore
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code in ("PreconditionFailed", "ConditionalRequestConflict")


def _write_and_rename(fs: Any, file: Path, path: str) -> None:
    directory = path.rpartition("/")[0]
    part = f"{directory}/.{uuid4().hex}.part"
    if directory:
        fs.makedirs(directory, exist_ok=True)
    try:
        fs.put_file(str(file), part)
        fs.mv(part, path)
    except BaseException:
        with suppress(Exception):
            fs.rm_file(part)
        raise


def _is_same(fs: Any, path: str, file: Path) -> bool:
    """Return whether an object has the content of a file."""
    try:
        if fs.info(path)["size"] != file.stat().st_size:
            return False
        with fs.open(path, "rb") as theirs, file.open("rb") as ours:
            while chunk := ours.read(_CHUNK):
                if chunk != theirs.read(len(chunk)):
                    return False
        return True
    except OSError:
        return False
