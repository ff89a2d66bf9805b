"""Uploads of video and audio projects, and refused media (projects-4.2 §10; projects-5x §6)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.media import MediaSlot, sniff
from sogni.core.projects.kinds import kind_of
from sogni.core.projects.uploads import UploadItem, audio_uploads, upload_url_call, video_uploads
from sogni.errors import ValidationError
from sogni.models.params import AudioProjectParams, ImageProjectParams, VideoProjectParams
from tests.tables import each_row

I2V, S2V = "wan_v2.2-14b-fp8_i2v", "wan_v2.2-14b-fp8_s2v_lightx2v"
V2V, SEEDANCE = "ltx23-22b-fp8_v2v_distilled", "seedance-2-0"
H3_R2V, H3_I2V = "minimax-h3-ref2va-fp8_r2v", "minimax-h3-fl2va-fp8_i2v"
TTS = "qwen3_tts_1.7b_voice_clone_bf16"

PNG = b"\x89PNG\r\n\x1a\n0000"
MP3 = b"ID3\x04\0\0\0\0\0\0\0\0"
MP4 = b"\0\0\0\x18ftypisom"
M4A = b"\0\0\0\x18ftypM4A "
MOV = b"\0\0\0\x14ftypqt  "
WAV = b"RIFF\0\0\0\0WAVE"


def planned(model_id: str, **fields: Any) -> list[list[tuple[str, str]]]:
    groups = video_uploads(VideoProjectParams(model_id=model_id, **fields))
    return [[(item.id or item.role, item.field) for item in group] for group in groups]


def test_single_files_go_one_after_the_other() -> None:
    assert planned(
        V2V,
        reference_mask=b"m",
        reference_video=b"v",
        reference_audio_identity=b"i",
        reference_audio=b"a",
        reference_image_end=b"e",
        reference_image=b"r",
        control_net={"name": "inpaint"},
    ) == [
        [("referenceImage", "reference_image")],
        [("referenceImageEnd", "reference_image_end")],
        [("referenceAudio", "reference_audio")],
        [("referenceAudio", "reference_audio_identity")],
        [("referenceVideo", "reference_video")],
        [("referenceMask", "reference_mask")],
    ]


def test_numbered_files_go_side_by_side() -> None:
    """Context images behind the reference image, audios and videos numbered each for itself."""
    assert planned(
        H3_R2V,
        reference_image=b"r",
        context_images=[b"1", True, b"3"],
        keyframes=[{"image": b"k", "frame_index": 4}, {"image": True, "frame_index": 5}],
        reference_audio=True,
        reference_audios=[b"a"],
        reference_videos=[b"v", b"w"],
    ) == [
        [("referenceImage", "reference_image")],
        [("contextImage2", "context_images[0]"), ("contextImage4", "context_images[2]")],
        [("keyframeImage1", "keyframes[0].image")],
        [
            ("referenceAudio2", "reference_audios[0]"),
            ("referenceVideo1", "reference_videos[0]"),
            ("referenceVideo2", "reference_videos[1]"),
        ],
    ]


def test_context_images_begin_at_one_without_a_reference_image() -> None:
    assert planned(H3_R2V, context_images=[b"1"]) == [[("contextImage1", "context_images[0]")]]


@pytest.mark.parametrize("media", [None, False, True])
def test_what_is_not_there_or_there_already_is_not_uploaded(media: Any) -> None:
    assert planned(I2V, reference_image=media, reference_image_end=media) == []
    assert audio_uploads(AudioProjectParams(model_id=TTS, reference_audio=media)) == []


def test_a_voice_goes_up_for_speech() -> None:
    ((item,),) = audio_uploads(AudioProjectParams(model_id=TTS, reference_audio=b"a"))
    assert (item.role, item.endpoint, item.flag) == ("referenceAudio", "media", "hasReferenceAudio")


def test_other_models_have_no_plan() -> None:
    with pytest.raises(ValidationError, match="is not a video model"):
        video_uploads(VideoProjectParams(model_id="flux1-schnell-fp8"))


@each_row(
    ("model_id", "fields", "expected"),
    [
        (I2V, {"reference_image": PNG}, "/v1/image/uploadUrl imageId=I&jobId=P&type=referenceImage&contentType=t"),
        (I2V, {"reference_image_end": PNG},
         "/v1/image/uploadUrl imageId=I&jobId=P&type=referenceImageEnd&contentType=t"),
        (S2V, {"reference_audio": MP3}, "/v1/media/uploadUrl jobId=P&type=referenceAudio&contentType=t"),
        (V2V, {"reference_audio_identity": MP3}, "/v1/media/uploadUrl jobId=P&type=referenceAudio&contentType=t"),
        (V2V, {"reference_video": MP4}, "/v1/media/uploadUrl jobId=P&type=referenceVideo&contentType=t"),
        (H3_R2V, {"reference_audios": [MP3]},
         "/v1/media/uploadUrl id=referenceAudio1&jobId=P&type=referenceAudio&contentType=t"),
        (H3_R2V, {"reference_videos": [MP4]},
         "/v1/media/uploadUrl id=referenceVideo1&jobId=P&type=referenceVideo&contentType=t"),
        (H3_R2V, {"context_images": [PNG]}, "/v1/image/uploadUrl imageId=I&jobId=P&type=contextImage1&contentType=t"),
        (H3_I2V, {"keyframes": [{"image": PNG, "frame_index": 3}]},
         "/v1/image/uploadUrl imageId=I&jobId=P&type=keyframeImage1&contentType=t"),
    ],
)  # fmt: skip
def test_images_and_media_have_endpoints_of_their_own(model_id: str, fields: dict[str, Any], expected: str) -> None:
    ((item,),) = video_uploads(VideoProjectParams(model_id=model_id, **fields))
    call = upload_url_call(item, project_id="P", image_id="I", content_type="t")
    assert expected == f"{call.path} {'&'.join(f'{name}={value}' for name, value in call.query)}"


def item_of(model_id: str, name: str) -> UploadItem:
    groups = video_uploads(VideoProjectParams(**{"model_id": model_id, name: b"x"}))
    return groups[0][0]


@each_row(
    ("model_id", "name", "head", "expected"),
    [
        (S2V, "reference_audio", MP3, "audio/mpeg"),
        (S2V, "reference_audio", b"\xff\xfb\x90\x00", "audio/mpeg"),
        (S2V, "reference_audio", WAV, "audio/wav"),
        (S2V, "reference_audio", M4A, "audio/mp4"),
        (S2V, "reference_audio", MP4, "video/mp4"),
        (S2V, "reference_audio", b"fLaC", "audio/flac"),
        (S2V, "reference_audio", b"OggS", "audio/ogg"),
        (S2V, "reference_audio", b"\x1a\x45\xdf\xa3", "audio/webm"),
        (V2V, "reference_audio_identity", WAV, "audio/wav"),
        (V2V, "reference_video", MP4, "video/mp4"),
        (V2V, "reference_video", MOV, "video/quicktime"),
        (V2V, "reference_video", b"OggS", "video/ogg"),
        (V2V, "reference_video", b"\x1a\x45\xdf\xa3", "video/webm"),
        (I2V, "reference_image", PNG, "image/png"),
    ],
)
def test_a_file_goes_where_its_kind_belongs(model_id: str, name: str, head: bytes, expected: str) -> None:
    item = item_of(model_id, name)
    assert expected == item.check("file", sniff(head, item.slot))


@each_row(
    ("params", "field", "kind"),
    [
        (ImageProjectParams(model_id="m", starting_image=b"x"), "starting_image", "image"),
        (ImageProjectParams(model_id="m", context_images=[True, b"x"]), "context_images[1]", "image"),
        (ImageProjectParams(model_id="m", control_net={"name": "canny", "image": b"x"}), "control_net.image", "image"),
        (ImageProjectParams(model_id="m", gpt_image_mask=b"x"), "gpt_image_mask", "image"),
        (VideoProjectParams(model_id=I2V, reference_image=b"x"), "reference_image", "image"),
        (VideoProjectParams(model_id=I2V, reference_image_end=b"x"), "reference_image_end", "image"),
        (
            VideoProjectParams(model_id=V2V, reference_mask=b"x", control_net={"name": "inpaint"}),
            "reference_mask",
            "image",
        ),
        (VideoProjectParams(model_id=H3_R2V, context_images=[b"x"]), "context_images[0]", "image"),
        (
            VideoProjectParams(model_id=H3_I2V, keyframes=[{"image": b"x", "frame_index": 3}]),
            "keyframes[0].image",
            "image",
        ),
        (VideoProjectParams(model_id=S2V, reference_audio=b"x"), "reference_audio", "audio"),
        (VideoProjectParams(model_id=V2V, reference_audio_identity=b"x"), "reference_audio_identity", "audio"),
        (VideoProjectParams(model_id=H3_R2V, reference_audio=b"x"), "reference_audio", "audio"),
        (VideoProjectParams(model_id=H3_R2V, reference_video=b"x"), "reference_video", "video"),
        (VideoProjectParams(model_id=H3_R2V, reference_audios=[True, b"x"]), "reference_audios[1]", "audio"),
        (AudioProjectParams(model_id=TTS, reference_audio=b"x"), "reference_audio", "audio"),
        (VideoProjectParams(model_id=V2V, reference_video=b"x"), "reference_video", "video"),
        (VideoProjectParams(model_id=H3_R2V, reference_videos=[b"x"]), "reference_videos[0]", "video"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.model_id,
)
def test_every_input_takes_files_of_its_own_kind_only(params: Any, field: str, kind: MediaSlot) -> None:
    """A signature of another kind, or none at all, is refused by the field's name; what follows is not looked at."""
    ((item,),) = kind_of(params).uploads(params)
    heads = {"image": PNG, "audio": WAV, "video": MOV, "text": b"just a text file"}
    assert item.check("file", sniff(heads[kind], item.slot)) == {
        "image": "image/png", "audio": "audio/wav", "video": "video/quicktime",
    }[kind]  # fmt: skip
    for other in heads.keys() - {kind}:
        with pytest.raises(ValidationError) as caught:
            item.check("file", sniff(heads[other], item.slot))
        assert (field, "file", True) == (caught.value.field, caught.value.value, bool(caught.value.allowed))


@each_row(
    ("model_id", "name", "head", "said"),
    [
        (V2V, "reference_video", MP3, "clip.mp4 (audio/mpeg)"),
        (V2V, "reference_video", M4A, "clip.mp4 (audio/mp4)"),
        (V2V, "reference_video", PNG, "clip.mp4 (image/png)"),
        (V2V, "reference_video", b"just a text file", "clip.mp4 (text/plain)"),
        (S2V, "reference_audio", PNG, "clip.mp4 (image/png)"),
        (S2V, "reference_audio", MOV, "clip.mp4 (video/quicktime)"),
        (S2V, "reference_audio", b"just a text file", "clip.mp4 (text/plain)"),
        (V2V, "reference_audio_identity", b"GIF89a000000", "clip.mp4 (image/gif)"),
        (I2V, "reference_image", MP4, "clip.mp4 (video/mp4)"),
        (I2V, "reference_image_end", WAV, "clip.mp4 (audio/wav)"),
    ],
)
def test_a_file_under_a_wrong_name_is_refused_by_its_first_bytes(
    model_id: str, name: str, head: bytes, said: str
) -> None:
    item = item_of(model_id, name)
    with pytest.raises(ValidationError) as caught:
        item.check("clip.mp4", sniff(head, item.slot))
    assert str(caught.value).startswith(f"{name} must be a file of type ")
    assert str(caught.value).endswith(f"got {said}")
    assert name == caught.value.field
