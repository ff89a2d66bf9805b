"""Music: length, format, and differences by request and seed."""

from __future__ import annotations

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import audio_request, loudness, opened
from tests.emulator.wire import Wire, of_type


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
