"""Music and speech as a kind of media: request checks, prices and files.

The limits are those of the model's tier.
"""
# Protocol notes: projects-4.2 §3.4, §7; projects-5x §4.11.

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from sogni.emulator.media.codecs import AudioFormat, write_audio
from sogni.emulator.media.films import tone
from sogni.emulator.media.kinds import MediaKind
from sogni.emulator.projects.orders import Order, Product, Work
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, Reading

FORMATS = ("mp3", "wav", "flac")
MAX_VERSIONS, MAX_SPEECHES = 4, 16
_SPEECH_TIERS = "tts-"
_SYLLABLE, _PAUSE, _STOP = 0.18, 0.07, 0.3
"""Seconds of a syllable, of the pause after a word, and of the pause after a sentence."""
_VOWELS = re.compile(r"[aeiouy]+", re.I)
_CHOSEN = ("timesignature", "language", "keyscale")
_NUMBERS = ("bpm", "promptStrength", "creativity", "shift")


class AudioKind(MediaKind):
    """Serves music and speech models."""

    def check(self, reading: Reading) -> Order | None:
        reading.frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
        return _speech(reading) if reading.model.tier.startswith(_SPEECH_TIERS) else _music(reading)

    def result(self, order: Order, seed: int, inputs: Mapping[str, Path]) -> Product:
        return Product(partial(_write, order, seed, inputs), order.content_type)


def _write(order: Order, seed: int, inputs: Mapping[str, Path], path: Path) -> None:
    recordings = [hashlib.sha256(file.read_bytes()).hexdigest() for file in inputs.values()]
    sound = tone(order.duration or 0.0, seed, order.key_frame, recordings)
    write_audio(path, sound, cast(AudioFormat, order.output_format))


def _order(common: Mapping[str, Any], duration: float, uploads: Sequence[str] = ()) -> Order:
    work = Work(model=common["model"], steps=common["steps"], duration=duration)
    return Order(**common, work=work, uploads=uploads, duration=duration)


def _seconds(script: str) -> float:
    """Return how long a script takes to speak: a syllable for each group of vowels, and a pause after each word."""
    words = script.split() or [""]
    syllables = sum(max(1, len(_VOWELS.findall(word))) for word in words)
    return syllables * _SYLLABLE + sum(_STOP if word.endswith((".", "!", "?")) else _PAUSE for word in words)


def _music(reading: Reading) -> Order | None:
    frame = reading.frame
    common = reading.common(formats=FORMATS, max_count=MAX_VERSIONS)
    duration = reading.limited("duration")
    for key in _CHOSEN:
        _chosen(reading, key)
    for key in _NUMBERS:
        reading.limited(key)
    frame.flag("composerMode")
    reading.sampling()
    reading.prompts(negative=False)
    frame.text("lyrics")
    if common is None:
        return None
    default = reading.catalogue.default(reading.model, "duration")
    return _order(common, default if duration is None else duration)


def _chosen(reading: Reading, key: str) -> str:
    """Read a string listed by the tier; the default is the tier's, empty if it has no such setting."""
    options = reading.tier.get(key)
    if options is None:
        if reading.frame.text(key) is not None:
            reading.frame.note(key, f"is not a setting of {reading.model.id}")
        return ""
    return reading.frame.text(key, allowed=tuple(options["allowed"])) or str(options["default"])


def _speech(reading: Reading) -> Order | None:
    frame, model, tier = reading.frame, reading.model, reading.tier
    common = reading.common(formats=FORMATS, max_count=MAX_SPEECHES)
    script = frame.text("positivePrompt", required=True) or ""
    if not script.strip():
        frame.refuse("positivePrompt", "must be the script")
    frame.text("stylePrompt", required=True)
    frame.text("language", allowed=tuple(tier["language"]["allowed"]))
    if "speaker" in tier:
        _chosen(reading, "speaker")
    elif frame.has("speaker"):
        frame.refuse("speaker", "goes with the custom voice model only")
    instruct = _limited_text(reading, "instruct")
    if tier.get("instruct", {}).get("required") and not instruct.strip():
        frame.refuse("instruct", f"is missing: {model.id} requires it")
    cloned = bool(frame.flag("hasReferenceAudio"))
    frame.text("referenceAudioContentType")
    if cloned != bool(tier.get("requiresReferenceAudio")):
        frame.refuse("hasReferenceAudio", f"must be {'omitted' if cloned else 'true'} for {model.id}")
    if frame.flag("composerMode") is not None:
        frame.note("composerMode", "is not accepted by speech models")
    _limited_text(reading, "referenceText")
    reading.sampling()
    if common is None:
        return None
    return _order(common, _seconds(script), ["referenceAudio"] * cloned)


def _limited_text(reading: Reading, key: str) -> str:
    given, limits = reading.frame.text(key) or "", reading.tier.get(key)
    if given and limits is None:
        reading.frame.refuse(key, f"is not accepted by {reading.model.id}")
    elif limits is not None and len(given) > limits["maxLength"]:
        reading.frame.refuse(key, f"must have at most {limits['maxLength']} characters, got {len(given)}")
    return given
