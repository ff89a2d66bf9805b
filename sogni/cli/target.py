"""Where results go: decides `--output-dir` and `--name`, and whether files can be written there.

Used by every command that saves results. Nothing is made before there is a result; what would fail then
is refused before anything is paid for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from ..errors import SogniError
from ..protocol.file_names import DEFAULT, check_name


@frozen(kw_only=True)
class Target:
    """A directory, a pattern for the names in it, and whether files that are there are replaced."""

    directory: Path
    name: str
    overwrite: bool = False


OVERWRITING = click.option(
    "--overwrite", is_flag=True, help="Replace files that are there; by default new ones get a number."
)


def saving(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this module; it gets them as `target`."""

    @wraps(function)
    def command(*args: Any, output_dir: Path, name: str, overwrite: bool, **given: Any) -> Any:
        check_directory(output_dir)
        target = Target(directory=output_dir, name=check_name(name), overwrite=overwrite)
        return function(*args, target=target, **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "-o",
        "--output-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        metavar="DIRECTORY",
        help="Where to save; the current directory by default.",
    ),
    click.option(
        "--name",
        default=DEFAULT,
        show_default=True,
        metavar="PATTERN",
        help="File names without suffix; also {job_id}, {seed}.",
    ),
    OVERWRITING,
)


@contextmanager
def writing(directory: Path, lost: str) -> Iterator[None]:
    """Say of what cannot be written where that was, and what is `lost` by it."""
    try:
        yield
    except SogniError as error:
        error.add_note(lost)
        raise
    except OSError as error:
        error.filename = error.filename or str(directory)
        error.add_note(lost)
        raise


def check_directory(directory: Path) -> None:
    """UsageError when no file could be written to a directory, which need not exist yet."""
    existing = next((it for it in (directory.absolute(), *directory.absolute().parents) if it.exists()), None)
    if existing is None or not existing.is_dir():
        raise click.UsageError(f"--output-dir: {existing or directory} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise click.UsageError(f"--output-dir: {existing} is not writable")
