"""3D models as a kind of media: request checks, prices and files. Requests have the form of image requests."""
# Protocol notes: projects-5x §4.9.

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from attrs import frozen

from sogni.emulator.fields import present
from sogni.emulator.media.image_kind import CONTEXT_SLOTS, ImageKind
from sogni.emulator.media.meshes import write_model
from sogni.emulator.projects.estimates import Work
from sogni.emulator.projects.orders import ModelOrder, Product
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, Reading

MULTIVIEW = "pixal3d_multiview_int8_i23d"
VARIANTS = ("i23d-birefnet",)
MAX_MODELS = 16
_SIDES = {1: "left", 2: "back", 3: "right"}
"""What each further view shows."""
_LIMITS = {
    "textureSize": (1024, 4096),
    "meshTargetFaces": (5000, 700_000),
    "normalMapSize": (512, 2048),
    "ambientOcclusionSize": (256, 1024),
    "shapeResolution": (1024, 1536),
}


@frozen
class ModelKind(ImageKind):
    """Serves 3D models."""

    def check(self, reading: Reading) -> ModelOrder | None:  # type: ignore[override]
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
        texture_size = int(sizes.pop("textureSize", None) or _LIMITS["textureSize"][1])
        return ModelOrder(**common, views=views, texture_size=texture_size, sizes=sizes)

    def uploads(self, order: ModelOrder) -> list[str]:  # type: ignore[override]
        return ["startingImage", *(f"contextImage{slot}" for slot in order.views)]

    def work(self, order: ModelOrder) -> Work:  # type: ignore[override]
        return Work(model=order.model, steps=order.steps, context_images=len(order.views), network=order.network)

    def result(self, order: ModelOrder, seed: int, inputs: Mapping[str, Path]) -> Product:  # type: ignore[override]
        views = {"front": inputs["startingImage"]}
        views |= {_SIDES[slot]: inputs[f"contextImage{slot}"] for slot in order.views}
        return Product(partial(write_model, views, order.texture_size, order.sizes), order.content_type)


def _views(reading: Reading) -> tuple[int, ...]:
    """Read which further views were uploaded."""
    frame, model = reading.frame, reading.model
    flags = {slot: frame.flag(f"hasContextImage{slot}", required=True) for slot in range(1, CONTEXT_SLOTS + 1)}
    for slot, given in flags.items():
        if given and (model.id != MULTIVIEW or slot not in _SIDES):
            frame.refuse(f"hasContextImage{slot}", f"must be false for {model.id}")
    return tuple(slot for slot in _SIDES if flags[slot] and model.id == MULTIVIEW)
