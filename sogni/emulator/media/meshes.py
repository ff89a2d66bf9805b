"""3D models as GLB files: a card for each given view, one behind the other. Any viewer can open them."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sogni.emulator.media.codecs import opened

_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))
_TRIANGLES = (0, 1, 2, 0, 2, 3)
_FLOAT, _SHORT = 5126, 5123


def write_model(views: Mapping[str, Path], texture_size: int, extras: Mapping[str, Any], path: Path) -> None:
    """Write a model; ``views`` maps ``front`` and possibly ``left``, ``back`` and ``right`` to image files."""
    data = bytearray()
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Sogni emulator", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": []}],
        **{name: [] for name in ("materials", "textures", "images", "accessors", "bufferViews")},
    }

    def add(name: str, entry: object) -> int:
        document[name].append(entry)
        return len(document[name]) - 1

    def view(content: bytes) -> int:
        place = add("bufferViews", {"buffer": 0, "byteOffset": len(data), "byteLength": len(content)})
        data.extend(content + b"\0" * (-len(content) % 4))
        return place

    def numbers(form: str, component: int, code: str, rows: list[tuple[float, ...]]) -> int:
        flat = [it for row in rows for it in row]
        columns = list(zip(*rows, strict=True))
        bounds = {"min": [min(it) for it in columns], "max": [max(it) for it in columns]}
        found = {"bufferView": view(struct.pack(f"<{len(flat)}{code}", *flat)), "componentType": component}
        return add("accessors", {**found, "count": len(rows), "type": form, **bounds})

    for depth, (name, file) in enumerate(views.items()):
        image, buffer = opened(file), io.BytesIO()
        image.thumbnail((texture_size, texture_size))
        image.save(buffer, "PNG", compress_level=1)
        source = add("images", {"bufferView": view(buffer.getvalue()), "mimeType": "image/png"})
        texture = {"baseColorTexture": {"index": add("textures", {"source": source})}, "metallicFactor": 0}
        card = {
            "attributes": {
                "POSITION": numbers("VEC3", _FLOAT, "f", [(x - 0.5, y - 0.5, -depth / 4) for x, y in _CORNERS]),
                # The first row of an image is its upper edge.
                "TEXCOORD_0": numbers("VEC2", _FLOAT, "f", [(x, 1 - y) for x, y in _CORNERS]),
            },
            "indices": numbers("SCALAR", _SHORT, "H", [(corner,) for corner in _TRIANGLES]),
            "material": add("materials", {"name": name, "doubleSided": True, "pbrMetallicRoughness": texture}),
        }
        document["meshes"][0]["primitives"].append(card)
    document["buffers"] = [{"byteLength": len(data)}]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    parts = ((b"JSON", text), (b"BIN\0", bytes(data)))
    chunks = b"".join(struct.pack("<I4s", len(content), kind) + content for kind, content in parts)
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
