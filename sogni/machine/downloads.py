"""Results as files, named by their content.

Filled by both packages. What was not finished leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ..protocol.media_types import HEAD_SIZE, extension_of, sniff
from .part_files import PartFile

PathFor = Callable[[str], Path]


class PartialFile:
    """A file being downloaded, beside its target; used as a context manager.

    The suffix of the target fits the content: `path_for` is asked with it when all is there.
    """

    def __init__(self, path_for: PathFor, *, overwrite: bool = False) -> None:
        self._path_for = path_for
        self._overwrite = overwrite
        self._head = b""
        self._part = PartFile(path_for(".part").parent)

    def __enter__(self) -> PartialFile:
        self._part.__enter__()
        return self

    def write(self, chunk: bytes) -> None:
        """Append a piece."""
        if len(self._head) < HEAD_SIZE:
            self._head += chunk[: HEAD_SIZE - len(self._head)]
        self._part.write(chunk)

    def finish(self) -> Path:
        """Put the file under its name and return that.

        Where another file has that name, the new one gets a number, unless it is to `overwrite`.
        """
        target = self._path_for(suffix_of(self._head))
        return self._part.replace(target) if self._overwrite else self._part.add(target)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part.__exit__(kind, error, trace)


def suffix_of(head: bytes) -> str:
    """The file suffix for content that begins with `head`."""
    return extension_of(sniff(head, "image") or sniff(head, "video") or sniff(head, "audio"))
