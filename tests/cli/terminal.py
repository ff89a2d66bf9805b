"""A command on a pseudo-terminal, and the screen after its control sequences."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.forkserver import Process

pyte = pytest.importorskip("pyte")

Start = Callable[..., Process]


class Screen:
    """A terminal of its own for a process; all three streams are the terminal unless others are given."""

    def __init__(self, start: Start, *arguments: str, columns: int = 90, lines: int = 40, **options: Any) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._deadline = time.monotonic() + 30
        self.written = b""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        # pytest-xdist sets COLUMNS, which would outrank the terminal.
        size = {"COLUMNS": str(columns), "LINES": str(lines)}
        plain = dict.fromkeys(("TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "TMUX"), "")
        environment = {"TERM": "xterm-256color", **plain, **size, **options.pop("env_extra", {})}
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs) | options
        self.process = start(*arguments, env_extra=environment, **streams)
        os.close(theirs)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen as a person sees them, without empty ones at the end."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().splitlines()

    @property
    def everything(self) -> list[str]:
        """The lines that have left the screen at its top, then those it shows."""
        past = ["".join(line[place].data for place in range(self._screen.columns)) for line in self._screen.history.top]
        return [*(line.rstrip() for line in past), *self.lines]

    def until(self, text: str) -> None:
        """Read what the process writes until the screen shows a text."""
        while not any(text in line for line in self.lines):
            assert self._read(), f"the process ended without {text!r}: {self.lines}"

    def end(self) -> int:
        """Read the rest; returns the exit code."""
        try:
            while self._read():
                pass
        finally:
            os.close(self._ours)
        return self.process.wait(timeout=30)

    def _read(self) -> bool:
        left = self._deadline - time.monotonic()
        assert select.select([self._ours], [], [], max(0, left))[0], f"it does not end: {self.lines}"
        try:
            chunk = os.read(self._ours, 65536)
        except OSError:  # how Linux says that the other side has closed
            return False
        self.written += chunk
        self._stream.feed(chunk)
        return bool(chunk)
