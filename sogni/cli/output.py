"""Output of commands: JSON documents, tables, paths and text on standard output, and the directory for results.

Standard output carries results only; everything else goes to standard error. Control characters from the service, its
workers and models are escaped, so that they never reach a terminal.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from sogni.cli.profiles import setting
from sogni.core.projects.file_names import DEFAULT, check_name
from sogni.display import on_terminal
from sogni.errors import SogniError
from sogni.local.storage import directory_or_storage, is_url
from sogni.models.converter import to_dict
from sogni.redaction import escape_controls

# The JSON encoder escapes those below U+0020.
_JSON_CONTROLS = re.compile("[\x7f-\x9f]")


def escape_unencodable() -> None:
    """Make the standard streams escape characters that they cannot encode, instead of losing paid results."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Print a JSON document, always in UTF-8."""
    text = json.dumps(to_dict(value), indent=2, ensure_ascii=False)
    text = _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # A lone surrogate, for example in a file name that is not UTF-8, becomes a JSON escape.
    _echo(text.encode("utf-8", "backslashreplace") + b"\n")


def print_paths(paths: Iterable[Path | str]) -> None:
    """Print paths or URLs, one per line, in exactly the bytes of the file system.

    On a terminal, control characters in them are escaped.
    """
    display = escape_controls if on_terminal(sys.stdout) else str
    for path in paths:
        _echo(os.fsencode(display(str(path))) + b"\n")


def write(text: str, *, end: str = "\n") -> None:
    """Print a string with its control characters escaped."""
    _echo(escape_controls(text) + end)


def draw(sequences: str) -> None:
    """Write control sequences that this program has made to the terminal of standard error. Errors are ignored."""
    # What was printed before must come before it.
    sys.stdout.flush()
    with suppress(OSError):
        click.echo(sequences, nl=False, err=True)


def _echo(content: str | bytes) -> None:
    with name_stdout_in_errors():
        click.echo(content, nl=False)


@contextmanager
def name_stdout_in_errors() -> Iterator[None]:
    """Set the file name of errors to "standard output"."""
    try:
        yield
    except OSError as error:
        error.filename = "standard output"
        raise


def one_line(text: str) -> str:
    """Join a string to one line and escape its control characters."""
    return escape_controls(" ".join(text.split()))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: aligned on a terminal, otherwise one line per row with tabs between the cells.

    If the terminal is too narrow to keep words whole, each row is also one line: a broken URL cannot be copied, and
    narrow columns cannot be read.
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
        # The first column is the one to copy, so it stays whole.
        table.add_column(heading, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape_controls(cell)) for cell in row))
    console.print(table)


def _fits(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Return whether a table fits with its first cells and all words whole."""
    from rich.cells import cell_len

    def needed(place: int, cell: str) -> int:
        return max(map(cell_len, [cell] if place == 0 else cell.split()), default=0)

    columns = [max(needed(place, cell) for cell in column) for place, column in enumerate(zip(*rows, strict=True))]
    return sum(columns) + 2 * (len(columns) - 1) <= width


class OutputDirectory(click.Path):
    """The path of a directory, or a storage URL, which remains a string."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, str) and is_url(value) else super().convert(value, param, ctx)


@frozen(kw_only=True)
class Target:
    """Directory or storage, and name pattern for results, and whether to replace existing files."""

    directory: Path | str
    name: str
    overwrite: bool = False


OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace existing files. Default: number the new ones.")


def saving(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for saving results to a command, which receives them as `target`."""

    @wraps(function)
    def command(*args: Any, output_dir: Path | str, name: str, overwrite: bool, **given: Any) -> Any:
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
        type=OutputDirectory(),
        default=lambda: setting("output_dir") or ".",
        show_default=False,
        metavar="DIRECTORY",
        help="Save results here, or to a URL such as s3://BUCKET/PREFIX. Default: that of the profile, else the "
        "current directory.",
    ),
    click.option(
        "--name",
        default=DEFAULT,
        show_default=True,
        metavar="PATTERN",
        help="Name files like this, without suffix; also {job_id}, {seed}.",
    ),
    OVERWRITE,
)


@contextmanager
def writing(directory: Path | str, lost: str) -> Iterator[None]:
    """Add the directory to write errors that do not name a file, and the note `lost`."""
    try:
        yield
    except SogniError as error:
        error.add_note(lost)
        raise
    except OSError as error:
        if isinstance(directory, Path):
            error.filename = error.filename or str(directory)
        error.add_note(lost)
        raise


def check_directory(directory: Path | str) -> None:
    """Raise UsageError if files cannot be written to a directory, which need not exist yet.

    Raises ValidationError or ImportError if a URL is not a storage URL.
    """
    if isinstance(directory, str):
        directory_or_storage(directory, None)
        return
    # Checked before anything is paid for. The directory is created together with the first result.
    existing = next((it for it in (directory.absolute(), *directory.absolute().parents) if it.exists()), None)
    if existing is None or not existing.is_dir():
        raise click.UsageError(f"--output-dir: {existing or directory} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise click.UsageError(f"--output-dir: {existing} is not writable")
