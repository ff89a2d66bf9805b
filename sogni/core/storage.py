"""The interface of object storage for results, and the names of objects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from attrs import frozen


class Storage(Protocol):
    """Object storage below one URL."""

    def temporary(self) -> AbstractContextManager[Path]:
        """Return a new directory that is removed at the end."""

    def put(self, file: Path, name: str, *, overwrite: bool) -> str:
        """Store a file whole and return its URL. Unless `overwrite` is set, the name gets a number if it is taken.

        Blocks. Raises OSError.
        """

    def next_number(self) -> int:
        """Return the next free number for names such as `generate_image-3.png`. Blocks. Raises OSError."""


@frozen
class StoredName:
    """The name of an object in a storage, which depends on the file suffix of its content."""

    storage: Storage
    name_for: Callable[[str], str]

    def __call__(self, suffix: str) -> str:
        return self.name_for(suffix)


Directory: TypeAlias = str | PathLike[str] | Storage


def placed(directory: Directory, stem: str) -> Callable[[str], Any]:
    """Return a function from the suffix of a file to its place in a directory or storage."""
    if isinstance(directory, str | PathLike):
        return lambda suffix: Path(directory) / (stem + suffix)
    return StoredName(directory, lambda suffix: stem + suffix)
