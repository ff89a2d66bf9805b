"""3D models as a kind of media: request checks, prices and files. Requests have the form of image requests."""
# Protocol notes: projects-5x §4.9.

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from sogni.emulator.catalogue.models import Catalogue, Model
from sogni.emulator.fields import Fields
from sogni.emulator.media.image_kind import CONTEXT_SLOTS
from sogni.emulator.media.meshes import write_model
from sogni.emulator.media.pictures import unreadable
from sogni.emulator.projects.estimates import ImageWork, Quote, quote
from sogni.emulator.projects.orders import ModelOrder, Network, Product
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, amounts, common_values, receipt, sampling

MULTIVIEW = "pixal3d_multiview_int8_i23d"
VARIANTS = ("i23d-birefnet",)
CONTENT_TYPE = "model/gltf-binary"
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
class ModelKind:
    """Serves 3D models."""

    catalogue: Catalogue

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> ModelOrder | None:
        """Read a request; return None if required values are missing."""
        frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
        read = amounts(request, frame, model, self.catalogue, formats=("glb",), max_count=MAX_MODELS)
        for key in ("positivePrompt", "negativePrompt", "stylePrompt"):
            frame.text(key, required=key == "stylePrompt")
        if not frame.flag("hasStartingImage"):
            frame.refuse("hasStartingImage", f"must be true for {model.id}")
        given = {key: frame.number(key, minimum=low, maximum=high, whole=True) for key, (low, high) in _LIMITS.items()}
        sizes = {key: value for key, value in given.items() if value is not None}
        views = _views(frame, model)
        if frame.text("templateVariant", allowed=VARIANTS) and model.id == MULTIVIEW:
            frame.refuse("templateVariant", f"is not accepted by {model.id}")
        sampling(frame, model, self.catalogue, comfy=False)
        receipt(frame)
        if read is None:
            return None
        return ModelOrder(
            **common_values(request, model, "model", network, read),
            output_format=read.output_format,
            performed_steps=read.steps,
            views=views,
            texture_size=int(sizes.pop("textureSize", None) or _LIMITS["textureSize"][1]),
            sizes=sizes,
        )

    def uploads(self, order: ModelOrder) -> list[str]:
        return ["startingImage", *(f"contextImage{slot}" for slot in order.views)]

    def quote(self, order: ModelOrder) -> Quote:
        work = ImageWork(
            model=order.model,
            count=order.count,
            steps=order.steps,
            context_images=len(order.views),
            network=order.network,
        )
        return quote(work)

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        return None

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        problems = ((role, unreadable(path)) for role, path in inputs.items())
        return next((f"{role}: {problem}" for role, problem in problems if problem), None)

    def result(self, order: ModelOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        views = {"front": inputs["startingImage"]}
        views |= {_SIDES[slot]: inputs[f"contextImage{slot}"] for slot in order.views}
        return Product(partial(write_model, views, order.texture_size, order.sizes), CONTENT_TYPE)

    def preview(self, order: ModelOrder, seed: int, inputs: Mapping[str, Path], done: float) -> None:
        return None


def _views(frame: Fields, model: Model) -> tuple[int, ...]:
    """Read which further views were uploaded."""
    flags: dict[int, Any] = {
        slot: frame.flag(f"hasContextImage{slot}", required=True) for slot in range(1, CONTEXT_SLOTS + 1)
    }
    for slot, given in flags.items():
        if given and (model.id != MULTIVIEW or slot not in _SIDES):
            frame.refuse(f"hasContextImage{slot}", f"must be false for {model.id}")
    return tuple(slot for slot in _SIDES if flags[slot] and model.id == MULTIVIEW)
