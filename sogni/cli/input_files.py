"""Reading of files and standard input with a time limit.

Pipes that supervisors leave open, and named pipes, may never end. They are read on a thread, so that a time limit and
Ctrl-C end the wait. The thread reads the descriptor directly: holding the lock of `sys.stdin` at interpreter exit would
be fatal.
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
STDIN_START_SECONDS = 3.0
"""How long to wait for the first byte of optional standard input, in seconds."""

_POLL_SECONDS = 0.25
_CHUNK_SIZE = 1 << 16


def read_input(name: str, timeout: float | None = None) -> bytes:
    """Return the content of a file, or of standard input for `-`.

    Args:
        name: Path of the file.
        timeout: Time limit in seconds. Default: no limit.

    Raises:
        SogniTimeoutError: The time limit was exceeded.
        OSError: The file cannot be read.
    """
    chunks = _stdin_chunks() if name == STDIN else _file_chunks(name)
    return _read_all("standard input" if name == STDIN else name, chunks, timeout) or b""


def read_optional_stdin(timeout: float | None) -> bytes | None:
    """Return the content of standard input, or None if no data arrives within `STDIN_START_SECONDS`.

    Raises:
        SogniTimeoutError: The input did not end within `timeout` seconds.
        OSError: The input cannot be read.
    """
    return _read_all("standard input", _stdin_chunks(), timeout, STDIN_START_SECONDS)


def decode_text(content: bytes) -> str:
    """Decode UTF-8 and remove the byte order mark. Raises UnicodeDecodeError."""
    return content.decode("utf-8-sig")


def _file_chunks(name: str) -> Iterator[bytes]:
    with open(name, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_SIZE):
            yield chunk


def _stdin_chunks() -> Iterable[bytes]:
    if sys.stdin is None:
        return ()
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # in memory
        return (sys.stdin.buffer.read(),)
    return iter(lambda: os.read(descriptor, _CHUNK_SIZE), b"")


def _read_all(
    name: str, chunks: Iterable[bytes], timeout: float | None, starts_within: float | None = None
) -> bytes | None:
    """Return all chunks, or None if there is none within `starts_within` seconds."""
    seconds = check_seconds("timeout", timeout)
    deadline, start_deadline = Deadline(seconds), Deadline(starts_within)
    read: SimpleQueue[bytes | OSError] = SimpleQueue()
    threading.Thread(target=_read_chunks, args=(chunks, read), name="sogni-input", daemon=True).start()
    content = bytearray()
    while True:
        left = deadline.left()
        try:
            chunk = read.get(timeout=_POLL_SECONDS if left is None else min(_POLL_SECONDS, left))
        except Empty:
            if deadline.over:
                message = f"{name} did not end within {seconds:g} seconds"
                raise SogniTimeoutError(message, phase="total", timeout=seconds) from None
            if not content and start_deadline.over:
                return None
            continue
        if isinstance(chunk, OSError):
            raise chunk
        if not chunk:
            return bytes(content)
        content += chunk


def _read_chunks(chunks: Iterable[bytes], read: SimpleQueue[bytes | OSError]) -> None:
    try:
        for chunk in chunks:
            if chunk:
                read.put(chunk)
        read.put(b"")
    except OSError as error:
        read.put(error)
