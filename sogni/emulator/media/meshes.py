"""3D models as GLB files: a block with the given views on its sides. Any viewer can open them."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

_DEPTH = 0.6
"""Depth of the block, in units of its longer side."""
_SIDES: Mapping[str, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    "front": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "back": ((0, 0, -1), (-1, 0, 0), (0, 1, 0)),
    # The subject's own sides: it looks at the viewer, so its left is on the viewer's right.
    "left": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "right": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "top": ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
    "bottom": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
}
"""The normal of each side, and the directions of its texture's width and height."""
_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))
_INDICES = (0, 1, 2, 0, 2, 3)
_FLOAT, _SHORT = 5126, 5123
_GLB, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942


def write_model(views: Mapping[str, Path], texture_size: int, extras: Mapping[str, Any], path: Path) -> None:
    """Write a block whose sides show the views; sides without a view show the front.

    ``views`` maps ``front`` and possibly ``left``, ``back`` and ``right`` to image files.
    """
    images = {name: _texture(file, texture_size) for name, file in views.items()}
    with Image.open(io.BytesIO(images["front"])) as front:
        longest = max(front.size)
        half = (front.width / longest / 2, front.height / longest / 2, _DEPTH / 2)
    names = list(images)
    model = _Model()
    textures = [model.view(content) for content in images.values()]
    shapes = [
        {**model.quad(side, half), "material": names.index(name) if name in names else 0}
        for name, side in _SIDES.items()
    ]
    document = {
        "asset": {"version": "2.0", "generator": "Sogni emulator", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": shapes}],
        "materials": [
            {"name": name, "pbrMetallicRoughness": {"baseColorTexture": {"index": place}, "metallicFactor": 0}}
            for place, name in enumerate(names)
        ],
        "textures": [{"source": place} for place in range(len(names))],
        "images": [{"bufferView": view, "mimeType": "image/png"} for view in textures],
        "accessors": model.accessors,
        "bufferViews": model.views,
        "buffers": [{"byteLength": len(model.data)}],
    }
    path.write_bytes(_container(json.dumps(document).encode(), bytes(model.data)))


def _texture(file: Path, size: int) -> bytes:
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    image.thumbnail((size, size))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class _Model:
    """The binary part of a file, and what describes it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes) -> int:
        """Append content and return the number of its view."""
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)})
        self.data += content + b"\0" * (-len(content) % 4)
        return len(self.views) - 1

    def quad(self, side: tuple[tuple[int, ...], ...], half: tuple[float, float, float]) -> dict[str, Any]:
        """Append one side of the block and return its primitive."""
        normal, across, up = side
        corners = [
            tuple((n + x * a + y * u) * h for n, a, u, h in zip(normal, across, up, half, strict=True))
            for x, y in _CORNERS
        ]
        attributes = {
            "POSITION": self._accessor(corners, "VEC3", bounds=True),
            "NORMAL": self._accessor([tuple(map(float, normal))] * 4, "VEC3"),
            # The first row of an image is its upper edge.
            "TEXCOORD_0": self._accessor([((x + 1) / 2, (1 - y) / 2) for x, y in _CORNERS], "VEC2"),
        }
        indices = self.view(struct.pack(f"<{len(_INDICES)}H", *_INDICES))
        self.accessors.append(
            {"bufferView": indices, "componentType": _SHORT, "count": len(_INDICES), "type": "SCALAR"}
        )
        return {"attributes": attributes, "indices": len(self.accessors) - 1}

    def _accessor(self, rows: list[tuple[float, ...]], kind: str, *, bounds: bool = False) -> int:
        flat = [number for row in rows for number in row]
        view = self.view(struct.pack(f"<{len(flat)}f", *flat))
        accessor = {"bufferView": view, "componentType": _FLOAT, "count": len(rows), "type": kind}
        if bounds:
            columns = list(zip(*rows, strict=True))
            accessor |= {"min": [min(column) for column in columns], "max": [max(column) for column in columns]}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _container(document: bytes, data: bytes) -> bytes:
    document += b" " * (-len(document) % 4)
    chunks = b"".join(
        struct.pack("<II", len(content), kind) + content for kind, content in ((_JSON, document), (_BIN, data))
    )
    return struct.pack("<III", _GLB, 2, 12 + len(chunks)) + chunks
