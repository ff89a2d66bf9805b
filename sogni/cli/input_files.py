"""What commands read: files, and standard input within a time limit. A byte order mark is no part of either.

A pipe that nobody writes to and nobody closes, as supervisors and other programs leave behind, never ends, and neither
does a named pipe. Both are read on a thread, so that a time limit and Ctrl-C end the wait. The thread reads the
descriptor itself: a lock of `sys.stdin` that it held would be fatal when the interpreter ends.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue

from sogni.errors import SogniTimeoutError
from sogni.settings import check_seconds
from sogni.transport.waiting import Deadline

STDIN = "-"
BEGINS_WITHIN = 3.0
"""Seconds for standard input to begin where a command can do without it."""

_TURN = 0.25
_PIECE = 1 << 16


def read_input(name: str, timeout: float | None = None) -> bytes:
    """The content of a file, `-` for standard input. Raises SogniTimeoutError and OSError."""
    pieces = _pieces_of_stdin() if name == STDIN else _pieces_of_file(name)
    return _collected("standard input" if name == STDIN else name, pieces, timeout) or b""


def read_optional_stdin(timeout: float | None) -> bytes | None:
    """The content of standard input; None if it has not begun soon. Raises SogniTimeoutError and OSError."""
    return _collected("standard input", _pieces_of_stdin(), timeout, BEGINS_WITHIN)


def text_of(content: bytes) -> str:
    """The string in UTF-8 that was read. Raises UnicodeDecodeError."""
    return content.decode("utf-8-sig")


def _pieces_of_file(name: str) -> Iterator[bytes]:
    with open(name, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            yield piece


def _pieces_of_stdin() -> Iterable[bytes]:
    if sys.stdin is None:
        return ()
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # in memory
        return (sys.stdin.buffer.read(),)
    return iter(lambda: os.read(descriptor, _PIECE), b"")


def _collected(
    what: str, pieces: Iterable[bytes], timeout: float | None, begins_within: float | None = None
) -> bytes | None:
    """All pieces; None if there is none within `begins_within` seconds."""
    seconds = check_seconds("timeout", timeout)
    deadline, beginning = Deadline(seconds), Deadline(begins_within)
    read: SimpleQueue[bytes | OSError] = SimpleQueue()
    threading.Thread(target=_pump, args=(pieces, read), name="sogni-input", daemon=True).start()
    content = bytearray()
    while True:
        left = deadline.left()
        try:
            piece = read.get(timeout=_TURN if left is None else min(_TURN, left))
        except Empty:
            if deadline.over:
                words = f"{what} did not end within {seconds:g} seconds"
                raise SogniTimeoutError(words, phase="total", timeout=seconds) from None
            if not content and beginning.over:
                return None
            continue
        if isinstance(piece, OSError):
            raise piece
        if not piece:
            return bytes(content)
        content += piece


def _pump(pieces: Iterable[bytes], read: SimpleQueue[bytes | OSError]) -> None:
    try:
        for piece in pieces:
            if piece:
                read.put(piece)
        read.put(b"")
    except OSError as error:
        read.put(error)
