"""Make `images/terminal*.webp`: run commands on a pseudo-terminal, and take pictures of it with Chromium."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from html import escape
from pathlib import Path

import pyte
from pictures import Browser, look, save, shot

COLUMNS, LINES = 96, 60
FINISHED = (
    ("image", "a lighthouse at dawn", "--count", "2", "--name", "lighthouse-{index}", "--local"),
    ("models", "show", "krea2_turbo_fp8_scaled", "--local"),
    ("estimate", "video", "--duration", "10", "--local"),
    ("chat", "What is 6 times 7?", "--local"),
)
RUNNING = ("image", "a lighthouse at dawn", "--count", "4", "--steps", "12", "--local", "--output-dir", "out")
COLORS = {
    "default": "#d8dee9", "black": "#6b7684", "red": "#ff8f87", "green": "#9fd67f", "brown": "#e6c26e",
    "blue": "#8cb8ff", "magenta": "#e0a3ff", "cyan": "#74d7e0", "white": "#ffffff",
}  # fmt: skip
STYLE = "margin: 0; padding: 16px; background: #1b1f27; color: #d8dee9; font: 14px/1.4 'DejaVu Sans Mono', monospace"


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        lines: list[str] = []
        for command in FINISHED:
            lines += [typed(command), *screen(folder, command)]
        picture(browser, lines, "terminal")
        picture(browser, [typed(RUNNING), *screen(folder, RUNNING, until=r" [45]\d%")], "terminal-progress")


def typed(command: tuple[str, ...]) -> str:
    """Return the line of a command."""
    words = " ".join(f'"{word}"' if " " in word else word for word in command)
    return f'<span style="color: {COLORS["green"]}">$</span> <b>sogni {escape(words)}</b>'


def picture(browser: Browser, lines: list[str], name: str) -> None:
    """Write `images/<name>.webp`."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        text = "\n".join(lines)
        page.write_text(
            f'<meta charset="utf-8"><body style="{STYLE}"><pre style="font: inherit; margin: 0">{text}</pre>'
        )
        look(browser, 860, 32 + round(len(lines) * 14 * 1.4), "light", 1.25)
        browser.open(page.as_uri())
        save(shot(browser), name)


def screen(folder: str, command: tuple[str, ...], until: str | None = None) -> list[str]:
    """Return the lines of a terminal as HTML, after a command has ended or once a line matches `until`."""
    terminal = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(terminal)
    ours, theirs = pty.openpty()
    # Not the folder with the configuration: Python would take its folder `sogni` for the package.
    work = Path(folder, "work")
    work.mkdir(exist_ok=True)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    environment |= {"XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder, "XDG_STATE_HOME": folder}
    process = subprocess.Popen(
        [sys.executable, "-m", "sogni", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=work,
        env=environment,
    )
    os.close(theirs)
    with suppress(OSError):  # how Linux says that the other side has closed
        while chunk := os.read(ours, 65536):
            stream.feed(chunk)
            if until and any(re.search(until, line) for line in terminal.display):
                process.kill()
                break
    os.close(ours)
    process.wait()
    number = len("\n".join(line.rstrip() for line in terminal.display).rstrip().splitlines())
    return [row(terminal, line) for line in range(number)]


def row(terminal: pyte.Screen, number: int) -> str:
    """Return a line of a terminal as HTML, with its colors."""
    shown = ""
    for column in range(COLUMNS):
        cell = terminal.buffer[number][column]
        color = COLORS.get(cell.fg.removeprefix("bright"), f"#{cell.fg}")
        weight = "bold" if cell.bold else "normal"
        shown += f'<span style="color: {color}; font-weight: {weight}">{escape(cell.data)}</span>'
    return shown


main()
