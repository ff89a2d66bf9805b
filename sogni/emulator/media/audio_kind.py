"""Music as a kind of media: request checks, prices and files.

The limits are those of the model's tier.
"""
# Protocol notes: projects-4.2 §3.4, §7.

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from sogni.emulator.catalogue.models import Catalogue, Model
from sogni.emulator.fields import Fields
from sogni.emulator.media.music import make_audio
from sogni.emulator.projects.estimates import AudioWork, Quote, audio_quote
from sogni.emulator.projects.orders import AudioOrder, Network, Product
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, amounts, common_values, limited, sampling

FORMATS = ("mp3", "wav", "flac")
MAX_VERSIONS = 4
_BEATS = {"2": 2, "3": 3, "4": 4, "6": 6}
_NUMBERS = ("promptStrength", "creativity", "shift")


def check_audio(
    request: Fields, frame: Fields, model: Model, network: Network, catalogue: Catalogue
) -> AudioOrder | None:
    """Read a music request; return None if required values are missing."""
    frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
    read = amounts(request, frame, model, catalogue, formats=FORMATS, max_count=MAX_VERSIONS)
    if frame.has("negativePrompt"):
        frame.note("negativePrompt", "is not accepted by audio models")
    duration, bpm = (limited(frame, key, key, model, catalogue) for key in ("duration", "bpm"))
    chosen = {key: _chosen(frame, key, model, catalogue) for key in ("timesignature", "language", "keyscale")}
    for key in _NUMBERS:
        limited(frame, key, key, model, catalogue)
    frame.flag("composerMode")
    sampling(frame, model, catalogue)
    texts = [frame.text(key, required=key == "stylePrompt") or "" for key in ("positivePrompt", "stylePrompt")]
    lyrics = frame.text("lyrics") or ""
    if read is None:
        return None
    return AudioOrder(
        **common_values(request, model, "audio", network, read),
        output_format=read.output_format,
        performed_steps=read.steps,
        duration=catalogue.default(model, "duration") if duration is None else duration,
        bpm=catalogue.default(model, "bpm") if bpm is None else bpm,
        beats=_BEATS[chosen["timesignature"]],
        keyscale=chosen["keyscale"],
        language=chosen["language"],
        prompt=texts[0],
        style_prompt=texts[1],
        lyrics=lyrics,
    )


def _chosen(frame: Fields, key: str, model: Model, catalogue: Catalogue) -> str:
    """Read a string listed by the tier; the default is the tier's."""
    options = catalogue.tiers[model.tier][key]
    return frame.text(key, allowed=tuple(options["allowed"])) or str(options["default"])


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
