"""3D models as GLB files: a block with the given views on its sides. Any viewer can open them."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sogni.emulator.media.pictures import opened

_SIDES: Mapping[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "front": ((0, 0, 1), (1, 0, 0)),
    "back": ((0, 0, -1), (-1, 0, 0)),
    # The subject's own sides: it looks at the viewer, so its left is on the viewer's right.
    "left": ((1, 0, 0), (0, 0, -1)),
    "right": ((-1, 0, 0), (0, 0, 1)),
}
"""The normal of each side, and the direction of its texture's width."""
_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))
_FLOAT, _SHORT = 5126, 5123


def write_model(views: Mapping[str, Path], texture_size: int, extras: Mapping[str, Any], path: Path) -> None:
    """Write a block whose sides show the views; sides without a view show the front.

    ``views`` maps ``front`` and possibly ``left``, ``back`` and ``right`` to image files.
    """
    data, buffers, accessors = bytearray(), [], []

    def add(content: bytes) -> int:
        buffers.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(content)})
        data.extend(content + b"\0" * (-len(content) % 4))
        return len(buffers) - 1

    def describe(rows: list[tuple[float, ...]], component: int = _FLOAT) -> int:
        flat = [number for row in rows for number in row]
        view = add(struct.pack(f"<{len(flat)}{'f' if component == _FLOAT else 'H'}", *flat))
        accessor = {"bufferView": view, "componentType": component, "count": len(rows)}
        bounds = {"min": [min(it) for it in zip(*rows)], "max": [max(it) for it in zip(*rows)]}  # noqa: B905
        accessors.append(accessor | bounds | {"type": {1: "SCALAR", 2: "VEC2", 3: "VEC3"}[len(rows[0])]})
        return len(accessors) - 1

    names, textures = list(views), []
    for file in views.values():
        image, buffer = opened(file), io.BytesIO()
        image.thumbnail((texture_size, texture_size))
        image.save(buffer, "PNG", compress_level=1)
        textures.append(add(buffer.getvalue()))
    shapes = []
    for name, (normal, across) in _SIDES.items():
        up = (0, 1, 0)
        corners = [
            tuple((n + x * a + y * u) / 2 for n, a, u in zip(normal, across, up, strict=True)) for x, y in _CORNERS
        ]
        attributes = {
            "POSITION": describe(corners),
            "NORMAL": describe([tuple(map(float, normal))] * 4),
            # The first row of an image is its upper edge.
            "TEXCOORD_0": describe([((x + 1) / 2, (1 - y) / 2) for x, y in _CORNERS]),
        }
        indices = describe([(corner,) for corner in (0, 1, 2, 0, 2, 3)], _SHORT)
        material = names.index(name) if name in names else 0
        shapes.append({"attributes": attributes, "indices": indices, "material": material})
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
        "accessors": accessors,
        "bufferViews": buffers,
        "buffers": [{"byteLength": len(data)}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = b"".join(
        struct.pack("<I4s", len(it), kind) + it for kind, it in ((b"JSON", text), (b"BIN\0", bytes(data)))
    )
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
