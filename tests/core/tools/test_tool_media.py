"""Resolving the media arguments of a tool call: data URIs and indices (tools §2.1, §4.5, §4.7, §4.8)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sogni.core.media import MAX_BYTES, Remote
from sogni.core.projects.job import JobState
from sogni.core.tools.media import AvailableMedia, ToolMedia, https_url_of, inline, media_of
from sogni.errors import ValidationError
from tests.core.play import Stage

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)
WAV = b"RIFF\x04\x00\x00\x00WAVE"
MP4 = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"
IMAGE, SOUND, FILM = (
    f"data:{kind};base64,{base64.b64encode(content).decode()}"
    for kind, content in (("image/png", PNG), ("audio/wav", WAV), ("video/mp4", MP4))
)
TRUSTED = "https://cdn.sogni.ai/a.png?sig=1"


def got(tool: str, made: AvailableMedia | None = None, **arguments: Any) -> ToolMedia:
    return media_of(tool, {"prompt": "x", **arguments}, made)


def test_a_data_uri_becomes_bytes() -> None:
    media = got("generate_video", reference_image_url=IMAGE, reference_audio_identity_url=SOUND)
    assert media.fields == {"reference_image": PNG, "reference_audio_identity": WAV}
    assert media.images == 1


def test_sound_and_video() -> None:
    media = got("sound_to_video", reference_audio_url=SOUND, reference_image_url=IMAGE, reference_image_end_url=IMAGE)
    assert (media.fields["reference_audio"], media.images) == (WAV, 2)
    assert got("video_to_video", reference_video_url=FILM).fields == {"reference_video": MP4}


@pytest.mark.parametrize("value", ["https://cdn.sogni.ai/a.png", "/etc/passwd", 3, "data:text/plain;base64,YQ=="])
def test_arguments_hold_data_uris_only(value: Any) -> None:
    with pytest.raises(ValidationError, match="reference_image_url"):
        got("generate_video", reference_image_url=value)


def test_limits_are_those_of_tools() -> None:
    assert MAX_BYTES == {"image": 20 * 2**20, "audio": 50 * 2**20, "video": 100 * 2**20}
    assert inline("x", IMAGE, "image") == PNG


@pytest.mark.parametrize(
    ("tool", "name"), [("sound_to_video", "reference_audio_url"), ("video_to_video", "reference_video_url"),
                       ("edit_image", "source_image_url")],
)  # fmt: skip
@pytest.mark.parametrize("made", [None, AvailableMedia()])
def test_what_is_needed_is_named(tool: str, name: str, made: AvailableMedia | None) -> None:
    with pytest.raises(ValidationError, match=f"^{name} .*is required|^{name} or") as caught:
        got(tool, made)
    assert caught.value.field == name


def test_the_newest_is_taken_when_nothing_is_named() -> None:
    made = AvailableMedia(images=[b"1", b"2"], audio=[b"song"], uploaded_videos=[b"film", b"other"])
    assert got("edit_image", made).context_images == [b"2"]
    assert got("sound_to_video", made).fields == {"reference_audio": b"song"}
    assert got("video_to_video", made).fields == {"reference_video": b"film"}


def test_pictures_to_edit_in_their_order() -> None:
    made = AvailableMedia(images=[b"0"], uploaded_images=[b"up"])
    media = got("edit_image", made, source_image_url=IMAGE, reference_image_urls=[IMAGE, ""], sourceImageIndex=-1)
    assert media.context_images == [b"up", PNG, PNG]
    assert got("edit_image", reference_image_urls=IMAGE).context_images == [PNG]
    assert got("edit_image", source_image_url=IMAGE, reference_image_urls=3).context_images == [PNG]


def test_an_image_to_start_from() -> None:
    made = AvailableMedia(images=[b"0", b"1"])
    assert got("generate_image", made, sourceImageIndex=1, starting_image_strength=0.5).fields == {
        "starting_image": b"1"
    }
    assert got("generate_image", made, starting_image_strength=0.5).fields == {}
    assert got("generate_image", made, sourceImageIndex=1).fields == {}
    assert got("generate_image", None, sourceImageIndex=1, starting_image_strength=0.5).fields == {}


def test_references_by_index() -> None:
    made = AvailableMedia(images=[b"0", b"1"], uploaded_videos=[b"v"], audio=[b"a"])
    media = got(
        "generate_video", made, referenceImageIndices=[1, 0.0], referenceVideoIndices=[-1], referenceAudioIndices=[0]
    )
    assert media.references == {"image": [b"1", b"0"], "video": [b"v"], "audio": [b"a"]}
    assert media.images == 2


@pytest.mark.parametrize(
    ("made", "index", "words"),
    [
        (None, 0, r"referenceImageIndices: there are no media"),
        (AvailableMedia(), 0, r"referenceImageIndices\[0\]: no known image has the index 0; there are none"),
        (AvailableMedia(images=[b""]), 1, r"no known image has the index 1; there are 1"),
        (AvailableMedia(images=[b""]), -1, r"no uploaded image has the index -1; there are none"),
        (AvailableMedia(images=[b""]), 0.5, r"must be an integer"),
        (AvailableMedia(images=[b""]), True, r"must be an integer"),
    ],
)
def test_an_index_of_nothing_is_an_error(made: AvailableMedia | None, index: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        got("generate_video", made, referenceImageIndices=[index])


def test_indices_and_data_uris_do_not_mix() -> None:
    with pytest.raises(ValidationError, match="cannot be combined"):
        got("generate_video", AvailableMedia(images=[b"0"]), referenceImageIndices=[0], reference_image_end_url=IMAGE)


@pytest.mark.parametrize(("index", "expected"), [(0, b"up"), (-1, b"up"), (1, b"up2"), (-2, b"up2")])
def test_sources_count_uploads_from_0(index: int, expected: bytes) -> None:
    made = AvailableMedia(videos=[b"made"], uploaded_videos=[b"up", b"up2"], uploaded_images=[b"face"])
    media = got("video_to_video", made, videoSourceIndex=index, sourceImageIndex=0)
    assert media.fields == {"reference_video": expected, "reference_image": b"face"}


def test_sources_are_results_when_nothing_was_uploaded() -> None:
    made = AvailableMedia(videos=[b"made"])
    assert got("video_to_video", made, videoSourceIndex=0).fields == {"reference_video": b"made"}
    media = got("video_to_video", made, videoSourceIndex=0, reference_video_url=FILM)
    assert media.fields == {"reference_video": MP4}


def test_an_end_frame_and_a_mask() -> None:
    made = AvailableMedia(images=[b"mask"], videos=[b"made"], audio=[b"song"], uploaded_images=[b"up", b"up2"])
    media = got("sound_to_video", made, sourceImageIndex=0, endImageIndex=1)
    assert media.fields == {"reference_audio": b"song", "reference_image": b"up", "reference_image_end": b"up2"}
    assert media.images == 2
    masked = {"controlMode": "inpaint", "maskImageIndex": 0}
    assert got("video_to_video", made, **masked).fields == {"reference_video": b"made", "reference_mask": b"mask"}
    for arguments in ({"maskImageIndex": 0}, {"controlMode": "inpaint"}):
        assert got("video_to_video", made, **arguments).fields == {"reference_video": b"made"}


def test_what_was_made_counts_from_0() -> None:
    made = AvailableMedia()
    for kind in ("image", "video", "audio"):
        made.add(kind, [kind.encode()])
    assert (made.images, made.videos, made.audio) == ([b"image"], [b"video"], [b"audio"])


def test_entries_of_a_context() -> None:
    remote = Remote("https://cdn.sogni.ai/a.png?sig=1", "image", "it")
    made = AvailableMedia(origins=("http://127.0.0.1:1",))
    entries = (b"x", IMAGE, f" {TRUSTED} ")
    assert [made.as_input(entry, "image", "it") for entry in entries] == [b"x", PNG, remote]
    assert made.as_input("http://127.0.0.1:1/x", "image", "it").url == "http://127.0.0.1:1/x"
    assert "sig" not in repr(remote)
    with pytest.raises(ValidationError, match="URL of the service") as caught:
        made.as_input("https://example.com/a.png?sig=1", "image", "it")
    assert "sig" not in str(caught.value)


def test_addresses_others_can_read() -> None:
    job = Stage().finished_job()
    local = JobState(job.project, "other")
    local.change(result_url="http://127.0.0.1/x")
    values = [Remote(TRUSTED, "image", ""), job, local, b"x"]
    assert [https_url_of(value) for value in values] == [TRUSTED, "https://store/result?sig=1", None, None]
