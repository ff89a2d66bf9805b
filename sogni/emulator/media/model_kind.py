"""3D models as a kind of media: request checks, prices and files. Requests have the form of image requests."""
# Protocol notes: projects-5x §4.9.

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from sogni.emulator.fields import present
from sogni.emulator.media.image_kind import CONTEXT_SLOTS
from sogni.emulator.media.kinds import MediaKind
from sogni.emulator.media.meshes import write_model
from sogni.emulator.projects.estimates import Work
from sogni.emulator.projects.orders import Order, Product
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
