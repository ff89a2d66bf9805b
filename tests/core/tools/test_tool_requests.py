"""From arguments to project parameters, and how large results are (tools §4.4, §4.5, §4.7, §5.5)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.media import Remote
from sogni.core.tools.media import ToolMedia
from sogni.core.tools.requests import image_size, mode_of, number_of_media, project_fields, requested_model, video_size
from sogni.errors import ValidationError
from tests.tables import each_row

LTX, SEEDANCE = "ltx23-22b-fp8_i2v_distilled", "seedance-2-0"
WAN3 = "wan3.0-video"
FAST = "minimax-h3-fastvideo-int8_a2v_turbo"
NOTHING = ToolMedia()
RESULT = Remote("https://cdn.sogni.ai/a.png", "image", "it")


def fields(tool: str, model: str, media: ToolMedia = NOTHING, **arguments: Any) -> dict[str, Any]:
    """The keywords of a call, without those every call has."""
    made = project_fields(tool, {"prompt": "a kite", **arguments}, model, media, 2)
    always = {"type", "model_id", "positive_prompt", "number_of_media"}
    assert [made[name] for name in ("model_id", "positive_prompt", "number_of_media")] == [model, "a kite", 2]
    return {name: value for name, value in made.items() if name not in always}


@pytest.mark.parametrize(
    ("tool", "kind"),
    [("generate_image", "image"), ("edit_image", "image"), ("generate_video", "video"), ("generate_music", "audio")],
)
def test_the_type_of_a_project(tool: str, kind: str) -> None:
    assert project_fields(tool, {"prompt": "x"}, "m", NOTHING, 1)["type"] == kind


@each_row(
    ("arguments", "fallback", "expected"),
    [
        ({}, 1, 1), ({}, 3, 3), ({"numberOfVariations": 2}, 3, 2), ({"number_of_variations": 2.5}, 3, 3),
        ({"numberOfVariations": 40}, 1, 16), ({"numberOfVariations": 0}, 1, 1), ({"numberOfVariations": "3"}, 4, 1),
        ({}, "many", 1), ({}, float("nan"), 1), ({}, True, 1), ({}, None, 1),
    ],
)  # fmt: skip
def test_how_many_results(arguments: dict[str, Any], fallback: Any, expected: int) -> None:
    assert number_of_media(arguments, fallback) == expected


def test_the_model_that_is_asked_for() -> None:
    assert requested_model("generate_image", {"model": "a", "videoModel": "b"}) == "a"
    assert requested_model("generate_video", {"model": "a", "videoModel": "b"}) == "b"
    assert requested_model("video_to_video", {"model": "a", "videoModel": ""}) == "a"
    assert requested_model("video_to_video", {}) is None


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("generate_video", {"controlMode": "pose"}, None),
        ("video_to_video", {"controlMode": "pose"}, "pose"),
        ("video_to_video", {"control_mode": "odd"}, "animate-move"),
        ("video_to_video", {}, "animate-move"),
    ],
)
def test_modes(tool: str, arguments: dict[str, Any], expected: str | None) -> None:
    assert mode_of(tool, arguments) == expected


@each_row(
    ("arguments", "expected"),
    [
        ({}, {}),
        ({"negative_prompt": "n", "steps": 6, "seed": 5, "guidance": 3}, {"negative_prompt": "n", "steps": 6,
                                                                          "seed": 5, "guidance": 3}),
        ({"negativePrompt": "", "seed": -1, "guidance": "x"}, {}),
        ({"width": 512, "height": 768}, {"width": 512, "height": 768}),
        ({"width": 512}, {}),
        ({"aspectRatio": "16:9"}, {"width": 1344, "height": 768}),
        ({"aspectRatio": "640x480", "outputFormat": "JPEG"}, {"width": 640, "height": 480, "output_format": "jpg"}),
        ({"outputFormat": "bmp", "gptImageQuality": "auto"}, {}),
        ({"output_format": 3, "gpt_image_quality": 3, "gpt_image_background": 3}, {}),
        ({"gptImageQuality": " HIGH ", "gptImageBackground": "Opaque", "gpt_image_output_compression": 50,
          "mask_image_url": "data:"},
         {"gpt_image_quality": "high", "gpt_image_background": "opaque", "gpt_image_output_compression": 50,
          "gpt_image_mask_url": "data:"}),
        ({"loras": ["a"], "loraStrengths": [0.5]}, {"loras": ["a"], "lora_strengths": [0.5]}),
    ],
)  # fmt: skip
def test_an_image(arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields("generate_image", "flux", **arguments) == expected


def test_an_image_from_an_image() -> None:
    media = ToolMedia(fields={"starting_image": b"x"})
    assert fields("generate_image", "flux", media, starting_image_strength=0.2) == {
        "starting_image": b"x",
        "starting_image_strength": 0.2,
    }


@pytest.mark.parametrize(
    ("model", "most"), [("gpt-image-2", 16), ("flux2_dev_fp8", 6), ("flux1-dev-kontext_fp8_scaled", 2), ("other", 3)]
)
def test_an_edit_takes_as_many_images_as_the_model(model: str, most: int) -> None:
    images = [b"x"] * most
    made = fields("edit_image", model, ToolMedia(context_images=images), steps=4)
    assert made == {"context_images": images}
    with pytest.raises(ValidationError, match=f"accepts at most {most} images, got {most + 1}"):
        fields("edit_image", model, ToolMedia(context_images=[*images, b"x"]))


@pytest.mark.parametrize(
    ("model", "arguments", "expected"),
    [
        (LTX, {}, {"width": 1920, "height": 1088, "fps": 24}),
        (LTX, {"width": 640, "fps": 30, "duration": 4, "negativePrompt": "n", "generate_audio": 0},
         {"width": 640, "height": 1088, "fps": 30, "duration": 4, "negative_prompt": "n", "generate_audio": False}),
        (SEEDANCE, {"negative_prompt": "n", "generateAudio": True, "outputFormat": "mov", "returnLastFrame": True},
         {"width": 1920, "height": 1080, "fps": 24, "generate_audio": True, "output_format": "mov",
          "return_last_frame": True}),
        (LTX, {"audio_identity_strength": 1, "first_frame_strength": 0.5, "last_frame_strength": 0.1, "height": 640},
         {"width": 1920, "height": 640, "fps": 24, "audio_identity_strength": 1, "first_frame_strength": 0.5,
          "last_frame_strength": 0.1}),
        (WAN3, {"ratio": "adaptive", "watermark": False, "referenceFileUrl": "https://a"},
         {"width": 1920, "height": 1080, "fps": 30, "ratio": "adaptive", "watermark": False,
          "reference_file_url": "https://a"}),
        (WAN3, {"referenceLinkUrl": "https://a", "loras": ["a"]},
         {"width": 1920, "height": 1080, "fps": 30, "reference_link_url": "https://a", "loras": ["a"]}),
    ],
)  # fmt: skip
def test_a_video(model: str, arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields("generate_video", model, **arguments) == expected


def test_a_first_frame_and_an_end_frame() -> None:
    made = fields("generate_video", LTX, ToolMedia(references={"image": [b"1"]}))
    assert made["reference_image"] == b"1"
    both = fields("generate_video", "minimax-h3-fl2va-fp8_flf2v", ToolMedia(references={"image": [b"1", b"2"]}))
    assert (both["reference_image"], both["reference_image_end"]) == (b"1", b"2")


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ({"image": [b"1", b"2"]}, "referenceImageIndices: .* accepts at most 1, got 2"),
        ({"video": [b"1"]}, "referenceVideoIndices: .* does not accept video"),
        ({"audio": [b"1"]}, "referenceAudioIndices: .* does not accept audio"),
    ],
)
def test_other_references_are_for_models_of_others(references: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        fields("generate_video", LTX, ToolMedia(references=references))


def test_models_of_others_read_addresses() -> None:
    url = "https://cdn.sogni.ai/a.png"
    media = ToolMedia(references={"image": [Remote(url, "image", ""), b"1"], "audio": [b"2"]})
    made = fields("generate_video", SEEDANCE, media)
    assert made["reference_image_urls"] == [url]
    assert (made["reference_image"], made["reference_audio"]) == (b"1", b"2")
    assert "reference_audio_urls" not in made
    with pytest.raises(ValidationError, match="referenceImageIndices: at most one image"):
        fields("generate_video", SEEDANCE, ToolMedia(references={"image": [b"1", b"2"]}))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({}, {"duration": 5, "audio_duration": 5}),
     ({"duration": 3, "audio_start": 2, "fps": 60}, {"duration": 3, "audio_duration": 3, "audio_start": 2}),
     ({"duration": "x", "negativePrompt": "n"}, {"duration": 5, "audio_duration": 5, "negative_prompt": "n"})],
)  # fmt: skip
def test_a_video_to_a_sound(arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    media = ToolMedia(fields={"reference_audio": b"x"})
    usual = {"reference_audio": b"x", "width": 1920, "height": 1088, "fps": 24}
    assert fields("sound_to_video", "ltx23-22b-fp8_a2v_distilled", media, **arguments) == {**usual, **expected}


@pytest.mark.parametrize(("seconds", "frames"), [(2, 124), (5, 124), (5.2, 141), (15, 362), (20, 362)])
def test_whole_steps_of_frames(seconds: float, frames: int) -> None:
    made = fields("sound_to_video", FAST, duration=seconds, width=99, audioStart=1)
    assert made == {"frames": frames, "fps": 24, "width": 1344, "height": 768, "audio_start": 1}


def test_a_model_that_is_never_silent() -> None:
    with pytest.raises(ValidationError, match="generateAudio"):
        fields("sound_to_video", FAST, generateAudio=False)


@pytest.mark.parametrize(
    ("model", "arguments", "expected"),
    [
        (LTX, {"controlMode": "depth", "outpaintPosition": "top", "outpaintAspectRatio": "1:1"},
         {"control_net": {"name": "depth", "strength": 0.85}}),
        (LTX, {"controlMode": "outpaint", "outpaintPosition": "top", "outpaintAspectRatio": "1:1"},
         {"control_net": {"name": "outpaint", "strength": 0.85}, "outpaint_position": "top", "width": 1472,
          "height": 1472}),
        ("seedance-2-5", {"controlMode": "seedance-v2v"}, {"height": 1080, "seedance_task_type": "edit"}),
        (LTX, {"control_mode": "detailer", "detailer_strength": 0.5, "video_start": 1, "duration": 3},
         {"control_net": {"name": "detailer", "strength": 1}, "detailer_strength": 0.5, "video_start": 1,
          "duration": 3}),
        (SEEDANCE, {"controlMode": "seedance-v2v", "detailer_strength": 1}, {"height": 1080}),
    ],
)  # fmt: skip
def test_a_video_from_a_video(model: str, arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    media = ToolMedia(fields={"reference_video": b"x"})
    usual = {"reference_video": b"x", "width": 1920, "height": 1088, "fps": 24, "duration": 5}
    assert fields("video_to_video", model, media, **arguments) == {**usual, **expected}


@pytest.mark.parametrize(
    ("media", "task"),
    [
        (ToolMedia(references={"video": [b"1"]}), "reference"),
        (ToolMedia(references={"video": [b"1"], "image": [RESULT]}), "reference"),
        (ToolMedia(references={"image": [b"2"]}), None),
        (NOTHING, None),
    ],
)
def test_the_purpose_of_references(media: ToolMedia, task: str | None) -> None:
    assert fields("generate_video", "seedance-2-5", media).get("seedance_task_type") == task


@pytest.mark.parametrize("model", ["seedance-2-5", WAN3])
def test_frames_and_other_references_exclude_each_other(model: str) -> None:
    media = ToolMedia(fields={"reference_audio": b"x", "reference_image": RESULT})
    made = fields("sound_to_video", model, media)
    assert made["reference_image_urls"] == [RESULT.url]
    assert "reference_image" not in made
    media.fields["reference_image"] = b"face"
    with pytest.raises(ValidationError, match="only if the image has a URL"):
        fields("sound_to_video", model, media)


def test_models_with_numbered_references() -> None:
    media = ToolMedia(references={"image": [b"1", b"2"], "audio": [b"3"], "video": []})
    made = fields("generate_video", "minimax-h3-ref2va-fp8_r2v", media)
    found = {name: value for name, value in made.items() if "reference" in name or "context" in name}
    assert found == {"reference_image": b"1", "context_images": [b"2"], "reference_audio": b"3"}


def test_a_mode_of_seedance_needs_seedance() -> None:
    media = ToolMedia(fields={"reference_video": b"x"})
    with pytest.raises(ValidationError, match="needs a Seedance model, got ltx23"):
        fields("video_to_video", LTX, media, controlMode="seedance-v2v")


def test_poses_need_a_picture() -> None:
    media = ToolMedia(fields={"reference_video": b"x"})
    with pytest.raises(ValidationError, match="reference_image_url is required for mode 'pose'"):
        fields("video_to_video", LTX, media, controlMode="pose")
    media.fields["reference_image"] = b"face"
    made = fields("video_to_video", LTX, media, controlMode="pose")
    assert made["control_net"] == {"name": "pose", "strength": 0.85}


def test_animation_needs_a_picture() -> None:
    media = ToolMedia(fields={"reference_video": b"x"})
    with pytest.raises(ValidationError, match="reference_image_url is required for mode 'animate-move'"):
        fields("video_to_video", "wan", media)
    media.fields["reference_image"] = b"face"
    assert "control_net" not in fields("video_to_video", "wan", media)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {}),
        ({"duration": 30, "bpm": 90, "keyscale": "C major", "lyrics": "la", "language": "en", "output_format": "wav",
          "timesignature": "4", "composer_mode": False, "prompt_strength": 2, "creativity": 1, "seed": 3},
         {"duration": 30, "bpm": 90, "keyscale": "C major", "lyrics": "la", "language": "en", "output_format": "wav",
          "timesignature": "4", "composer_mode": False, "prompt_strength": 2, "creativity": 1, "seed": 3}),
        ({"timesig": 3, "lyrics": ""}, {"timesignature": "3"}),
        ({"timesignature": 5.6}, {"timesignature": "6"}),
        ({"timesignature": "", "composer_mode": "x", "prompt_strength": "x"}, {}),
    ],
)  # fmt: skip
def test_music(arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields("generate_music", "ace_step_1.5_turbo", **arguments) == expected


@pytest.mark.parametrize(
    ("shape", "size"),
    [("1:1", (1024, 1024)), ("9:16", (768, 1344)), (" 21 : 9 ", (1536, 640)), ("512×256", (512, 256)),
     ("", (None, None)), (None, (None, None)), (3, (None, None))],
)  # fmt: skip
def test_shapes_of_images(shape: Any, size: tuple[Any, Any]) -> None:
    assert image_size({"aspectRatio": shape}) == size


@pytest.mark.parametrize("shape", ["square", "0:1", "1:0", "16/9"])
def test_a_shape_that_is_none(shape: str) -> None:
    with pytest.raises(ValidationError, match="aspectRatio"):
        image_size({"aspectRatio": shape})


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({}, (1920, 1088)), ({"aspectRatio": "9:16"}, (1088, 1920)), ({"targetResolution": 480}, (832, 512)),
        ({"aspectRatio": "1:1", "targetResolution": 512}, (512, 512)),
        ({"width": 640, "aspectRatio": "1:1"}, (640, 1088)),
    ],
)  # fmt: skip
def test_shapes_of_videos(arguments: dict[str, Any], size: tuple[int, int]) -> None:
    assert video_size(arguments, LTX) == size
