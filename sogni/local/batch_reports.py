"""Write the report of a batch as CSV, JSON, or HTML with embedded thumbnails.

Reports contain no URLs of results, which would let every reader download them.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sogni.core.checks import invalid_value
from sogni.core.media import HEAD_SIZE, sniff
from sogni.local.files import PartFile
from sogni.models.batches import BatchItem, BatchReport
from sogni.models.converter import to_dict

_THUMBNAIL = 160
"""Longest edge of a thumbnail in pixels."""
_EMBEDDED = 64 * 1024
"""Largest image, in bytes, that is embedded unchanged if Pillow is not installed."""


def check_report(path: str | os.PathLike[str]) -> Path:
    """Return the path of a report. Raises ValidationError if its suffix names no format."""
    target = Path(path)
    if target.suffix.lower() not in _WRITERS:
        raise invalid_value("report", str(path), f"a name that ends with {', '.join(_WRITERS)}")
    return target


def write_report(path: Path, report: BatchReport) -> Path:
    """Write a report; the file appears only once it is complete. Raises OSError."""
    with PartFile(path.parent) as file:
        for part in _WRITERS[path.suffix.lower()](path, report):
            # A lone surrogate, for example in a file name that is not UTF-8, becomes an escape.
            file.write(part.encode("utf-8", "backslashreplace"))
        return file.replace(path)


def item_document(item: BatchItem) -> dict[str, Any]:
    """Return an item as JSON values."""
    return {
        "line": item.line,
        "status": item.status,
        "project": item.project_id,
        "files": [str(path) for path in item.paths],
        "cost": None if item.cost is None else f"{item.cost:f}",
        "tokenType": item.token_type,
        "error": None if item.error is None else str(item.error),
        "request": json.loads(json.dumps(to_dict(dict(item.request)), default=_shown)),
    }


def _shown(value: Any) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else f"<{type(value).__name__}>"


def _json(path: Path, report: BatchReport) -> Iterator[str]:
    summary = {
        "done": report.done,
        "failed": report.failed,
        "kept": report.kept,
        "cost": f"{report.cost:f}",
        "duration": round(report.duration, 3),
    }
    yield json.dumps(summary, indent=2)[:-2] + ',\n  "requests": ['
    for number, item in enumerate(report.items):
        yield ("," if number else "") + "\n    " + json.dumps(item_document(item), ensure_ascii=False)
    yield "\n  ]\n}\n"


_COLUMNS = ("line", "status", "type", "model", "prompt", "cost", "token", "project", "files", "error")


def _csv(path: Path, report: BatchReport) -> Iterator[str]:
    yield _csv_line(_COLUMNS)
    for item in report.items:
        shown = _cells(item)
        yield _csv_line([shown[name] for name in _COLUMNS])


def _csv_line(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_no_formula(cell) for cell in cells])
    return line.getvalue()


def _no_formula(cell: str) -> str:
    """Return a cell that spreadsheets do not run: prompts and messages may come from strangers."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _cells(item: BatchItem) -> dict[str, str]:
    return {
        "line": str(item.line),
        "status": item.status,
        "type": str(item.request.get("type", "")),
        "model": str(item.request.get("model_id", "")),
        "prompt": str(item.request.get("positive_prompt", "")),
        "cost": "" if item.cost is None else f"{item.cost:f}",
        "token": item.token_type or "",
        "project": item.project_id or "",
        "files": (" " if any(isinstance(it, str) for it in item.paths) else os.pathsep).join(map(str, item.paths)),
        "error": "" if item.error is None else str(item.error),
    }


# -- HTML

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1d2129;
  background: #fff }}
h1 {{ font-size: 1.3rem; margin: 0 0 .2rem }}
p {{ color: #59616e; margin: 0 0 1.2rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .5rem .6rem; border-bottom: 1px solid #e3e6ea }}
th {{ font-weight: 600; color: #59616e; font-size: .85rem }}
img, video {{ max-width: 160px; max-height: 160px; border-radius: 4px; display: inline-block; margin: 0 4px 4px 0 }}
audio {{ width: 220px }}
td:nth-child(4) {{ white-space: nowrap }} td:last-child {{ min-width: 21rem }}
.failed {{ color: #b3261e }} .kept {{ color: #59616e }} .done {{ color: #1b6e3c }}
.error {{ color: #b3261e; font-size: .9rem }}
small {{ color: #59616e; overflow-wrap: anywhere }}
@media (prefers-color-scheme: dark) {{
  :root {{ color-scheme: dark }}
  body {{ color: #e3e6ea; background: #16191f }} a {{ color: #8ab4f8 }} th, td {{ border-color: #343a44 }}
  p, th, small, .kept {{ color: #a8b0bc }} .done {{ color: #6fce94 }} .failed, .error {{ color: #ff9a91 }}
}}
</style></head><body>
<h1>{title}</h1>
<p>{summary}</p>
<table><thead><tr><th>Line</th><th>Request</th><th>Status</th><th>Cost</th><th>Results</th></tr></thead><tbody>
"""


def _html(path: Path, report: BatchReport) -> Iterator[str]:
    yield _HEAD.format(title=html.escape(path.stem), summary=html.escape(str(report)))
    for item in report.items:
        shown = {name: html.escape(text) for name, text in _cells(item).items()}
        error = f'<div class="error">{shown["error"]}</div>' if shown["error"] else ""
        media = "".join(_medium(file, path.parent) for file in item.paths)
        yield (
            f"<tr><td>{shown['line']}</td><td>{shown['prompt']}<br><small>{shown['type']} · {shown['model']}</small>"
            f'{error}</td><td class="{item.status}">{item.status}</td><td>{shown["cost"]} {shown["token"]}</td>'
            f"<td>{media}</td></tr>\n"
        )
    yield "</tbody></table></body></html>\n"


def _medium(file: Path | str, directory: Path) -> str:
    """Return a link to a file, with a thumbnail of an image or a player; of an object, its URL."""
    if isinstance(file, str):
        return f"<small>{html.escape(file)}</small> "
    link = html.escape(_link(file, directory), quote=True)
    name = html.escape(file.name, quote=True)
    try:
        with file.open("rb") as opened:
            kind = sniff(opened.read(HEAD_SIZE))
    except OSError:
        return f"<small>{name} (missing)</small>"
    if kind is not None and kind.startswith("video/"):
        return f'<video src="{link}" controls preload="metadata" title="{name}"></video>'
    if kind is not None and kind.startswith("audio/"):
        return f'<audio src="{link}" controls preload="none" title="{name}"></audio>'
    image = _thumbnail(file, kind) if kind is not None and kind.startswith("image/") else None
    shown = f'<img src="{image}" alt="{name}" title="{name}">' if image else name
    return f'<a href="{link}">{shown}</a>'


def _link(file: Path, directory: Path) -> str:
    try:
        return quote(os.fsencode(os.path.relpath(file, directory).replace(os.sep, "/")))
    except ValueError:  # Windows: on different drives
        return file.absolute().as_uri()


def _thumbnail(file: Path, kind: str) -> str | None:
    """Return a data URL with a small copy of an image; None if it cannot be read."""
    try:
        from PIL import Image
    except ImportError:
        data = file.read_bytes() if file.stat().st_size <= _EMBEDDED else None
        return None if data is None else _data_url(kind, data)
    try:
        with Image.open(file) as image:
            image.thumbnail((_THUMBNAIL, _THUMBNAIL))
            made = io.BytesIO()
            image.convert("RGBA" if "A" in image.getbands() else "RGB").save(made, "WEBP", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return _data_url("image/webp", made.getvalue())


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


_WRITERS: Mapping[str, Callable[[Path, BatchReport], Iterator[str]]] = {".csv": _csv, ".json": _json, ".html": _html}
