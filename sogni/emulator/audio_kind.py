"""Music as one kind of media: its check, its price, its files.

Registered with the service under "audio". It ties the check, the estimates and the maker together and decides
nothing beside that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from .audio_check import check_audio
from .audios import make_audio
from .catalogue import Catalogue, Model
from .estimates import Quote
from .fields import Fields
from .media_estimates import AudioWork, audio_quote
from .orders import AudioOrder, Network, Product

CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}


@frozen
class AudioKind:
    """Serves music models."""

    catalogue: Catalogue

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> AudioOrder | None:
        return check_audio(request, frame, model, network, self.catalogue)

    def uploads(self, order: AudioOrder) -> list[str]:
        return []

    def quote(self, order: AudioOrder) -> Quote:
        work = AudioWork(model=order.model, count=order.count, steps=order.steps, duration=order.duration)
        return audio_quote(work, self.catalogue).times(order.count)

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        return None

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        return None

    def result(self, order: AudioOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        return Product(make_audio(order, seed), CONTENT_TYPES[order.output_format])

    def preview(self, order: AudioOrder, seed: int, inputs: Mapping[str, Path], done: float) -> None:
        return None
