"""Media that is embedded in a notebook: downloaded files as data URIs, or saved beside the notebook if they are large.

Nothing here contains a URL of the service, because these are signed, expire, and would remain in the notebook.
"""

from __future__ import annotations

import base64
import html
import io
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import field, frozen

_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".mov": "video/mp4",  # browsers refuse video/quicktime, but play its H.264
    ".webm": "video/webm",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
}
"""Content types by file suffix, which fits the content whatever the service called it. Others are only linked."""
_THUMBNAIL_PIXELS = 512
_ICON_PIXELS = 96
_SMALL_BYTES = 48_000
"""Images of at most this size are their own thumbnails."""
_WHOLE = "max-width:100%;max-height:32em"


@frozen
class EmbeddedMedia:
    """A result or preview as a notebook shows it: at least one of `data` and `path` is set.

    Attributes:
        content_type: Type of the content; None if browsers cannot show it.
        data: The whole file, if it is small enough to be embedded.
        path: Path of the saved file, relative to the working directory, if it is too large.
        thumbnail: The image for a gallery, as a data URI.
        icon: The image for a row of a table, as a data URI.
    """

    content_type: str | None
    data: bytes | None = field(default=None, repr=False)
    path: str | None = None
    thumbnail: str | None = field(default=None, repr=False)
    icon: str | None = field(default=None, repr=False)

    @property
    def kind(self) -> str:
        """`image`, `video`, `audio`, or `file` for anything else."""
        return "file" if self.content_type is None else self.content_type.partition("/")[0]

    @property
    def source(self) -> str:
        """The value of a `src` attribute: a data URI, or a relative URL."""
        if self.data is not None:
            return data_uri(self.content_type or "application/octet-stream", self.data)
        return html.escape(quote((self.path or "").replace(os.sep, "/")), quote=True)

    def in_full(self, label: str) -> str:
        """Return HTML that shows the whole file, or the thumbnail of a saved image."""
        if self.kind == "image":
            shown = self.thumbnail if self.data is None and self.thumbnail else self.source
            return self._linked(f'<img src="{shown}" alt="{_escaped(label)}" style="{_WHOLE}">')
        return self._player(label, _WHOLE)

    def in_gallery(self, label: str, size: str) -> str:
        """Return HTML that shows an image as a thumbnail, or a player, at most as large as the CSS length `size`."""
        style = f"max-width:100%;max-height:{size}"
        if self.kind == "image":
            return self._linked(f'<img src="{self.thumbnail or self.source}" alt="{_escaped(label)}" style="{style}">')
        return self._player(label, style)

    def in_table(self, label: str) -> str:
        """Return HTML for a row of a table, which is drawn often: an icon, or a word."""
        if self.icon is None:
            return _escaped(self.kind)
        return f'<img src="{self.icon}" alt="{_escaped(label)}" style="max-width:4em;max-height:3em">'

    def _linked(self, image: str) -> str:
        return image if self.path is None else f'<a href="{self.source}">{image}</a>'

    def _player(self, label: str, style: str) -> str:
        if self.kind == "video":
            player = f'<video src="{self.source}" controls loop style="{style}"></video>'
        elif self.kind == "audio":
            player = f'<audio src="{self.source}" controls style="max-width:100%"></audio>'
        else:
            return f'<a href="{self.source}" download="{_escaped(Path(self.path or label).name)}">{_escaped(label)}</a>'
        return player if self.path is None else f'{player}<br><a href="{self.source}">{_escaped(self.path)}</a>'


def embedded(file: Path, *, limit: int, directory: str | os.PathLike[str], name: str) -> EmbeddedMedia:
    """Return a downloaded file for a notebook. One of more than `limit` bytes is moved to `directory` as `name`."""
    content_type = _TYPES.get(file.suffix.lower())
    thumbnail = icon = None
    if content_type is not None and content_type.startswith("image/"):
        # An image that is small anyway keeps its quality.
        small = file.stat().st_size <= _SMALL_BYTES
        thumbnail = data_uri(content_type, file.read_bytes()) if small else _scaled(file, _THUMBNAIL_PIXELS)
        icon = _scaled(file, _ICON_PIXELS) or thumbnail
    if file.stat().st_size <= limit:
        return EmbeddedMedia(content_type, data=file.read_bytes(), thumbnail=thumbnail, icon=icon)
    target = Path(directory) / f"{name}{file.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not from one file system to another under its final name: the file appears when it is complete.
    part = target.with_name(f".{target.name}.part")
    shutil.move(file, part)
    part.replace(target)
    return EmbeddedMedia(content_type, path=_relative(target), thumbnail=thumbnail, icon=icon)


def data_uri(content_type: str, data: bytes) -> str:
    """Return bytes as a data URI, which needs no escaping in HTML."""
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def _relative(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive of Windows
        return str(path)


def _scaled(file: Path, pixels: int) -> str | None:
    """Return a scaled image as a data URI; None without Pillow, or if it cannot read the image."""
    try:
        from PIL import Image
    except ImportError:
        return None
    content = io.BytesIO()
    try:
        with Image.open(file) as image:
            image.thumbnail((pixels, pixels))
            whole: Any = image if image.mode in ("RGB", "RGBA") else image.convert("RGBA")
            whole.save(content, "WEBP", quality=85)
    except Exception:  # whatever a decoder raises for a damaged or huge image; it is shown as it is
        return None
    return data_uri("image/webp", content.getvalue())


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
