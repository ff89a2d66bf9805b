"""Previews of saved images, in terminals that announce support for images.

Two protocols are known: that of kitty, which Ghostty has adopted, and that of iTerm2, which WezTerm has adopted.
The terminal is not queried, because its reply could be mistaken for typed text.
"""

from __future__ import annotations

import io
import os
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from sogni.cli.exit_codes import is_quiet
from sogni.cli.output import draw
from sogni.display import on_terminal

Protocol = Literal["kitty", "iterm2"]

LINES = 12
"""Height of a preview, in lines of the terminal."""
PIXELS = 512
"""Longest side of the image that is sent to the terminal."""
MAX_BYTES = 4 * 1024 * 1024
"""Largest file that is sent unchanged if Pillow is not installed to scale it down."""
_CHUNK = 4096
"""Maximum number of data characters in one sequence of kitty's protocol."""
_PNG = b"\x89PNG\r\n\x1a\n"


def protocol_of(environ: Mapping[str, str]) -> Protocol | None:
    """Return the protocol that a terminal announces; None if there is none, also in tmux and screen."""
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if environ.get("TMUX") or term.startswith(("screen", "tmux", "dumb")):
        return None
    if environ.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return None


def show_previews(paths: Iterable[Path | str]) -> None:
    """Draw images on standard error; nothing for other files, with `--quiet`, and on other terminals."""
    protocol = protocol_of(os.environ)
    if protocol is None or is_quiet() or not (on_terminal(sys.stderr) and on_terminal(sys.stdout)):
        return
    for path in paths:
        content = _thumbnail(path) if isinstance(path, Path) else None
        if content is not None:
            draw("".join(_kitty(content)) if protocol == "kitty" else _iterm2(content))


def _thumbnail(path: Path) -> bytes | None:
    """Return a small PNG image of a file; None if it is not an image that can be read."""
    try:
        from PIL import Image
    except ImportError:
        return _small_png(path)
    made = io.BytesIO()
    try:
        with Image.open(path) as image:
            image.thumbnail((PIXELS, PIXELS))
            image.convert("RGBA").save(made, "PNG")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return made.getvalue()


def _small_png(path: Path) -> bytes | None:
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(_PNG) else None


def _kitty(content: bytes) -> Iterator[str]:
    text = b64encode(content).decode()
    # q=2: the terminal must not answer, since its answer would be read as typed text.
    keys = f"a=T,f=100,r={LINES},q=2,"
    for start in range(0, len(text), _CHUNK):
        more = int(start + _CHUNK < len(text))
        yield f"\x1b_G{keys}m={more};{text[start : start + _CHUNK]}\x1b\\"
        keys = ""
    yield "\n"


def _iterm2(content: bytes) -> str:
    keys = f"inline=1;size={len(content)};height={LINES};preserveAspectRatio=1"
    return f"\x1b]1337;File={keys}:{b64encode(content).decode()}\x07\n"
