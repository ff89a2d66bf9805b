"""Make the picture of `cli.md`: run commands on a pseudo-terminal, and take a picture of it with Chromium."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from html import escape
from pathlib import Path

import pyte
from PIL import Image

DOCS = Path(__file__).parent
COLUMNS, LINES = 100, 60
COMMANDS = (
    ("image", "a lighthouse at dawn", "--count", "2", "--name", "lighthouse-{index}", "--local"),
    ("models", "show", "krea2_turbo_fp8_scaled", "--local"),
    ("--profile", "work", "config", "set", "token_type", "spark"),
    ("config", "list"),
    ("chat", "What is 6 times 7?", "--local"),
)
STYLE = "margin: 0; padding: 16px; background: #1b1f27; color: #d8dee9; font: 14px/1.35 'DejaVu Sans Mono', monospace"


def main() -> None:
    """Write the picture."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            typed = " ".join(f'"{word}"' if " " in word else word for word in command)
            lines += [f"$ sogni {typed}", *screen(folder, *command)]
        page, shot = Path(folder, "page.html"), Path(folder, "page.png")
        page.write_text(
            f'<body style="{STYLE}"><pre style="font: inherit; margin: 0">{escape(chr(10).join(lines))}</pre>'
        )
        browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        size = f"--window-size=900,{32 + round(len(lines) * 14 * 1.35)}"
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={shot}"]
        subprocess.run([*command, page.as_uri()], check=True, timeout=60)
        with Image.open(shot) as image:
            image.save(DOCS / "images/terminal.webp", quality=80, method=6)


def screen(folder: str, *command: str) -> list[str]:
    """Return the lines of a terminal after a command has ended."""
    terminal = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(terminal)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    environment |= {"XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder, "XDG_STATE_HOME": folder}
    process = subprocess.Popen(
        [sys.executable, "-m", "sogni", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment,
    )
    os.close(theirs)
    with suppress(OSError):  # how Linux says that the other side has closed
        while chunk := os.read(ours, 65536):
            stream.feed(chunk)
    os.close(ours)
    process.wait()
    return "\n".join(line.rstrip() for line in terminal.display).rstrip().splitlines()


main()
