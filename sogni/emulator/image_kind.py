"""Images as one kind of media: their check, their price, their files.

Registered with the service under "image". It ties the check, the estimates and the renderer together and
decides nothing beside that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from attrs import evolve, frozen

from .catalogue import Catalogue, Model
from .estimates import Quote, Work, quote
from .fields import Fields
from .image_check import check_image
from .images import Picture, render, unreadable
from .orders import ImageOrder, Network, Product
from .segmentation import segment

_PREVIEW_SIDE = 256
CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


@frozen
class ImageKind:
    """Serves image models."""

    catalogue: Catalogue

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> ImageOrder | None:
        return check_image(request, frame, model, network, self.catalogue)

    def uploads(self, order: ImageOrder) -> list[str]:
        roles = ["startingImage"] if order.starting_image else []
        if order.control is not None and order.control.has_image:
            roles.append("cnImage")
        roles += [f"contextImage{slot}" for slot in order.context_images]
        return [*roles, "referenceMask"] if order.mask else roles

    def quote(self, order: ImageOrder) -> Quote:
        quality = order.request["keyFrames"][0].get("gptImageQuality")
        return quote(
            Work(
                model=order.model,
                count=order.count,
                steps=order.steps,
                previews=order.previews,
                control_net=order.control is not None,
                denoise=order.denoise if order.starting_image else 0.0,
                width=order.width,
                height=order.height,
                context_images=len(order.context_images),
                network=order.network,
                quality=quality,
            )
        )

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        # Broken pictures reach a worker, which fails: clients must live with that as well.
        return None

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        for role, path in inputs.items():
            reason = unreadable(path)
            if reason:
                return f"{role}: {reason}"
        return None

    def result(self, order: ImageOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        if order.segmentation is not None:
            return Product(partial(segment, order.segmentation, inputs["startingImage"]), CONTENT_TYPES["png"])
        picture = self._picture(order, seed, inputs)
        return Product(partial(render, picture, format=order.output_format), CONTENT_TYPES[order.output_format])

    def preview(self, order: ImageOrder, seed: int, inputs: Mapping[str, Path], done: float) -> Product:
        picture = self._picture(order, seed, inputs)
        scale = min(1.0, _PREVIEW_SIDE / max(picture.width, picture.height))
        width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        return Product(
            partial(render, evolve(picture, width=width, height=height, done=done), format="jpg"),
            "image/jpeg",
        )

    def _picture(self, order: ImageOrder, seed: int, inputs: Mapping[str, Path]) -> Picture:
        return Picture(
            width=order.width,
            height=order.height,
            seed=seed,
            model=order.model.id,
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            style_prompt=order.style_prompt,
            starting_image=inputs.get("startingImage"),
            denoise=order.denoise,
            context_images=tuple(inputs[f"contextImage{slot}"] for slot in order.context_images),
            control_image=inputs.get("cnImage"),
            control_strength=0.5 if order.control is None else order.control.strength,
        )
