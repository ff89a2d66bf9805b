"""Music: length, format, and differences by request and seed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from sogni.emulator import LocalSupernet
from sogni.emulator.media.music import Score, play
from tests.emulator.media.helpers import audio_request, loudness, opened
from tests.emulator.wire import Wire, of_type

SCORE = Score(words="a quiet song", seed=1, seconds=3, bpm=96)


def sound(**changes: Any) -> np.ndarray[Any, Any]:
    return np.concatenate(list(play(evolve(SCORE, **changes))), axis=1)


@pytest.mark.parametrize(
    ("format", "content_type", "name"),
    [("mp3", "audio/mpeg", "mp3"), ("wav", "audio/wav", "wav"), ("flac", "audio/flac", "flac")],
)
def test_music_has_the_requested_length_and_format(
    wire: Wire, supernet: LocalSupernet, format: str, content_type: str, name: str
) -> None:
    request = audio_request(duration=12.5, top={"outputFormat": format})
    wire.connect().create(request)
    item = of_type(wire.finish(request["jobID"]), "jobResult")[0]["imgID"]
    reply = wire.download_media(request["jobID"], item, contentType=content_type)
    assert reply.headers["Content-Type"] == content_type
    music = opened(reply.content)
    assert (music.format, music.sample_rate, music.frames) == (name, 48000, ())
    assert music.seconds == pytest.approx(12.5, abs=0.05 if format == "mp3" else 1e-6)
    assert loudness(music.samples, 48000, 1, 11) > 0.02
    assert supernet.violations == []


def test_several_versions_differ_and_each_can_be_made_again(wire: Wire) -> None:
    versions = []
    for _ in range(2):
        request = audio_request(top={"numberOfImages": 2, "outputFormat": "flac"})
        wire.connect().create(request)
        results = sorted(of_type(wire.finish(request["jobID"]), "jobResult"), key=lambda it: it["jobIndex"])
        versions.append([wire.download_media(request["jobID"], result["imgID"]).content for result in results])
    assert versions[0] == versions[1]
    assert versions[0][0] != versions[0][1]


def test_a_full_request_is_accepted(wire: Wire, supernet: LocalSupernet) -> None:
    request = audio_request(
        bpm=96,
        timesignature="3",
        language="ja",
        lyrics="[verse]\nla la",
        keyscale="A minor",
        composerMode=True,
        promptStrength=2.5,
        creativity=0.9,
        shift=3,
        comfySampler="euler",
        comfyScheduler="simple",
        steps=8,
        guidanceScale=1,
    )
    wire.connect().create(request)
    frames = wire.finish(request["jobID"])
    assert [data["step"] for data in of_type(frames, "jobProgress")] == list(range(1, 9))
    assert of_type(frames, "jobETA")
    assert supernet.violations == []


def test_a_negative_prompt_is_noted(wire: Wire, supernet: LocalSupernet) -> None:
    request = audio_request(negativePrompt="")
    wire.connect().create(request)
    wire.finish(request["jobID"])
    assert [violation.where for violation in supernet.violations] == ["jobRequest $.keyFrames[0].negativePrompt"]


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"words": "a loud song"}, {"bpm": 120}, {"beats": 3}, {"keyscale": "F# minor"}]
)
def test_every_part_of_the_score_is_audible(change: dict[str, Any]) -> None:
    assert np.abs(sound() - sound(**change)).mean() > 0.01
    assert np.array_equal(sound(), sound())


def test_music_is_neither_clipped_nor_silent_and_has_soft_ends() -> None:
    made = sound(seconds=10)
    assert made.shape == (2, 480_000)
    assert 0.2 < np.abs(made).max() < 1
    assert np.abs(made[:, :50]).max() < 0.01
    assert np.abs(made[:, -50:]).max() < 0.01


def test_long_music_is_made_in_pieces() -> None:
    bars = list(itertools.islice(play(evolve(SCORE, seconds=600)), 3))
    assert all(bar.shape[1] < 5 * 48_000 for bar in bars)


@pytest.mark.parametrize(("keyscale", "root"), [("A minor", 220.0), ("C major", 261.6256), ("Bb major", 233.08)])
def test_the_key_is_the_requested_one(keyscale: str, root: float) -> None:
    """The first bar is built on the root: in some octave it is among the strongest frequencies."""
    first = next(iter(play(evolve(SCORE, seconds=10, bpm=60, keyscale=keyscale))))[0]
    spectrum = np.abs(np.fft.rfft(first * np.hanning(first.size)))
    tone = np.fft.rfftfreq(first.size, 1 / 48_000)[int(spectrum.argmax())]
    steps = 12 * np.log2(tone / root)
    assert abs(steps - round(steps)) < 0.3
    assert round(steps) % 12 in (0, 3, 4, 7)
