"""Arguments of every tool: what fits, which spellings stand for another, and what is refused (tools §2, §3)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.tools.arguments import validate_tool_arguments
from sogni.core.tools.hosted import tool_names
from tests.tables import each_row

ANGLE = "right side view eye-level shot close-up"
ENHANCE = {"prompt": "a cat", "target_output": "edit_prompt", "destination_model": "qwen"}

VALID: list[tuple[str, dict[str, Any]]] = [
    ("generate_image", {"prompt": "a kite", "model": "any id", "numberOfVariations": 16, "outputFormat": "jpeg"}),
    ("generate_image", {"prompt": "a kite", "starting_image_strength": 1, "sourceImageIndex": -1}),
    ("generate_image", {"prompt": "a kite", "loras": ["a", "b"], "loraStrengths": [0.5]}),
    ("edit_image", {"prompt": "bluer", "gptImageQuality": "max", "source_image_url": "data:,"}),
    ("edit_image", {"prompt": "bluer", "gptImageBackground": "transparent", "outputFormat": "webp"}),
    ("generate_video", {"prompt": "waves", "duration": 20, "videoModel": "seedance2", "referenceImageIndices": [0]}),
    (
        "generate_video",
        {"prompt": "waves", "duration": 30, "videoModel": "wan3.0-video", "referenceLinkUrl": "https://a"},
    ),
    ("generate_music", {"prompt": "calm", "timesig": 6, "bpm": 30, "duration": 600, "model": "ace_step_1.5_sft"}),
    ("generate_speech", {"prompt": "hello", "voice": "ryan", "seed": 4294967295}),
    ("generate_speech", {"prompt": "hello", "model": "clone", "voiceSourceIndex": 0, "voiceTranscript": "hi"}),
    ("generate_speech", {"prompt": "hello", "model": "design", "voiceDescription": "calm"}),
    ("upscale_image", {"scale": 3}),
    ("upscale_video", {"targetResolution": 1080, "seed": -1}),
    ("image_to_3d", {"sourceImageIndex": 0, "back_view_image_url": "data:,", "shapeResolution": 1536}),
    ("remove_background", {"applyMask": False}),
    ("segment_image", {"text": "the kite", "boxes": [{"x0": 0, "y0": 0, "x1": 1, "y1": 1, "label": "negative"}]}),
    (
        "segment_image",
        {
            "points": [{"x": 0.5, "y": 1, "label": "positive"}],
            "multimask": True,
            "boxes": [{"x0": 0, "y0": 0, "x1": 1, "y1": 1}],
        },
    ),
    ("apply_style", {"prompt": "ink", "scale": 1.5}),
    ("restore_photo", {"prompt": "mend", "quality": "hq"}),
    ("refine_result", {"prompt": "brighter", "sourceImageIndex": 2}),
    ("animate_photo", {"prompt": "wave", "sourceImageIndices": [0, 1], "prompts": ["a", "b"]}),
    ("animate_photo", {"prompt": "wave", "frameRole": "both", "endImageIndex": 1, "duration": 2}),
    ("change_angle", {"description": ANGLE, "loraStrength": 0.1}),
    ("video_to_video", {"prompt": "robot", "controlMode": "pose", "videoSourceIndex": 0}),
    ("stitch_video", {"videoIndices": [0, -1], "transition": {"type": "fade", "durationSeconds": 2}}),
    ("orbit_video", {}),
    ("orbit_video", {"angles": ["back view"], "distance": "close-up"}),
    ("dance_montage", {"dance": "chanel", "singleClip": True, "duration": 20}),
    ("sound_to_video", {"prompt": "sing", "audioStart": 0, "videoModel": "wan-s2v"}),
    ("extend_video", {"duration": 5, "videoModel": "auto"}),
    ("replace_video_segment", {"startSeconds": 1, "endSeconds": -1, "prompt": "rain"}),
    ("replace_video_segment", {"startSeconds": 1, "endSeconds": 1, "replacementVideoIndex": 0}),
    ("overlay_video", {"overlays": [{"kind": "text", "position": "center", "text": "Hi", "backgroundColor": None}]}),
    ("add_subtitles", {"srt": "1\n"}),
    ("add_subtitles", {"cues": [{"startSeconds": 0, "endSeconds": 1, "text": "Hi"}], "style": {"position": "top"}}),
    ("enhance_prompt", {**ENHANCE, "assets": [{"media_type": "image"}] * 50, "constraints": {"any": 1}}),
    ("compose_lyrics", {"prompt": "sea", "duration_seconds": 10}),
    ("compose_instrumental", {"prompt": "sea"}),
    ("compose_script", {"brief": "a trailer", "scene_count": 12}),
    ("compose_workflow", {"brief": "a trailer", "destination_models": {"image": "x"}}),
    ("compose_workflow_template", {"brief": "b", "name": "n", "inputs": [{"name": "who", "type": "text"}]}),
]
ALIASED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("generate_image", {"prompt": "k", "number_of_variations": 40}, {"prompt": "k", "numberOfVariations": 40}),
    ("generate_image", {"prompt": "k", "gptImageQuality": "low", "gpt_image_quality": " HIGH "},
     {"prompt": "k", "gptImageQuality": " HIGH "}),
    ("generate_image", {"prompt": "k", "startingImageStrength": 0.5, "source_image_index": 0},
     {"prompt": "k", "starting_image_strength": 0.5, "sourceImageIndex": 0}),
    ("edit_image", {"prompt": "k", "output_format": "bmp"}, {"prompt": "k", "outputFormat": "bmp"}),
    ("generate_video", {"prompt": "k", "video_model": "wan22"}, {"prompt": "k", "videoModel": "wan22"}),
    ("generate_music", {"prompt": "k", "number_of_variations": "x"}, {"prompt": "k", "numberOfVariations": "x"}),
    ("apply_style", {"prompt": "k", "source_image_index": 1}, {"prompt": "k", "sourceImageIndex": 1}),
    ("restore_photo", {"prompt": "k", "aspect_ratio": "1:1"}, {"prompt": "k", "aspectRatio": "1:1"}),
    ("refine_result", {"prompt": "k", "aspect_ratio": "1:1"}, {"prompt": "k", "aspectRatio": "1:1"}),
    ("animate_photo", {"prompt": "k", "target_resolution": 480}, {"prompt": "k", "targetResolution": 480}),
    ("change_angle", {"description": ANGLE, "lora_strength": 1}, {"description": ANGLE, "loraStrength": 1}),
    ("video_to_video", {"prompt": "k", "control_mode": "odd"}, {"prompt": "k", "controlMode": "odd"}),
    ("stitch_video", {"video_indices": [0, 1]}, {"videoIndices": [0, 1]}),
    ("orbit_video", {"dialogue_segment": 1}, {"dialogueSegment": 1}),
    ("dance_montage", {"dance": "chanel", "single_clip": False}, {"dance": "chanel", "singleClip": False}),
    ("sound_to_video", {"prompt": "k", "audio_start": 2}, {"prompt": "k", "audioStart": 2}),
    ("extend_video", {"duration": 5, "video_index": -1}, {"duration": 5, "videoIndex": -1}),
    ("replace_video_segment", {"start_seconds": 0, "end_seconds": 2}, {"startSeconds": 0, "endSeconds": 2}),
    ("overlay_video", {"overlays": [{"kind": "image", "position": "center", "sourceImageIndex": 0}],
                       "source_video_index": 0},
     {"overlays": [{"kind": "image", "position": "center", "sourceImageIndex": 0}], "sourceVideoIndex": 0}),
    ("add_subtitles", {"srt": "1", "source_video_index": 0}, {"srt": "1", "sourceVideoIndex": 0}),
    ("enhance_prompt", {"prompt": "a cat", "targetOutput": "edit_prompt", "destinationModel": "qwen"}, ENHANCE),
    ("compose_lyrics", {"prompt": "k", "durationSeconds": 20}, {"prompt": "k", "duration_seconds": 20}),
    ("compose_instrumental", {"prompt": "k", "musicPrompt": "m"}, {"prompt": "k", "music_prompt": "m"}),
    ("compose_script", {"brief": "b", "sceneCount": 2}, {"brief": "b", "scene_count": 2}),
    ("compose_workflow", {"brief": "b", "includeAudio": True}, {"brief": "b", "include_audio": True}),
    ("compose_workflow_template", {"brief": "b", "name": "n", "aspectRatio": "1:1"},
     {"brief": "b", "name": "n", "aspect_ratio": "1:1"}),
    ("generate_speech", {"prompt": "k", "output_format": "mp3"}, {"prompt": "k", "outputFormat": "mp3"}),
    ("upscale_image", {"target_longest_edge": 512}, {"targetLongestEdge": 512}),
    ("upscale_video", {"target_resolution": 1440}, {"targetResolution": 1440}),
    ("image_to_3d", {"sourceImageUrl": "data:,", "texture_size": 1024},
     {"source_image_url": "data:,", "textureSize": 1024}),
    ("remove_background", {"apply_mask": True}, {"applyMask": True}),
    ("segment_image", {"text": "k", "max_instances": 16}, {"text": "k", "maxInstances": 16}),
]  # fmt: skip
INVALID: list[tuple[str, dict[str, Any], list[str]]] = [
    ("generate_image", {"prompt": ""}, ["prompt"]),
    ("generate_image", {"prompt": "k", "numberOfVariations": 17, "seed": 1.5}, ["numberOfVariations", "seed"]),
    ("generate_image", {"prompt": "k", "width": "1024"}, ["width"]),
    ("generate_image", {"prompt": "k", "starting_image_strength": 2}, ["starting_image_strength"]),
    ("edit_image", {"prompt": "k", "gptImageQuality": "best"}, ["gptImageQuality"]),
    ("generate_video", {"prompt": "k", "videoModel": "any id"}, ["videoModel"]),
    ("generate_video", {"prompt": "k", "referenceImageIndices": [0, "1"]}, ["referenceImageIndices[1]"]),
    ("generate_image", {"prompt": "k", "loras": ["a"], "loraStrengths": [1, 1]}, ["loraStrengths"]),
    ("generate_image", {"prompt": "k", "loras": ["x"] * 9}, ["loras"]),
    ("edit_image", {"prompt": "k", "gptImageBackground": "transparent", "outputFormat": "jpg"}, ["outputFormat"]),
    ("generate_video", {"prompt": "k", "referenceFileUrl": "a", "referenceLinkUrl": "b"}, ["referenceLinkUrl"]),
    ("generate_video", {"prompt": "k", "videoModel": "seedance2-fast", "duration": 31}, ["videoModel", "duration"]),
    ("generate_music", {"prompt": "k", "timesig": 5, "duration": 601}, ["timesig", "duration"]),
    ("generate_music", {"prompt": "k", "model": "turbo"}, ["model"]),
    ("generate_speech", {"prompt": "k" * 4097, "creativity": 0}, ["prompt", "creativity"]),
    ("generate_speech", {"prompt": "k", "model": "clone"}, ["voiceSourceIndex"]),
    ("generate_speech", {"prompt": "k", "model": "clone", "voiceSourceIndex": 0, "voice_source_url": "data:,"},
     ["voice_source_url"]),
    ("generate_speech", {"prompt": "k", "model": "design"}, ["voiceDescription"]),
    ("upscale_image", {"scale": 1.5, "targetLongestEdge": 511}, ["scale", "targetLongestEdge"]),
    ("upscale_video", {"targetResolution": 720}, ["targetResolution"]),
    ("image_to_3d", {"sourceImageIndex": 0.5, "meshTargetFaces": 4999}, ["sourceImageIndex", "meshTargetFaces"]),
    ("image_to_3d", {"sourceImageIndex": 0, "source_image_url": "data:,", "leftViewImageIndex": 1,
                     "left_view_image_url": "data:,"}, ["source_image_url", "left_view_image_url"]),
    ("remove_background", {"sourceImageIndex": 0, "source_image_url": "data:,"}, ["source_image_url"]),
    ("segment_image", {}, ["text,"]),
    ("segment_image", {"points": [{"x": 0, "y": 0, "label": "negative"}]}, ["text,"]),
    ("segment_image", {"text": "k", "points": [{"x": 0, "y": 0, "label": "positive"}]}, ["points"]),
    ("segment_image", {"points": [{"x": 0, "y": 2, "label": "good"}]}, ["points[0].y", "points[0].label"]),
    ("segment_image", {"points": [{"x": 0, "y": 0, "label": "positive"}],
                       "boxes": [{"x0": 1, "y0": 0, "x1": 1, "y1": 1, "label": "negative"}]}, ["boxes", "boxes[0].x0"]),
    ("apply_style", {"prompt": "k", "scale": 2.5}, ["scale"]),
    ("restore_photo", {"quality": "best"}, ["prompt", "quality"]),
    ("refine_result", {"prompt": None}, ["prompt"]),
    ("animate_photo", {"prompt": "k", "sourceImageIndices": [0], "sourceImageIndex": 0, "numberOfVariations": 1},
     ["sourceImageIndex", "numberOfVariations"]),
    ("animate_photo", {"prompt": "k", "sourceImageIndices": [0, 1], "frameRole": "end", "endImageIndices": [1]},
     ["frameRole", "endImageIndices"]),
    ("animate_photo", {"prompt": "k", "prompts": ["a"]}, ["prompts"]),
    ("animate_photo", {"prompt": "k", "frameRole": "both", "duration": 21}, ["duration", "endImageIndex"]),
    ("change_angle", {"description": "from the side"}, ["description"]),
    ("change_angle", {"description": ANGLE, "loraStrength": 1.1}, ["loraStrength"]),
    ("video_to_video", {"prompt": "k", "controlMode": "odd"}, ["controlMode"]),
    ("stitch_video", {"videoIndices": [0]}, ["videoIndices"]),
    ("stitch_video", {"videoIndices": [0, 1], "transition": {"durationSeconds": 0.1}},
     ["transition.type", "transition.durationSeconds"]),
    ("orbit_video", {"angles": ["up"]}, ["angles[0]"]),
    ("dance_montage", {"dance": "tango"}, ["dance"]),
    ("dance_montage", {"dance": "chanel", "singleClip": True, "duration": 21}, ["duration"]),
    ("sound_to_video", {"prompt": "k", "audioStart": -1}, ["audioStart"]),
    ("extend_video", {}, ["duration"]),
    ("replace_video_segment", {"startSeconds": 2, "endSeconds": 2}, ["endSeconds"]),
    ("replace_video_segment", {"startSeconds": 3, "endSeconds": 2, "replacementVideoIndex": 1}, ["endSeconds"]),
    ("replace_video_segment", {"startSeconds": -1, "endSeconds": 2}, ["endSeconds"]),
    ("replace_video_segment", {"startSeconds": -2, "endSeconds": -1}, ["startSeconds"]),
    ("overlay_video", {"overlays": [{"kind": "text", "position": "center"}]}, ["overlays[0].text"]),
    ("overlay_video", {"overlays": [{"kind": "image", "position": "left"}]}, ["overlays[0].position"]),
    ("overlay_video", {"overlays": []}, ["overlays", "overlays"]),
    ("add_subtitles", {}, ["srt"]),
    ("add_subtitles", {"srt": "1", "cues": [{"startSeconds": 0, "endSeconds": 1, "text": "Hi"}]}, ["srt"]),
    ("add_subtitles", {"auto_transcribe": True}, ["auto_transcribe"]),
    ("enhance_prompt", {**ENHANCE, "assets": [{"media_type": "text"}]}, ["assets[0].media_type"]),
    ("enhance_prompt", {"prompt": "k", "target_output": "music_prompt"}, ["destination_model", "target_output"]),
    ("compose_lyrics", {"prompt": "k", "duration_seconds": 9}, ["duration_seconds"]),
    ("compose_instrumental", {}, ["prompt"]),
    ("compose_script", {"brief": "b", "scene_count": 0}, ["scene_count"]),
    ("compose_workflow", {"brief": "b", "return_format": "yaml"}, ["return_format"]),
    ("compose_workflow_template", {"brief": "b"}, ["name"]),
    ("compose_workflow_template", {"brief": "b", "name": "n" * 201}, ["name"]),
]  # fmt: skip


@each_row(("tool", "arguments"), VALID)
def test_what_fits_stays_as_it_is(tool: str, arguments: dict[str, Any]) -> None:
    checked = validate_tool_arguments(tool, arguments)
    assert (True, arguments, [], []) == (checked.ok, checked.arguments, checked.errors, checked.warnings)


@each_row(("tool", "arguments", "expected"), ALIASED)
def test_other_spellings_are_read(tool: str, arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    checked = validate_tool_arguments(tool, arguments)
    assert ([], expected) == (checked.errors, checked.arguments)
    assert all(" is read as " in warning for warning in checked.warnings)


@each_row(("tool", "arguments", "paths"), INVALID)
def test_what_does_not_fit_is_named(tool: str, arguments: dict[str, Any], paths: list[str]) -> None:
    checked = validate_tool_arguments(tool, arguments)
    assert (False, paths) == (checked.ok, [error.partition(" ")[0] for error in checked.errors])


@pytest.mark.parametrize("table", [VALID, ALIASED, INVALID])
def test_every_tool_stands_in_every_table(table: list[tuple[Any, ...]]) -> None:
    assert set(tool_names()) == {row[0] for row in table}


@pytest.mark.parametrize("arguments", [None, [], "{}", 3])
def test_arguments_are_an_object(arguments: Any) -> None:
    checked = validate_tool_arguments("orbit_video", arguments)
    assert (checked.ok, checked.arguments, len(checked.errors)) == (False, {}, 1)


def test_an_unknown_tool_is_named_with_the_nearest() -> None:
    checked = validate_tool_arguments("generate_images", {"a": 1})
    assert (checked.ok, checked.arguments) == (False, {"a": 1})
    assert checked.errors[0].startswith("'generate_images' is not a Sogni tool; did you mean 'generate_image'")


def test_a_spelling_that_is_none_of_the_lenient_ones_is_checked() -> None:
    checked = validate_tool_arguments("stitch_video", {"video_indices": [0, "x"]})
    assert checked.errors == ["videoIndices[1] must be a number, got 'x'"]


@pytest.mark.parametrize(
    ("tool", "arguments", "warning"),
    [
        ("generate_image", {"prompt": "k", "sourceImageIndex": 0}, "sourceImageIndex has no effect without "),
        ("generate_image", {"prompt": "k", "starting_image_strength": 0}, "starting_image_strength has no effect "),
        ("replace_video_segment", {"startSeconds": 0, "endSeconds": 1, "replacementEndSeconds": 1},
         "replacementEndSeconds has no effect without "),
        ("compose_lyrics", {"prompt": "k", "key": 1}, "key is unknown"),
        ("generate_video", {"prompt": "k", "loraStrengths": [1]}, "loraStrengths has no effect without loras"),
        ("video_to_video", {"prompt": "k", "outpaintPosition": "top"}, "outpaintPosition has no effect without "),
        ("generate_speech", {"prompt": "k", "voiceDescription": "deep"}, "voiceDescription has no effect without "),
        ("upscale_image", {"scale": 2, "targetLongestEdge": 900}, "scale has no effect with targetLongestEdge"),
        ("segment_image", {"text": "k", "multimask": True}, "multimask has no effect without points"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_a_warning(tool: str, arguments: dict[str, Any], warning: str) -> None:
    checked = validate_tool_arguments(tool, arguments)
    assert (checked.ok, len(checked.warnings)) == (True, 1)
    assert checked.warnings[0].startswith(warning)


def test_options_of_the_check() -> None:
    arguments = {"prompt": "k", "model": "any id", "width": "640", "other": 1}
    checked = validate_tool_arguments(
        "generate_image",
        arguments,
        skip_enum_properties=(),
        coerce_primitives=True,
        strip_unknown_properties=True,
    )
    assert checked.arguments == {"prompt": "k", "model": "any id", "width": 640}
    assert ([error.partition(" ")[0] for error in checked.errors], len(checked.warnings)) == (["model"], 2)
