"""Music and speech as a kind of media: request checks, prices and files.

The limits are those of the model's tier.
"""
# Protocol notes: projects-4.2 §3.4, §7.

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from attrs import frozen

from sogni.emulator.catalogue.models import Catalogue, Model
from sogni.emulator.fields import Fields
from sogni.emulator.media.codecs import AudioFormat, misplaced, undecodable
from sogni.emulator.media.music import make_audio
from sogni.emulator.media.speech import Speech
from sogni.emulator.projects.estimates import AudioWork, Quote, audio_quote
from sogni.emulator.projects.orders import AudioOrder, Network, Product, SpeechOrder
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, amounts, common_values, limited, sampling
from sogni.emulator.projects.storage import Producer

FORMATS = ("mp3", "wav", "flac")
MAX_VERSIONS, MAX_SPEECHES = 4, 16
_SPEECH_TIERS = "tts-"
_BPM = 120.0
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
        bpm=_default_bpm(model, catalogue) if bpm is None else bpm,
        beats=_BEATS[chosen["timesignature"] or "4"],
        keyscale=chosen["keyscale"] or "C major",
        language=chosen["language"],
        prompt=texts[0],
        style_prompt=texts[1],
        lyrics=lyrics,
    )


def _default_bpm(model: Model, catalogue: Catalogue) -> float:
    return catalogue.default(model, "bpm") if "bpm" in catalogue.tiers[model.tier] else _BPM


def _chosen(frame: Fields, key: str, model: Model, catalogue: Catalogue) -> str:
    """Read a string listed by the tier; the default is the tier's, empty if it has no such setting."""
    options = catalogue.tiers[model.tier].get(key)
    if options is None:
        if frame.text(key) is not None:
            frame.note(key, f"is not a setting of {model.id}")
        return ""
    return frame.text(key, allowed=tuple(options["allowed"])) or str(options["default"])


def check_speech(
    request: Fields, frame: Fields, model: Model, network: Network, catalogue: Catalogue
) -> SpeechOrder | None:
    """Read a speech request; return None if required values are missing."""
    # Protocol notes: projects-5x §4.11.
    tier = catalogue.tiers[model.tier]
    frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
    read = amounts(request, frame, model, catalogue, formats=FORMATS, max_count=MAX_SPEECHES)
    script = frame.text("positivePrompt", required=True) or ""
    if not script.strip():
        frame.refuse("positivePrompt", "must be the script")
    frame.text("stylePrompt", required=True)
    frame.text("language", allowed=tuple(tier["language"]["allowed"]))
    voice = [model.id, _voice(frame, tier), _instruct(frame, model, tier)]
    cloned = bool(frame.flag("hasReferenceAudio"))
    frame.text("referenceAudioContentType")
    if cloned != bool(tier.get("requiresReferenceAudio")):
        frame.refuse("hasReferenceAudio", f"must be {'omitted' if cloned else 'true'} for {model.id}")
    if frame.flag("composerMode") is not None:
        frame.note("composerMode", "is not accepted by speech models")
    _limited_text(frame, "referenceText", tier.get("referenceText"), model)
    sampling(frame, model, catalogue)
    if read is None:
        return None
    return SpeechOrder(
        **common_values(request, model, "audio", network, read),
        output_format=read.output_format,
        performed_steps=read.steps,
        script=script,
        voice=" ".join(voice),
        cloned=cloned,
        duration=Speech(text=script, voice="", seed=0).seconds,
    )


def _voice(frame: Fields, tier: Mapping[str, Any]) -> str:
    speakers = tier.get("speaker")
    if speakers is None:
        if frame.has("speaker"):
            frame.refuse("speaker", "goes with the custom voice model only")
        return ""
    return frame.text("speaker", allowed=tuple(speakers["allowed"])) or str(speakers["default"])


def _instruct(frame: Fields, model: Model, tier: Mapping[str, Any]) -> str:
    limits = tier.get("instruct")
    given = _limited_text(frame, "instruct", limits, model)
    if limits is not None and limits["required"] and not given.strip():
        frame.refuse("instruct", f"is missing: {model.id} requires it")
    return given


def _limited_text(frame: Fields, key: str, limits: Mapping[str, Any] | None, model: Model) -> str:
    given = frame.text(key) or ""
    if given and limits is None:
        frame.refuse(key, f"is not accepted by {model.id}")
    elif limits is not None and len(given) > limits["maxLength"]:
        frame.refuse(key, f"must have at most {limits['maxLength']} characters, got {len(given)}")
    return given


def _speech(order: SpeechOrder, seed: int, recording: Path | None) -> Producer:
    """Return the function that writes the speech; a recording determines the voice that is cloned."""
    voice = order.voice
    if recording is not None:
        voice += hashlib.blake2b(recording.read_bytes(), digest_size=8).hexdigest()
    return Speech(text=order.script, voice=voice, seed=seed).produce(cast(AudioFormat, order.output_format))


CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}


@frozen
class AudioKind:
    """Serves music and speech models."""

    catalogue: Catalogue

    def check(self, request: Fields, frame: Fields, model: Model, network: Network) -> AudioOrder | SpeechOrder | None:
        if model.tier.startswith(_SPEECH_TIERS):
            return check_speech(request, frame, model, network, self.catalogue)
        return check_audio(request, frame, model, network, self.catalogue)

    def uploads(self, order: AudioOrder | SpeechOrder) -> list[str]:
        return ["referenceAudio"] if isinstance(order, SpeechOrder) and order.cloned else []

    def quote(self, order: AudioOrder | SpeechOrder) -> Quote:
        work = AudioWork(model=order.model, count=order.count, steps=order.steps, duration=order.duration)
        return audio_quote(work, self.catalogue).times(order.count)

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        return misplaced(inputs)

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        problems = ((role, undecodable(path, "audio")) for role, path in inputs.items())
        return next((f"{role}: {problem}" for role, problem in problems if problem), None)

    def result(self, order: AudioOrder | SpeechOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        if isinstance(order, SpeechOrder):
            produce = _speech(order, seed, inputs.get("referenceAudio"))
        else:
            produce = make_audio(order, seed)
        return Product(produce, CONTENT_TYPES[order.output_format])

    def preview(self, order: AudioOrder | SpeechOrder, seed: int, inputs: Mapping[str, Path], done: float) -> None:
        return None
