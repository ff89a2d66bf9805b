"""Unit tests of the hosted tools: joining, subtitles, sizes, models, and media given by URL."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.emulator.catalogue.models import Catalogue
from sogni.emulator.media.codecs import probe, write_audio, write_video
from sogni.emulator.tools.media_library import (
    Size,
    ToolError,
    frame_count,
    image_model,
    image_size,
    music_model,
    parse_size,
    video_model,
    video_size,
)
from sogni.emulator.tools.text_tools import parse_subtitles
from sogni.emulator.tools.tool_context import Arguments, ToolContext
from tests.emulator.media.helpers import as_image, distance, picture, tone
from tests.emulator.tools.helpers import Tools

SIZE = (96, 64)


def clip(path: Path, color: str, seconds: float = 1.0, *, sound: bool = False) -> Path:
    frames = (Image.new("RGB", SIZE, color) for _ in range(round(seconds * 12)))
    blocks = [np.full((2, round(seconds * 48_000)), 0.5, dtype=np.float32)] if sound else None
    write_video(path, frames, Fraction(12), blocks, "mp4")
    return path


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("1\n00:00:01,500 --> 00:00:02,000\nHello\nthere\n", [(1.5, 2.0, "Hello\nthere")]),
        ("WEBVTT\n\n00:01.000 --> 00:02.500 align:start\n<b>Hi</b>\n", [(1.0, 2.5, "Hi")]),
        ("\ufeff1\r\n01:00:00,000 --> 01:00:01,000\r\nLate\r\n", [(3600.0, 3601.0, "Late")]),
    ],
)
def test_subtitles_are_read(text: str, cues: list[tuple[float, float, str]]) -> None:
    assert parse_subtitles(text) == cues


@pytest.mark.parametrize("text", ["", "nothing", "1\n00:00:02,000 --> 00:00:01,000\nbackwards\n"])
def test_invalid_subtitles_are_refused(text: str) -> None:
    with pytest.raises(ToolError, match="no valid cue"):
        parse_subtitles(text)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue({"image": 1, "video": 1, "audio": 1})


@pytest.mark.parametrize(
    ("selector", "edit", "model"),
    [
        (None, False, "krea2_turbo_fp8_scaled"),
        ("Z_Image", False, "z_image_bf16"),
        ("flux1-schnell-fp8", False, "flux1-schnell-fp8"),
        ("chatgpt", False, "gpt-image-2"),
        ("nobody-knows", False, "krea2_turbo_fp8_scaled"),
        ("rtx_vsr_pro", False, "krea2_turbo_fp8_scaled"),
        ("qwen", True, "qwen_image_edit_2511_fp8"),
        (None, True, "qwen_image_edit_2511_fp8_lightning"),
    ],
)
def test_models_of_images(catalogue: Catalogue, selector: str | None, edit: bool, model: str) -> None:
    assert image_model(catalogue, selector, edit=edit).id == model


@pytest.mark.parametrize(
    ("selector", "workflow", "model"),
    [
        (None, "t2v", "ltx25-22b-int8_t2v_distilled"),
        ("ltx23", "i2v", "ltx23-22b-fp8_i2v_distilled"),
        ("wan22", "i2v", "wan_v2.2-14b-fp8_i2v_lightx2v"),
        ("wan22", "ia2v", "ltx25-22b-int8_ia2v_distilled"),
        ("wan22-animate", "animate-move", "wan_v2.2-14b-fp8_animate-move_lightx2v"),
        ("seedance2-fast", "t2v", "seedance-2-0-mini"),
        ("ltx23-22b-fp8_t2v_dev", "t2v", "ltx23-22b-fp8_t2v_dev"),
        ("ltx23-22b-fp8_t2v_dev", "i2v", "ltx23-22b-fp8_i2v_distilled"),
        ("happyhorse", "t2v", "ltx25-22b-int8_t2v_distilled"),
    ],
)
def test_models_of_videos(catalogue: Catalogue, selector: str | None, workflow: str, model: str) -> None:
    assert video_model(catalogue, selector, workflow).id == model


def test_models_of_music(catalogue: Catalogue) -> None:
    found = [music_model(catalogue, selector).id for selector in (None, "ace_step_1.5_sft", "minimax_music3")]
    assert found == ["ace_step_1.5_xl_turbo", "ace_step_1.5_sft", "ace_step_1.5_xl_turbo"]


@pytest.mark.parametrize(
    ("given", "asked"),
    [("16:9", 16 / 9), ("640x480", Size(640, 480)), ("adaptive", None), (None, None), (" 1 : 1 ", 1.0)],
)
def test_valid_aspect_ratios(given: str | None, asked: Any) -> None:
    assert parse_size(given, None, None) == asked


@pytest.mark.parametrize("given", ["wide", "100:1", "1:0"])
def test_invalid_aspect_ratios(given: str) -> None:
    with pytest.raises(ToolError, match="aspectRatio"):
        parse_size(given, None, None)


def test_sizes_stay_in_the_bounds_of_the_model(catalogue: Catalogue) -> None:
    model, video = catalogue.models["z_image_turbo_bf16"], catalogue.models["wan_v2.2-14b-fp8_t2v_lightx2v"]
    assert image_size(model, Size(9000, 4500), None) == Size(2560, 1280)
    assert image_size(model, None, Size(100, 200)) == Size(480, 960)
    assert image_size(model, 1.0, Size(600, 300), 2) == Size(608, 608)
    size = video_size(catalogue, video, 16 / 9, None, 480)
    assert (size.height, size.width % 16, size.width > 800) == (480, 0, True)
    mini = catalogue.models["seedance-2-0-mini"]
    assert (
        min(video_size(catalogue, mini, Size(1920, 1080), None, None).__getattribute__(s) for s in ("width", "height"))
        <= 720
    )


@pytest.mark.parametrize(
    ("model", "seconds", "frames"),
    [
        ("ltx25-22b-int8_t2v_distilled", 2, 49),
        ("ltx25-22b-int8_t2v_distilled", 30, 505),
        ("wan_v2.2-14b-fp8_t2v_lightx2v", 5, 81),
        ("seedance-2-0", 1, 97),
    ],
)
def test_lengths_become_frames(catalogue: Catalogue, model: str, seconds: float, frames: int) -> None:
    assert frame_count(catalogue, catalogue.models[model], seconds) == frames


def test_file_properties_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("red", (30, 20)))
    (tmp_path / "a.wav").write_bytes(tone(1.5))
    write_audio(tmp_path / "a.mp3", [np.zeros((2, 48_000), dtype=np.float32)], "mp3")
    video = clip(tmp_path / "a.mp4", "red", sound=True)
    found = [probe(tmp_path / "a.png", "image"), probe(tmp_path / "a.wav", "audio"), probe(tmp_path / "a.mp3", "audio")]
    assert [facts.mime for facts in found if facts] == ["image/png", "audio/wav", "audio/mpeg"]
    seen = probe(video, "video")
    assert seen is not None
    assert (seen.width, seen.height, seen.frame_rate, seen.sound) == (96, 64, 12.0, True)
    assert probe(tmp_path / "a.wav", "video") is None
    assert probe(tmp_path / "a.png", "audio") is None


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1, balance={"spark": 1_000_000}) as running:
        yield running


@pytest.fixture
def tools(supernet: LocalSupernet) -> Tools:
    return Tools(supernet)


def test_images_are_enlarged_and_cut_out(tools: Tools) -> None:
    tools.still()
    assert tools.run("upscale_image", scale=2, sourceImageIndex=0).media[0].width == 512
    assert tools.run("upscale_image", targetLongestEdge=700).media[0].width == 700
    tools.library.results.append(evolve(tools.library.results[-1], width=4000))
    with pytest.raises(ToolError, match="is the most"):
        tools.run("upscale_image", scale=4)
    tools.library.results.pop()
    cut = tools.run("remove_background", sourceImageIndex=0).media[0]
    assert Image.open(io.BytesIO(tools.content(cut))).mode == "RGBA"
    mask = tools.run("remove_background", sourceImageIndex=0, applyMask=False).media[0]
    assert as_image(tools.content(mask)).getpixel((0, 0)) == (0, 0, 0)


def test_parts_of_an_image_are_marked(tools: Tools) -> None:
    tools.still()
    box = {"x0": 0, "y0": 0, "x1": 0.5, "y1": 1}
    point = {"x": 0.5, "y": 0.5, "label": "positive"}
    for arguments, mode in (
        ({"text": "the kite"}, "L"),
        ({"boxes": [box], "threshold": 0}, "L"),
        ({"points": [point], "boxes": [box], "applyMask": True, "maxInstances": 2}, "RGBA"),
    ):
        marked = tools.run("segment_image", sourceImageIndex=0, **arguments).media[0]
        image = Image.open(io.BytesIO(tools.content(marked)))
        assert (marked.mime, image.mode, image.size) == ("image/png", mode, (256, 256))


def test_an_image_becomes_a_model(tools: Tools) -> None:
    tools.still(), tools.still(seed=8)
    outcome = tools.run("image_to_3d", sourceImageIndex=0, backViewImageIndex=1, textureSize=1024, meshTargetFaces=5000)
    model = outcome.media[0]
    assert (model.kind, model.mime, outcome.indices) == (
        "model", "model/gltf-binary", {"startIndex": 0, "indices": [0]},
    )  # fmt: skip
    content = tools.content(model)
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
    document = json.loads(content[20 : 20 + size])
    data = content[28 + size :]
    assert (len(document["meshes"][0]["primitives"]), len(document["images"])) == (2, 2)
    assert document["buffers"][0]["byteLength"] == len(data)
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    picture = Image.open(io.BytesIO(data[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]))
    assert picture.size == (256, 256)
    for accessor in document["accessors"]:
        used = {"SCALAR": 2, "VEC2": 8, "VEC3": 12}[accessor["type"]] * accessor["count"]
        assert document["bufferViews"][accessor["bufferView"]]["byteLength"] == used


def test_a_text_is_spoken(tools: Tools) -> None:
    spoken = tools.run(
        "generate_speech", prompt="Kites rise. Kites fall!", numberOfVariations=2, outputFormat="mp3"
    ).media
    assert [(media.kind, media.mime) for media in spoken] == [("audio", "audio/mpeg")] * 2
    assert tools.content(spoken[0]) != tools.content(spoken[1])
    sound = tools.film(tools.run("generate_speech", prompt="Kites rise", seed=3).media[0])
    assert sound.seconds == pytest.approx(2 * 0.07 + 4 * 0.18, abs=0.01)
    again = tools.run("generate_speech", prompt="Kites rise", seed=3, model="clone", voiceSourceIndex=0).media[0]
    assert again.duration == pytest.approx(sound.seconds, abs=0.01)


def test_loras_are_passed_on(tools: Tools) -> None:
    for given, expected in (
        ({"loras": ["a", "b"], "loraStrengths": [0.5]}, {"loras": ["a", "b"], "loraStrengths": [0.5]}),
        ({"loras": ["a"]}, {"loras": ["a"]}),
        ({"loraStrengths": [1]}, {}),
    ):
        renderer: Any = None
        assert ToolContext(renderer, Arguments(given), tools.library, 0).loras == expected


def test_an_image_can_start_from_another(tools: Tools) -> None:
    source = tools.still()
    kept = tools.run("generate_image", prompt="a kite", starting_image_strength=0.9, guidance=1, width=256, height=256)
    assert distance(as_image(tools.content(source)), as_image(tools.content(kept.media[0]))) < 15
    assert tools.run("generate_image", prompt="a", model="chatgpt", gptImageQuality="low").media[0].width == 1024


def test_seedance_takes_references(tools: Tools) -> None:
    tools.still(), tools.video(), tools.run("generate_music", prompt="drums", duration=10)
    values = {"prompt": "a kite", "duration": 4, "width": 480, "height": 480, "videoModel": "seedance2"}
    made = tools.run("generate_video", referenceImageIndices=[0], generateAudio=False, **values).media[0]
    assert made.sound is False
    assert tools.run("generate_video", referenceImageIndices=[0], referenceAudioIndices=[0], **values).media[0].sound
    newer = {**values, "videoModel": "seedance2-5", "outputFormat": "mov"}
    assert tools.run("generate_video", referenceVideoIndices=[0], **newer).media[0].mime == "video/quicktime"


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("sound_to_video", {"prompt": "a"}, "MEDIA_REQUIRED"),
        ("video_to_video", {"prompt": "a"}, "MEDIA_REQUIRED"),
        ("video_to_video", {"prompt": "a", "controlMode": "magic"}, "INVALID_ARGUMENTS"),
        ("animate_photo", {"prompt": "a", "sourceImageIndices": [0], "frameRole": "end"}, "INVALID_ARGUMENTS"),
        ("animate_photo", {"prompt": "a", "sourceImageIndices": [0, 1], "prompts": ["a"]}, "INVALID_ARGUMENTS"),
        ("extend_video", {"duration": 2}, "MEDIA_REQUIRED"),
        ("extend_video", {"duration": 2, "videoIndex": 3}, "MEDIA_NOT_FOUND"),
        ("dance_montage", {"dance": "chanel"}, "MEDIA_REQUIRED"),
        ("label_asset", {}, "INVALID_ARGUMENTS"),
        ("inspect_asset", {}, "MEDIA_REQUIRED"),
        ("edit_image", {"prompt": "a", "source_image_url": "ftp://example.test/a.png"}, "INVALID_MEDIA"),
        ("edit_image", {"prompt": "a", "source_image_url": "http://["}, "INVALID_MEDIA"),
        ("edit_image", {"prompt": "a", "source_image_url": "data:image/png;base64,@@"}, "INVALID_MEDIA"),
    ],
)
def test_refusals(tools: Tools, name: str, arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(ToolError) as refused:
        tools.run(name, **arguments)
    assert refused.value.code == code


def test_windows_must_lie_in_the_video(tools: Tools) -> None:
    tools.video()
    for values in ({"startSeconds": 1, "endSeconds": 1}, {"startSeconds": 1, "endSeconds": 0.5}):
        with pytest.raises(ToolError, match="endSeconds"):
            tools.run("replace_video_segment", **values)
    bad = {"startSeconds": 0, "endSeconds": 1, "replacementVideoIndex": 0, "replacementStartSeconds": 9}
    with pytest.raises(ToolError):
        tools.run("replace_video_segment", **bad)
    for overlays in ([{"kind": "text"}], [{"kind": "image"}], [{"kind": "image", "sourceImageIndex": 3}]):
        with pytest.raises(ToolError):
            tools.run("overlay_video", overlays=overlays)
    with pytest.raises(ToolError, match=r"cues\[0\]"):
        tools.run("add_subtitles", cues=[{"startSeconds": 2, "endSeconds": 1, "text": "a"}])
