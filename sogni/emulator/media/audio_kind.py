"""Music and speech as a kind of media: request checks, prices and files.

The limits are those of the model's tier.
"""
# Protocol notes: projects-4.2 §3.4, §7; projects-5x §4.11.

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

from attrs import frozen

from sogni.emulator.media.codecs import AudioFormat, write_audio
from sogni.emulator.media.kinds import MediaKind
from sogni.emulator.media.music import Score, Speech, play
from sogni.emulator.projects.estimates import Work
from sogni.emulator.projects.orders import AudioOrder, Product, SpeechOrder
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, Reading

FORMATS = ("mp3", "wav", "flac")
MAX_VERSIONS, MAX_SPEECHES = 4, 16
_SPEECH_TIERS = "tts-"
_BPM = 120.0
_CHOSEN = ("timesignature", "language", "keyscale")
_NUMBERS = ("promptStrength", "creativity", "shift")


@frozen
class AudioKind(MediaKind):
    """Serves music and speech models."""

    def check(self, reading: Reading) -> AudioOrder | SpeechOrder | None:
        reading.frame.constants({**KEY_FRAME_TEMPLATE, "strength": 0.5})
        return _speech(reading) if reading.model.tier.startswith(_SPEECH_TIERS) else _music(reading)

    def uploads(self, order: AudioOrder | SpeechOrder) -> list[str]:
        return ["referenceAudio"] if isinstance(order, SpeechOrder) and order.cloned else []

    def work(self, order: AudioOrder | SpeechOrder) -> Work:
        return Work(model=order.model, steps=order.steps, duration=order.duration)

    def result(self, order: AudioOrder | SpeechOrder, seed: int, inputs: Mapping[str, Path]) -> Product:
        return Product(partial(_write, order, seed, inputs), order.content_type)


def _write(order: AudioOrder | SpeechOrder, seed: int, inputs: Mapping[str, Path], path: Path) -> None:
    if isinstance(order, SpeechOrder):
        recording = inputs.get("referenceAudio")
        voice = order.voice + ("" if recording is None else hashlib.sha256(recording.read_bytes()).hexdigest())
        sound = Speech(text=order.script, voice=voice, seed=seed).samples()
    else:
        score = Score(
            words=repr((order.model.id, order.prompt, order.style_prompt, order.lyrics, order.language)),
            seed=seed,
            seconds=order.duration,
            bpm=order.bpm,
            beats=order.beats,
            keyscale=order.keyscale,
        )
        sound = play(score)
    write_audio(path, sound, cast(AudioFormat, order.output_format))


def _music(reading: Reading) -> AudioOrder | None:
    frame = reading.frame
    common = reading.common(formats=FORMATS, max_count=MAX_VERSIONS)
    duration, bpm = reading.limited("duration"), reading.limited("bpm")
    chosen = {key: _chosen(reading, key) for key in _CHOSEN}
    for key in _NUMBERS:
        reading.limited(key)
    frame.flag("composerMode")
    reading.sampling()
    texts = reading.prompts(negative=False)
    lyrics = frame.text("lyrics") or ""
    if common is None:
        return None
    default = reading.catalogue.default
    return AudioOrder(
        **common,
        duration=default(reading.model, "duration") if duration is None else duration,
        bpm=bpm or (default(reading.model, "bpm") if "bpm" in reading.tier else _BPM),
        beats=int(chosen["timesignature"] or 4),
        keyscale=chosen["keyscale"] or "C major",
        language=chosen["language"],
        prompt=texts["prompt"],
        style_prompt=texts["style_prompt"],
        lyrics=lyrics,
    )


def _chosen(reading: Reading, key: str) -> str:
    """Read a string listed by the tier; the default is the tier's, empty if it has no such setting."""
    options = reading.tier.get(key)
    if options is None:
        if reading.frame.text(key) is not None:
            reading.frame.note(key, f"is not a setting of {reading.model.id}")
        return ""
    return reading.frame.text(key, allowed=tuple(options["allowed"])) or str(options["default"])


def _speech(reading: Reading) -> SpeechOrder | None:
    frame, model, tier = reading.frame, reading.model, reading.tier
    common = reading.common(formats=FORMATS, max_count=MAX_SPEECHES)
    script = frame.text("positivePrompt", required=True) or ""
    if not script.strip():
        frame.refuse("positivePrompt", "must be the script")
    frame.text("stylePrompt", required=True)
    frame.text("language", allowed=tuple(tier["language"]["allowed"]))
    speaker = ""
    if "speaker" in tier:
        speaker = _chosen(reading, "speaker")
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
    voice, duration = f"{model.id} {speaker} {instruct}", Speech(text=script, voice="", seed=0).seconds
    return SpeechOrder(**common, script=script, voice=voice, cloned=cloned, duration=duration)


def _limited_text(reading: Reading, key: str) -> str:
    given, limits = reading.frame.text(key) or "", reading.tier.get(key)
    if given and limits is None:
        reading.frame.refuse(key, f"is not accepted by {reading.model.id}")
    elif limits is not None and len(given) > limits["maxLength"]:
        reading.frame.refuse(key, f"must have at most {limits['maxLength']} characters, got {len(given)}")
    return given
