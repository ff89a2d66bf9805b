"""Videos as one kind of media: their check, their price, their files.

Registered with the service under "video". It ties the check, the estimates and the makers together and decides
nothing beside that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from .catalogue import Catalogue, Model
from .estimates import Quote
from .fields import Fields
from .images import unreadable
from .media_estimates import VideoWork, video_quote
from .media_signatures import misplaced
from .orders import Network, Product, VideoOrder
from .reference_media import undecodable
from .video_check import check_video
from .video_families import ASSETS
from .videos import make_last_frame, make_video

CONTENT_TYPES = {"mp4": "video/mp4", "mov": "video/quicktime"}


@frozen
class VideoKind:
    """Serves video models."""

    catalogue: Catalogue

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> VideoOrder | None:
        return check_video(request, frame, model, network, self.catalogue)

    def uploads(self, order: VideoOrder) -> list[str]:
        # The identity clip travels in the place of the reference audio (projects-4.2 §10.2).
        roles = [asset.removesuffix("Identity") for asset in ASSETS if asset in order.assets]
        return list(dict.fromkeys(roles))

    def quote(self, order: VideoOrder) -> Quote:
        work = VideoWork(
            model=order.model,
            count=order.count,
            steps=order.steps,
            width=order.width,
            height=order.height,
            frames=order.paid_frames,
            fps=float(order.fps),
            has_video_input=order.has_video_input,
        )
        return video_quote(work, self.catalogue).times(order.count)

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        return misplaced(inputs)

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        for role, path in inputs.items():
            if role == "referenceAudio":
                reason = undecodable(path, "audio")
            elif role == "referenceVideo":
                reason = undecodable(path, "video")
            else:
                reason = unreadable(path)
            if reason:
                return f"{role}: {reason}"
        return None

    def result(self, order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        last = make_last_frame(order, seed, inputs) if order.return_last_frame else None
        return Product(make_video(order, seed, inputs), CONTENT_TYPES[order.output_format], last)

    def preview(self, order: VideoOrder, seed: int, inputs: Mapping[str, Path], done: float) -> None:
        return None
