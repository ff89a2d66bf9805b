"""3D models as a kind of media: request checks, prices, and GLB files that any viewer can open.

Requests have the form of image requests. A file has a card for each given view, one behind the other.
"""
# Protocol notes: projects-5x §4.9.

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sogni.emulator.fields import present
from sogni.emulator.media.codecs import opened
from sogni.emulator.media.image_kind import CONTEXT_SLOTS
from sogni.emulator.media.kinds import MediaKind
from sogni.emulator.projects.orders import Order, Product, Work
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, Reading

MULTIVIEW = "pixal3d_multiview_int8_i23d"
VARIANTS = ("i23d-birefnet",)
MAX_MODELS = 16
_VIEWS = {"startingImage": "front", "contextImage1": "left", "contextImage2": "back", "contextImage3": "right"}
"""What each upload shows."""
_LIMITS = {
    "textureSize": (1024, 4096),
    "meshTargetFaces": (5000, 700_000),
    "normalMapSize": (512, 2048),
    "ambientOcclusionSize": (256, 1024),
    "shapeResolution": (1024, 1536),
}


class ModelKind(MediaKind):
    """Serves 3D models."""

    def check(self, reading: Reading) -> Order | None:
        frame, model = reading.frame, reading.model
        frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
        common = reading.common(formats=("glb",), max_count=MAX_MODELS)
        reading.prompts(negative=True)
        if not frame.flag("hasStartingImage"):
            frame.refuse("hasStartingImage", f"must be true for {model.id}")
        sizes = present(
            {key: frame.number(key, minimum=low, maximum=high, whole=True) for key, (low, high) in _LIMITS.items()}
        )
        views = _views(reading)
        if frame.text("templateVariant", allowed=VARIANTS) and model.id == MULTIVIEW:
            frame.refuse("templateVariant", f"is not accepted by {model.id}")
        reading.sampling(comfy=False)
        reading.receipt()
        if common is None:
            return None
        work = Work(model=model, steps=common["steps"], context_images=len(views), network=reading.network)
        return Order(**common, work=work, uploads=["startingImage", *views], options=sizes)

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        # Like broken images, they are accepted and fail on the worker.
        return None

    def result(self, order: Order, seed: int, inputs: Mapping[str, Path]) -> Product:
        views = {_VIEWS[role]: path for role, path in inputs.items()}
        sizes = dict(order.options)
        texture_size = int(sizes.pop("textureSize", _LIMITS["textureSize"][1]))
        return Product(partial(write_model, views, texture_size, sizes), order.content_type)


def _views(reading: Reading) -> list[str]:
    """Return the roles of the further views that were uploaded."""
    roles = [f"contextImage{slot}" for slot in range(1, CONTEXT_SLOTS + 1)]
    given = [role for role in roles if reading.frame.flag(f"has{role[0].upper()}{role[1:]}", required=True)]
    for role in given:
        if reading.model.id != MULTIVIEW or role not in _VIEWS:
            reading.frame.refuse(f"has{role[0].upper()}{role[1:]}", f"must be false for {reading.model.id}")
    return given


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
