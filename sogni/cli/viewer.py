"""The option `--open`: saved files in the viewers of the system."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from subprocess import DEVNULL

import click

from sogni.cli.exit_codes import print_stderr

OPEN = click.option("--open", "opening", is_flag=True, help="Open the saved files in the viewers of the system.")

OPEN_SECONDS = 2.0
"""How long to wait for an opener, which may be the viewer itself and then continues."""


def open_files(paths: Iterable[Path | str]) -> None:
    """Open files in the viewers of the system. Those that cannot be opened are reported, since they are saved."""
    for path in paths:
        if not isinstance(path, Path):
            print_stderr(f"{path} cannot be opened: it is not a local file")
            continue
        try:
            _open(str(path.absolute()))
        except (OSError, subprocess.SubprocessError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            print_stderr(f"{path} cannot be opened: {why}")


def _open(path: str) -> None:
    if sys.platform == "win32":
        os.startfile(path)
        return
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    # In a session of its own, so that Ctrl-C in this terminal does not close the viewer. The key is not passed on.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SOGNI_")}
    process = subprocess.Popen(
        [opener, path], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True, env=environment
    )
    try:
        code = process.wait(OPEN_SECONDS)
    except subprocess.TimeoutExpired:
        # It is left to itself; without this, the interpreter would warn of it.
        process.returncode = 0
        return
    if code:
        raise subprocess.SubprocessError(f"{opener} failed with code {code}")
