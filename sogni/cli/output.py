"""Standard output: how documents, tables, paths and strings are written.

Called by the commands. Standard output carries results only; everything else goes to standard error. Control characters
from the service, its workers and models never reach a terminal: they are written as escapes.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from sogni.core.projects.file_names import DEFAULT, check_name
from sogni.errors import SogniError
from sogni.models.converter import to_dict
from sogni.redaction import escape_controls

# JSON escapes those below U+0020 itself.
_JSON_CONTROLS = re.compile("[\x7f-\x9f]")


def escape_what_the_encoding_lacks() -> None:
    """Let the standard streams write characters that their encoding lacks as escapes; an answer has been paid for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Write one JSON document, in UTF-8 wherever it goes."""
    text = json.dumps(to_dict(value), indent=2, ensure_ascii=False)
    text = _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # A lone surrogate, as in a file name that is not UTF-8, becomes the escape that JSON has for it.
    _echo(text.encode("utf-8", "backslashreplace") + b"\n")


def print_paths(paths: Iterable[Path]) -> None:
    """Write paths, one a line, in exactly the bytes that the file system knows.

    On a terminal, control characters in them are written as escapes.
    """
    shown = escape_controls if on_terminal(sys.stdout) else str
    for path in paths:
        _echo(os.fsencode(shown(str(path))) + b"\n")


def write(text: str, *, end: str = "\n") -> None:
    """Write a string, with its control characters as escapes."""
    _echo(escape_controls(text) + end)


def _echo(content: str | bytes) -> None:
    with naming_stdout():
        click.echo(content, nl=False)


@contextmanager
def naming_stdout() -> Iterator[None]:
    """Name standard output in what went wrong with it."""
    try:
        yield
    except OSError as error:
        error.filename = "standard output"
        raise


def one_line(text: str) -> str:
    """A string on one line, with its control characters as escapes."""
    return escape_controls(" ".join(text.split()))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: drawn on a terminal, elsewhere one line a row, its cells separated by tabs.

    A terminal that is too narrow to draw it without breaking a word gets one line a row, too: an address that is broken
    cannot be copied, and a table of narrow columns cannot be read.
    """
    if not on_terminal(sys.stdout):
        for row in rows:
            write("\t".join(map(one_line, row)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not _fits([headings, *rows], console.width):
        for row in rows:
            write("  ".join(filter(None, map(one_line, row))))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        # The first column is what people copy, so the others give way to it.
        table.add_column(heading, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape_controls(cell)) for cell in row))
    console.print(table)


def _fits(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table leaves the first cells whole, and the words of the others."""
    from rich.cells import cell_len

    def needed(place: int, cell: str) -> int:
        return max(map(cell_len, [cell] if place == 0 else cell.split()), default=0)

    columns = [max(needed(place, cell) for cell in column) for place, column in enumerate(zip(*rows, strict=True))]
    return sum(columns) + 2 * (len(columns) - 1) <= width


def on_terminal(stream: Any) -> bool:
    """Whether a person reads this stream; whatever replaces a standard stream may lack its methods."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # None, or closed
        return False


# Where results go: decides `--output-dir` and `--name`, and whether files can be written there.
#
# Used by every command that saves results. Nothing is made before there is a result; what would fail then
# is refused before anything is paid for.


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
