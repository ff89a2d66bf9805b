"""What goes to standard output: decides how documents, tables and paths are written.

Called by the commands. Standard output carries results only; everything else goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ..models.converter import to_dict


def print_json(value: Any) -> None:
    """Write one JSON document, in UTF-8 wherever it goes."""
    text = json.dumps(to_dict(value), indent=2, ensure_ascii=False)
    # A lone surrogate, as in a file name that is not UTF-8, becomes the escape that JSON has for it.
    click.echo(text.encode("utf-8", "backslashreplace"))


def print_paths(paths: Iterable[Path]) -> None:
    """Write paths, one a line, in exactly the bytes that the file system knows."""
    for path in paths:
        click.echo(os.fsencode(path))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: drawn on a terminal, elsewhere one line a row, its cells separated by tabs.

    A terminal that is too narrow to draw it without breaking a word gets one line a row, too: an address that is broken
    cannot be copied, and a table of narrow columns cannot be read.
    """
    if not on_terminal(sys.stdout):
        for row in rows:
            click.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not _fits([headings, *rows], console.width):
        for row in rows:
            click.echo("  ".join(filter(None, (" ".join(cell.split()) for cell in row))))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        # The first column is what people copy, so the others give way to it.
        table.add_column(heading, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _fits(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table leaves the first cells whole, and the words of the others."""
    from rich.cells import cell_len

    def needed(place: int, cell: str) -> int:
        return max(map(cell_len, [cell] if place == 0 else cell.split()), default=0)

    columns = [max(needed(place, cell) for cell in column) for place, column in enumerate(zip(*rows, strict=True))]
    return sum(columns) + 2 * (len(columns) - 1) <= width


def on_terminal(stream: Any) -> bool:
    """Whether a person reads this stream."""
    return stream is not None and not stream.closed and stream.isatty()
