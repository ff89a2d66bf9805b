"""Whether a video project may be sent (projects-4.2 §3.3, §6, §8; projects-5x §3, §4)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.video_requests import check_video_options, check_video_params
from sogni.errors import ValidationError
from sogni.models.catalogue import ModelOptions
from sogni.models.params import VideoControlNetParams, VideoKeyframe, VideoProjectParams
from tests.tables import each_row

NAN = float("nan")
T2V, I2V, S2V = "wan_v2.2-14b-fp8_t2v", "wan_v2.2-14b-fp8_i2v", "wan_v2.2-14b-fp8_s2v"
MOVE, REPLACE = "wan_v2.2-14b-fp8_animate-move_lightx2v", "wan_v2.2-14b-fp8_animate-replace_lightx2v"
LTX = "ltx23-22b-fp8_{}_distilled"
V2V = LTX.format("v2v")
SEEDANCE, SEEDANCE_25 = "seedance-2-0", "seedance-2-5"
HORSE = "happyhorse-1.1-{}"
WAN3, ENHANCED = "wan3.0-video", "wan3.0-spicy-video"
H3 = "minimax-h3-fl2va-fp8_{}"
H3_T2V, H3_I2V, H3_R2V = H3.format("t2v"), H3.format("i2v"), "minimax-h3-ref2va-fp8_r2v"
H3_A2V, H3_FLFA2V = "minimax-h3-fastvideo-int8_a2v_turbo", "minimax-h3-fastvideo-int8_flfa2v_turbo"
FLASH = "flashvsr_v1.1_tiny_long_bf16"
URL = "https://example.test/it"

FILE = b"file"
SINGLES = {
    "image": "reference_image",
    "end": "reference_image_end",
    "audio": "reference_audio",
    "identity": "reference_audio_identity",
    "video": "reference_video",
    "mask": "reference_mask",
}


def checked(model_id: str, **fields: Any) -> VideoProjectParams:
    return check_video_params(VideoProjectParams(**{"model_id": model_id, "positive_prompt": "a kite", **fields}))


def refused(model_id: str, **fields: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        checked(model_id, **fields)
    assert caught.value.status == 400
    assert str(caught.value.field).split("[")[0].split(".")[0] in str(caught.value)
    return caught.value


# --- the asset matrix (projects-4.2 §6.3, projects-5x §3.2): R required, O optional, X forbidden ---------------

MATRIX: list[tuple[str, str, str]] = [
    (FLASH, "upscale", "XXXXRX"),
    (T2V, "t2v", "XXXOXX"),
    (LTX.format("t2v"), "t2v", "XXXOXX"),
    (I2V, "i2v", "OOXOXX"),
    (LTX.format("i2v"), "i2v", "OOXOXX"),
    ("ltx23-22b-10eros-v1.4-fp8mixed_i2v", "i2v", "OOXOXX"),
    (H3.format("flf2v"), "flf2v", "RRXXXX"),
    (H3_FLFA2V, "flfa2v", "RRRXXX"),
    (S2V, "s2v", "RXRXXX"),
    (LTX.format("ia2v"), "ia2v", "RXRXXX"),
    ("minimax-h3-fastvideo-int8_ia2v_turbo", "ia2v", "RXRXXX"),
    (LTX.format("a2v"), "a2v", "XXRXXX"),
    (H3_A2V, "a2v", "XXRXXX"),
    (MOVE, "animate-move", "RXXXRX"),
    (REPLACE, "animate-replace", "RXXXRX"),
    (V2V, "v2v", "OXXORO"),
    (H3_R2V, "r2v", "OXOXOX"),
    (H3_I2V, "i2v", "OOXXXX"),
    (H3.format("t2v_turbo"), "t2v", "XXXOXX"),
    (H3_T2V, "t2v", "XXXOOX"),
]

EXTRA: dict[str, dict[str, Any]] = {
    FLASH: {"upscale_resolution": 1080, "positive_prompt": ""},
    V2V: {"control_net": {"name": "inpaint"}},
}


def needed(model_id: str, rules: str) -> dict[str, Any]:
    """The least that a model takes: what is required, and one image where at least one is."""
    media = {name: FILE for name, rule in zip(SINGLES.values(), rules, strict=True) if rule == "R"}
    if "i2v" in model_id or model_id == H3_R2V:
        media |= {"reference_image": FILE}
    return media | EXTRA.get(model_id, {})


@each_row(("model_id", "workflow", "rules"), MATRIX)
def test_a_workflow_takes_what_it_needs(model_id: str, workflow: str, rules: str) -> None:
    assert checked(model_id, **needed(model_id, rules)).model_id == model_id
    for name, rule in zip(SINGLES.values(), rules, strict=True):
        if rule == "O":
            assert getattr(checked(model_id, **needed(model_id, rules) | {name: True}), name) is True


@each_row(
    ("model_id", "workflow", "name"),
    [
        (model_id, workflow, name)
        for model_id, workflow, rules in MATRIX
        for name, rule in zip(SINGLES.values(), rules, strict=True)
        if rule == "R"
    ],
)
def test_what_is_missing_is_named_with_its_workflow(model_id: str, workflow: str, name: str) -> None:
    rules = next(row[2] for row in MATRIX if row[0] == model_id)
    error = refused(model_id, **needed(model_id, rules) | {name: None})
    assert (name, None) == (error.field, error.value)
    assert f"{name} must be given for {model_id} ({workflow})" in str(error)


@each_row(
    ("model_id", "workflow", "name"),
    [
        (model_id, workflow, name)
        for model_id, workflow, rules in MATRIX
        for name, rule in zip(SINGLES.values(), rules, strict=True)
        if rule == "X"
    ],
)
def test_what_is_forbidden_is_named_with_its_workflow(model_id: str, workflow: str, name: str) -> None:
    rules = next(row[2] for row in MATRIX if row[0] == model_id)
    error = refused(model_id, **needed(model_id, rules) | {name: True})
    assert (name, True, "None") == (error.field, error.value, error.allowed)
    assert f"{name} must be omitted for {model_id} ({workflow}), got True" in str(error)


@pytest.mark.parametrize("model_id", [I2V, LTX.format("i2v"), H3_I2V])
def test_i2v_needs_one_of_two_images(model_id: str) -> None:
    assert "or a reference_image_end" in str(refused(model_id))
    assert checked(model_id, reference_image_end=FILE).reference_image is None


# --- single refusals: model, fields, the field that is named ----------------------------------------------------

POINTS = [{"x": 0.25, "y": 1}]
CLIPS = {"reference_video": FILE, "reference_videos": [FILE]}

REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("no video model", "flux1-schnell-fp8", {}, "model_id"),
    ("no id", "", {}, "model_id"),
    # types: numbers are numbers, texts texts, flags flags
    *(
        (f"{name} as {value!r}", T2V, {name: value}, name)
        for name in (
            "duration", "fps", "width", "height", "shift", "teacache_threshold", "audio_identity_strength",
            "audio_start", "audio_duration", "video_start", "detailer_strength", "first_frame_strength",
            "last_frame_strength", "guidance", "frames", "steps", "seed",
        )
        for value in ("5", True, NAN, float("inf"))
    ),
    *((f"{name} half", T2V, {name: 1.5}, name) for name in ("frames", "steps", "seed")),
    *(
        (f"{name} as a number", T2V, {name: 3}, name)
        for name in ("positive_prompt", "negative_prompt", "style_prompt", "output_format", "outpaint_position")
    ),
    *((f"{name} as a text", T2V, {name: "yes"}, name) for name in ("generate_audio", "trim_end_frame")),
    ("no results", T2V, {"number_of_media": 0}, "number_of_media"),
    ("a network there is not", T2V, {"network": "slow"}, "network"),
    ("a token there is not", T2V, {"token_type": "gold"}, "token_type"),
    ("nine LoRAs", T2V, {"loras": list("abcdefghi")}, "loras"),
    # before the media (projects-5x §3.2)
    ("a format there is not", T2V, {"output_format": "webm"}, "output_format"),
    ("mov elsewhere", T2V, {"output_format": "mov"}, "output_format"),
    ("mov on Seedance 2.0", SEEDANCE, {"output_format": "mov"}, "output_format"),
    ("the last frame of others", SEEDANCE, {"return_last_frame": True}, "return_last_frame"),
    ("the last frame as a text", SEEDANCE_25, {"return_last_frame": "yes"}, "return_last_frame"),
    *(
        (f"{name} elsewhere", I2V, {"reference_image": FILE, name: [FILE]}, name)
        for name in ("context_images", "reference_videos", "reference_audios")
    ),
    *(
        (f"{name} that is no list", H3_R2V, {name: FILE}, name)
        for name in ("context_images", "reference_videos", "reference_audios")
    ),
    *(
        (f"{name} with an empty entry", H3_R2V, {name: [FILE, None]}, f"{name}[1]")
        for name in ("context_images", "reference_videos", "reference_audios")
    ),
    ("durations elsewhere", T2V, {"reference_video_durations": []}, "reference_video_durations"),
    *(
        (f"{name}, even empty, on {model_id}", model_id, {name: [], "reference_image": FILE}, name)
        for name in ("reference_image_urls", "reference_video_urls", "reference_audio_urls")
        for model_id in (I2V, H3_R2V)
    ),
    *(
        (f"{name} of Wan 3 elsewhere", T2V, {name: value}, name)
        for name, value in {
            "reference_file_url": URL, "reference_link_url": URL, "ratio": "1:1", "prompt_extend": False,
            "watermark": False,
        }.items()
    ),
    ("a task elsewhere", SEEDANCE, {"seedance_task_type": "edit"}, "seedance_task_type"),
    ("keyframes elsewhere", H3_T2V, {"keyframes": [VideoKeyframe(image=FILE, frame_index=2)]}, "keyframes"),
    ("an extension elsewhere", H3.format("t2v_turbo"), {"extend_output": "extended"}, "extend_output"),
    ("compression elsewhere", T2V, {"reference_video_compression": "vpack"}, "reference_video_compression"),
    ("enlarging elsewhere", T2V, {"upscale_resolution": 1080}, "upscale_resolution"),
    # coordinates (projects-4.2 §6.3, rule 4)
    ("coordinates elsewhere", MOVE, {"reference_image": 1, "reference_video": 1, "sam2_coordinates": []},
     "sam2_coordinates"),
    ("coordinates on t2v", T2V, {"sam2_coordinates": POINTS}, "sam2_coordinates"),
    *(
        (f"coordinates as {value!r}", REPLACE, {"sam2_coordinates": value}, field)
        for value, field in (
            ("[]", "sam2_coordinates"), ([1], "sam2_coordinates[0]"), ([{"x": 1}], "sam2_coordinates[0]"),
            ([{"x": "1", "y": 0}], "sam2_coordinates[0].x"), ([{"x": 1, "y": NAN}], "sam2_coordinates[0].y"),
        )
    ),
    # Seedance (projects-4.2 §6.4, projects-5x §4.3)
    *(
        (f"{name} {words}", SEEDANCE, {name: value}, field)
        for name in ("reference_image_urls", "reference_video_urls", "reference_audio_urls")
        for words, value, field in (
            ("as a text", URL, name), ("with a number", [5], f"{name}[0]"), ("with a blank", [URL, " "], f"{name}[1]"),
        )
    ),
    ("ten images", SEEDANCE, {"reference_image_urls": [URL] * 10}, "reference_image_urls"),
    ("nine addresses and a file", SEEDANCE, {"reference_image": FILE, "reference_image_urls": [URL] * 9},
     "reference_image"),
    ("first, last and eight", SEEDANCE,
     {"reference_image": FILE, "reference_image_end": FILE, "reference_image_urls": [URL] * 8}, "reference_image"),
    ("four videos", SEEDANCE, {"reference_video": FILE, "reference_video_urls": [URL] * 3}, "reference_video"),
    ("four audios", SEEDANCE,
     {"reference_image": FILE, "reference_audio_identity": FILE, "reference_audio_urls": [URL] * 3},
     "reference_audio_identity"),
    ("thirteen in all", SEEDANCE,
     {"reference_image_urls": [URL] * 7, "reference_video_urls": [URL] * 3, "reference_audio_urls": [URL] * 3},
     "reference_image_urls"),
    ("audio alone", SEEDANCE, {"reference_audio": FILE}, "reference_image"),
    ("a voice alone", SEEDANCE, {"reference_audio_identity": FILE}, "reference_image"),
    ("an audio address alone", SEEDANCE, {"reference_audio_urls": [URL]}, "reference_image"),
    ("a mask", SEEDANCE, {"reference_mask": FILE}, "reference_mask"),
    ("thirty-one images on 2.5", SEEDANCE_25,
     {"seedance_task_type": "reference", "reference_image_urls": [URL] * 31}, "reference_image_urls"),
    ("eleven videos on 2.5", SEEDANCE_25,
     {"seedance_task_type": "edit", "reference_video_urls": [URL] * 11}, "reference_video_urls"),
    ("eleven audios on 2.5", SEEDANCE_25,
     {"seedance_task_type": "reference", "reference_audio_urls": [URL] * 11}, "reference_audio_urls"),
    ("a task there is not", SEEDANCE_25, {"seedance_task_type": "dream"}, "seedance_task_type"),
    *(
        (f"{name} without a task", SEEDANCE_25, {name: value}, "seedance_task_type")
        for name, value in {
            "reference_image_urls": [URL], "reference_video_urls": [URL], "reference_audio_urls": [URL],
            "reference_video": FILE, "reference_audio": FILE,
        }.items()
    ),
    *(
        (f"a task with {name}", SEEDANCE_25,
         {"seedance_task_type": "reference", name: FILE, "reference_video": FILE}, "seedance_task_type")
        for name in ("reference_image", "reference_image_end")
    ),
    *(
        (f"{task} without a video", SEEDANCE_25,
         {"seedance_task_type": task, "reference_image_urls": [URL]}, "seedance_task_type")
        for task in ("edit", "extend")
    ),
    ("a reference task without any", SEEDANCE_25, {"seedance_task_type": "reference"}, "seedance_task_type"),
    # HappyHorse (projects-5x §4.4)
    ("a video", HORSE.format("r2v"), {"reference_image": FILE, "reference_video": FILE}, "reference_video"),
    ("a video address", HORSE.format("r2v"), {"reference_video_urls": [URL]}, "reference_video_urls"),
    ("an audio", HORSE.format("i2v"), {"reference_image": FILE, "reference_audio": FILE}, "reference_audio"),
    ("an audio address", HORSE.format("i2v"), {"reference_audio_urls": [URL]}, "reference_audio_urls"),
    ("a voice", HORSE.format("t2v"), {"reference_audio_identity": FILE}, "reference_audio_identity"),
    ("a last frame", HORSE.format("i2v"), {"reference_image": FILE, "reference_image_end": FILE},
     "reference_image_end"),
    ("no image for i2v", HORSE.format("i2v"), {}, "reference_image"),
    ("two images for i2v", HORSE.format("i2v"), {"reference_image": FILE, "reference_image_urls": [URL]},
     "reference_image"),
    ("no image for r2v", HORSE.format("r2v"), {}, "reference_image"),
    ("ten images for r2v", HORSE.format("r2v"), {"reference_image_urls": [URL] * 10}, "reference_image_urls"),
    ("an image for t2v", HORSE.format("t2v"), {"reference_image_urls": [URL]}, "reference_image_urls"),
    # Wan 3 (projects-5x §4.5)
    *(
        (f"{name} {value!r}", WAN3, {name: value}, name)
        for name in ("reference_file_url", "reference_link_url")
        for value in ("", "http://example.test/x", "example.test", "https://", "https://[")
    ),
    ("both documents", WAN3, {"reference_file_url": URL, "reference_link_url": URL}, "reference_link_url"),
    ("a file for Enhanced", ENHANCED, {"reference_file_url": URL}, "reference_file_url"),
    ("a link for Enhanced", ENHANCED, {"reference_link_url": URL}, "reference_link_url"),
    ("prompt_extend as a text", WAN3, {"prompt_extend": "yes"}, "prompt_extend"),
    ("watermark as a text", WAN3, {"watermark": "yes"}, "watermark"),
    ("a watermark for Enhanced", ENHANCED, {"watermark": False}, "watermark"),
    *((f"{fps} fps", WAN3, {"fps": fps}, "fps") for fps in (24, 29.97, 31)),
    ("more fps of H3", H3_T2V, {"fps": 24.5}, "fps"),
    ("a ratio there is not", WAN3, {"ratio": "2:1"}, "ratio"),
    ("a voice for Wan 3", WAN3, {"reference_audio_identity": FILE}, "reference_audio_identity"),
    ("a mask for Wan 3", WAN3, {"reference_mask": FILE}, "reference_mask"),
    ("a seed below", WAN3, {"seed": -1}, "seed"),
    ("a seed above", WAN3, {"seed": 2**31}, "seed"),
    ("a last frame alone", WAN3, {"reference_image_end": FILE}, "reference_image_end"),
    *(
        (f"a first frame with {name}", WAN3, {"reference_image": FILE, name: value}, name)
        for name, value in {
            "reference_image_urls": [URL], "reference_video_urls": [URL], "reference_audio_urls": [URL],
            "reference_video": FILE, "reference_audio": FILE, "reference_file_url": URL, "reference_link_url": URL,
        }.items()
    ),
    ("eleven images", WAN3, {"reference_image_urls": [URL] * 11}, "reference_image_urls"),
    ("six videos", WAN3, {"reference_video": FILE, "reference_video_urls": [URL] * 5}, "reference_video"),
    ("six audios", WAN3, {"reference_audio_urls": [URL] * 6}, "reference_audio_urls"),
    ("nothing at all", WAN3, {"positive_prompt": " "}, "positive_prompt"),
    # MiniMax H3 (projects-5x §4.6)
    ("other fps of H3", H3_T2V, {"fps": 25}, "fps"),
    ("other steps", H3_T2V, {"steps": 4}, "steps"),
    ("other guidance", H3_T2V, {"guidance": 2}, "guidance"),
    ("a negative prompt", H3_T2V, {"negative_prompt": "rain"}, "negative_prompt"),
    *((f"{frames} frames", H3_T2V, {"frames": frames}, "frames") for frames in (107, 125, 379)),
    ("width alone", H3_T2V, {"width": 672}, "width"),
    ("height alone", H3_T2V, {"height": 672}, "height"),
    ("half pixels", H3_T2V, {"width": 672.5, "height": 384}, "width"),
    ("no multiple of 32", H3_T2V, {"width": 672, "height": 400}, "height"),
    ("no width", H3_T2V, {"width": 0, "height": 384}, "width"),
    ("too small for H3", H3_T2V, {"width": 0, "height": 32}, "width"),
    ("too high", H3_T2V, {"width": 384, "height": 1376}, "height"),
    ("too wide", H3_T2V, {"width": 1376, "height": 384}, "width"),
    ("too many pixels", H3_T2V, {"width": 1344, "height": 800}, "width"),
    ("an audio duration", H3_A2V, {"reference_audio": FILE, "audio_duration": 5}, "audio_duration"),
    ("an audio start without a guide", H3_T2V, {"audio_start": 0}, "audio_start"),
    ("an audio start below", H3_A2V, {"reference_audio": FILE, "audio_start": -1}, "audio_start"),
    ("a mute guide", H3_A2V, {"reference_audio": FILE, "generate_audio": False}, "generate_audio"),
    ("ten pictures", H3_R2V, {"reference_image": FILE, "context_images": [FILE] * 9}, "reference_image"),
    ("four clips", H3_R2V, {"reference_videos": [FILE] * 4}, "reference_videos"),
    ("four sounds", H3_R2V, {"reference_audio": FILE, "reference_audios": [FILE] * 3, "reference_image": FILE},
     "reference_audio"),
    ("thirteen references", H3_R2V,
     {"context_images": [FILE] * 9, "reference_videos": [FILE] * 3, "reference_audio": FILE}, "context_images"),
    ("no reference", H3_R2V, {}, "reference_image"),
    ("sound alone", H3_R2V, {"reference_audio": FILE}, "reference_image"),
    ("a duration too few", H3_R2V, CLIPS | {"reference_video_durations": [5]}, "reference_video_durations"),
    ("a clip too short", H3_R2V, CLIPS | {"reference_video_durations": [5, 1.9]}, "reference_video_durations[1]"),
    ("a clip too long", H3_R2V, CLIPS | {"reference_video_durations": [15.1, 2]}, "reference_video_durations[0]"),
    ("clips too long", H3_R2V, CLIPS | {"reference_video_durations": [8, 7.1]}, "reference_video_durations"),
    ("a duration as a text", H3_R2V, CLIPS | {"reference_video_durations": ["8", 7]}, "reference_video_durations[0]"),
    ("a compression there is not", H3_R2V, CLIPS | {"reference_video_compression": "zip"},
     "reference_video_compression"),
    ("nothing to compress", H3_R2V, {"reference_image": FILE, "reference_video_compression": "vpack"},
     "reference_video_compression"),
    ("compression in two stages", H3_R2V + "_2stage", CLIPS | {"reference_video_compression": "vpack"},
     "reference_video_compression"),
    ("an output there is not", H3_T2V, {"extend_output": "all"}, "extend_output"),
    *(
        (f"keyframes {words}", H3_I2V, {"reference_image": FILE, "frames": 124, **fields}, field)
        for words, fields, field in (
            ("as a text", {"keyframes": "x"}, "keyframes"),
            ("as numbers", {"keyframes": [3]}, "keyframes[0]"),
            ("of nothing", {"keyframes": [None]}, "keyframes[0]"),
            ("without image", {"keyframes": [{"image": None, "frame_index": 3}]}, "keyframes[0].image"),
            ("at half a frame", {"keyframes": [{"image": FILE, "frame_index": 3.5}]}, "keyframes[0].frame_index"),
            ("at the first frame", {"keyframes": [{"image": FILE, "frame_index": 0}]}, "keyframes[0].frame_index"),
            ("at the last frame", {"keyframes": [{"image": FILE, "frame_index": 123}]}, "keyframes[0].frame_index"),
            ("twice", {"keyframes": [{"image": FILE, "frame_index": 3}] * 2}, "keyframes[1].frame_index"),
            ("too many", {"keyframes": [{"image": FILE, "frame_index": 3}] * 9}, "keyframes"),
            ("nowhere", {"keyframes": [{"image": FILE, "frame_index": 3}], "frames": None}, "keyframes"),
        )
    ),
    # FlashVSR (projects-5x §4.7)
    *(
        (f"FlashVSR: {words}", FLASH,
         {"reference_video": FILE, "positive_prompt": "", "upscale_resolution": 1080, **fields}, field)
        for words, fields, field in (
            ("preference", {"detail_preference": "wild"}, "detail_preference"),
            ("speed", {"processing_speed": "slow"}, "processing_speed"),
            ("seed below", {"seed": -2}, "seed"),
            ("seed above", {"seed": 2**32}, "seed"),
            ("resolution", {"upscale_resolution": 720}, "upscale_resolution"),
            ("no resolution", {"upscale_resolution": None}, "upscale_resolution"),
            ("resolution of the size", {"upscale_resolution": None, "width": 900, "height": 700},
             "upscale_resolution"),
            ("no video", {"reference_video": None}, "reference_video"),
            ("fps below", {"fps": 0.5}, "fps"),
            ("fps above", {"fps": 61}, "fps"),
            ("no frames", {"frames": 0}, "frames"),
            ("duration without fps", {"duration": 5}, "fps"),
            ("less than a frame", {"duration": 0.01, "fps": 25}, "duration"),
            ("prompt", {"positive_prompt": "a kite"}, "positive_prompt"),
            ("negative prompt", {"negative_prompt": "rain"}, "negative_prompt"),
            ("style prompt", {"style_prompt": "ink"}, "style_prompt"),
            ("teacache", {"teacache_threshold": 0}, "teacache_threshold"),
            ("trimming", {"trim_end_frame": True}, "trim_end_frame"),
            ("control net", {"control_net": {"name": "canny"}}, "control_net"),
            ("start", {"video_start": 0}, "video_start"),
            ("silence", {"generate_audio": False}, "generate_audio"),
            ("two", {"number_of_media": 2}, "number_of_media"),
            ("too small", {"width": 470, "height": 1080}, "width"),
        )
    ),
    # ranges (projects-4.2 §6.6, §6.8)
    *(
        (f"{duration} s on {model_id}", model_id, {"duration": duration, **fields}, "duration")
        for model_id, duration, fields in (
            (T2V, 0.99, {}), (T2V, 10.01, {}), (T2V, 0, {}),
            (S2V, 10.5, {"reference_image": FILE, "reference_audio": FILE}),
            (MOVE, 20.5, {"reference_image": FILE, "reference_video": FILE}),
            (LTX.format("t2v"), 0, {}), (LTX.format("t2v"), -1, {}),
            (SEEDANCE, 3.9, {}), (SEEDANCE, 15.1, {}), (SEEDANCE_25, 30.5, {}),
            (HORSE.format("t2v"), 2.9, {}), (HORSE.format("t2v"), 15.1, {}),
            (WAN3, 1.9, {}), (WAN3, 30.1, {}), (H3_T2V, 5.16, {}), (H3_T2V, 15.09, {}),
        )
    ),
    ("teacache below", T2V, {"teacache_threshold": -0.1}, "teacache_threshold"),
    ("teacache above", T2V, {"teacache_threshold": 1.1}, "teacache_threshold"),
    ("control strength below", V2V, {"reference_video": 1, "control_net": {"name": "pose", "strength": -0.1}},
     "control_net.strength"),
    ("control strength above", T2V, {"control_net": {"name": "pose", "strength": 1.1}}, "control_net.strength"),
    ("a control net without name", T2V, {"control_net": {"name": ""}}, "control_net.name"),
    ("a control net as a text", T2V, {"control_net": "pose"}, "control_net"),
    ("a fraction of a pixel", T2V, {"width": 640.5, "height": 480}, "width"),
    ("a fraction of a pixel to snap", LTX.format("t2v"), {"width": 640, "height": 480.5}, "height"),
    ("too narrow", T2V, {"width": 479, "height": 640}, "width"),
    ("too low", T2V, {"width": 640, "height": 479.5}, "height"),
]  # fmt: skip


@each_row(
    ("model_id", "fields", "field"), [row[1:] for row in REFUSED], ids=[f"{row[0]} ({row[1]})" for row in REFUSED]
)
def test_what_breaks_a_rule_is_refused(model_id: str, fields: dict[str, Any], field: str) -> None:
    error = refused(model_id, **fields)
    assert (field, True) == (error.field, bool(error.allowed))
    if isinstance(given := fields.get(field), str | int | float):
        assert repr(given) == repr(error.value)


@each_row(
    ("model_id", "fields", "allowed"),
    [
        (T2V, {"output_format": "mov"}, ("mp4",)),
        (SEEDANCE_25, {"output_format": "webm"}, ("mp4", "mov")),
        (SEEDANCE_25, {"seedance_task_type": "dream"}, ("reference", "edit", "extend")),
        (SEEDANCE_25, {"reference_video_urls": [URL]}, ("reference", "edit", "extend")),
        (WAN3, {"ratio": "2:1"}, ("adaptive", "16:9", "4:3", "1:1", "3:4", "9:16")),
        (H3_T2V, {"extend_output": "all"}, ("extended", "continuation")),
        (H3_R2V, CLIPS | {"reference_video_compression": "zip"}, ("none", "vpack")),
        (FLASH, {"detail_preference": "wild"}, ("stable", "sharper")),
        (FLASH, {"processing_speed": "slow"}, ("stable", "faster")),
        (FLASH, {"reference_video": FILE, "upscale_resolution": 720}, (1080, 1440)),
        (T2V, {"network": "slow"}, ("fast", "relaxed")),
        (T2V, {"token_type": "gold"}, ("sogni", "spark")),
        (T2V, {"billing_mode": "free"}, ("auto", "subscription", "tokens")),
    ],
)
def test_of_a_few_words_all_are_told(model_id: str, fields: dict[str, Any], allowed: tuple[Any, ...]) -> None:
    assert allowed == refused(model_id, **fields).allowed


@each_row(
    ("model_id", "fields", "allowed", "count"),
    [
        (SEEDANCE, {"reference_image_urls": [URL] * 10}, "at most 9", 10),
        (SEEDANCE, {"reference_video_urls": [URL] * 4}, "at most 3", 4),
        (SEEDANCE, {"reference_image": FILE, "reference_audio_urls": [URL] * 4}, "at most 3", 4),
        (
            SEEDANCE,
            {
                "reference_image_urls": [URL] * 7,
                "reference_video_urls": [URL] * 3,
                "reference_audio_urls": [URL] * 3,
            },
            "at most 12",
            13,
        ),
        (SEEDANCE, {"reference_audio_urls": [URL]}, "at least 1", 0),
        (SEEDANCE_25, {"seedance_task_type": "edit", "reference_image_urls": [URL] * 31}, "at most 30", 31),
        (SEEDANCE_25, {"seedance_task_type": "edit", "reference_video_urls": [URL] * 11}, "at most 10", 11),
        (SEEDANCE_25, {"seedance_task_type": "edit", "reference_audio_urls": [URL] * 11}, "at most 10", 11),
        (HORSE.format("t2v"), {"reference_image_urls": [URL]}, "exactly 0", 1),
        (HORSE.format("i2v"), {}, "exactly 1", 0),
        (HORSE.format("i2v"), {"reference_image_urls": [URL] * 2}, "exactly 1", 2),
        (HORSE.format("r2v"), {}, "from 1 to 9", 0),
        (HORSE.format("r2v"), {"reference_image_urls": [URL] * 10}, "from 1 to 9", 10),
        (WAN3, {"reference_image_urls": [URL] * 11}, "at most 10", 11),
        (WAN3, {"reference_video": FILE, "reference_video_urls": [URL] * 5}, "at most 5", 6),
        (WAN3, {"reference_audio": FILE, "reference_audio_urls": [URL] * 5}, "at most 5", 6),
        (H3_R2V, {"reference_image": FILE, "context_images": [FILE] * 9}, "at most 9", 10),
        (H3_R2V, {"reference_videos": [FILE] * 4}, "at most 3", 4),
        (H3_R2V, {"reference_image": FILE, "reference_audios": [FILE] * 4}, "at most 3", 4),
        (H3_R2V, {}, "at least 1", 0),
    ],
)
def test_counts_say_how_many_there_are_and_may_be(
    model_id: str, fields: dict[str, Any], allowed: str, count: int
) -> None:
    """Projects-4.2 §6.4; projects-5x §4.3 to §4.6."""
    error = refused(model_id, **fields)
    assert (allowed, count) == (error.allowed, error.value)


def test_fifty_references_are_the_most_of_seedance_25() -> None:
    """Each kind at its limit makes fifty, so that the total alone is never exceeded."""
    most = {
        "seedance_task_type": "edit",
        "reference_image_urls": [URL] * 30,
        "reference_video_urls": [URL] * 10,
        "reference_audio_urls": [URL] * 10,
    }
    assert checked(SEEDANCE_25, **most).seedance_task_type == "edit"


# --- what is allowed, and left to the service -------------------------------------------------------------------

ALLOWED: list[tuple[str, str, dict[str, Any]]] = [
    ("any fps", T2V, {"fps": 17}),
    ("any number of frames", T2V, {"frames": 5000}),
    ("any shift", T2V, {"shift": 99}),
    ("any steps and guidance", T2V, {"steps": 999, "guidance": -1}),
    ("any size from 480 on", T2V, {"width": 480, "height": 9001}),
    ("the ends of a range", T2V, {"duration": 1, "teacache_threshold": 0}),
    ("the other ends", T2V, {"duration": 10, "teacache_threshold": 1}),
    ("no coordinates", REPLACE, {"reference_image": 1, "reference_video": 1, "sam2_coordinates": []}),
    ("empty lists", SEEDANCE, {"reference_image_urls": [], "reference_video_urls": [], "reference_audio_urls": []}),
    ("a voice and audio count as one", SEEDANCE,
     {"reference_image": 1, "reference_audio": 1, "reference_audio_identity": 1, "reference_audio_urls": [URL] * 2}),
    ("first and last frame", SEEDANCE_25, {"reference_image": FILE, "reference_image_end": FILE}),
    ("audio alone on 2.5", SEEDANCE_25, {"seedance_task_type": "reference", "reference_audio": FILE}),
    ("mov on 2.5", SEEDANCE_25, {"output_format": "mov", "return_last_frame": False}),
    ("doing without the last frame", T2V, {"return_last_frame": False}),
    ("no keyframes, for any model", T2V, {"keyframes": []}),
    ("no compression, for any model", T2V, {"reference_video_compression": "none"}),
    ("doing without it, in the older Seedance", SEEDANCE, {"return_last_frame": False}),
    ("a file that is edited", SEEDANCE_25, {"seedance_task_type": "edit", "reference_video": FILE}),
    ("nine pictures", HORSE.format("r2v"), {"reference_image": FILE, "reference_image_urls": [URL] * 8}),
    ("one address", HORSE.format("i2v"), {"reference_image_urls": [URL]}),
    *((f"the ratio {it}", WAN3, {"ratio": it}) for it in ("adaptive", "16:9", "4:3", "1:1", "3:4", "9:16")),
    ("five videos and audios", WAN3, {"reference_video_urls": [URL] * 5, "reference_audio_urls": [URL] * 5}),
    ("ten images of Wan 3", WAN3, {"reference_image_urls": [URL] * 10}),
    ("the largest seed of Wan 3", WAN3, {"seed": 2**31 - 1}),
    ("a prompt alone", WAN3, {"ratio": "adaptive", "fps": 30, "seed": 0, "watermark": True, "prompt_extend": False}),
    ("a document without prompt", WAN3, {"positive_prompt": "", "reference_file_url": URL}),
    ("frames without prompt", WAN3, {"positive_prompt": "", "reference_image": 1, "reference_image_end": 1}),
    ("a last frame for Enhanced", ENHANCED, {"reference_image_end": FILE, "prompt_extend": True}),
    ("everything H3 fixes", H3_T2V,
     {"fps": 24, "steps": 20, "guidance": 1, "negative_prompt": " ", "frames": 141, "generate_audio": False,
      "width": 1344, "height": 768}),
    ("the widest canvas", H3_T2V, {"width": 1344, "height": 32}),
    ("eight keyframes", H3_I2V,
     {"reference_image": FILE, "frames": 124,
      "keyframes": [{"image": FILE, "frame_index": it} for it in (1, 2, 3, 4, 5, 6, 7, 122)]}),
    ("an extension", H3_T2V, {"reference_video": FILE, "extend_output": "continuation"}),
    ("LoRAs beside a guide", H3_A2V, {"reference_audio": FILE, "audio_start": 0, "loras": ["a"]}),
    ("as many references as there may be", H3_R2V,
     {"context_images": [FILE] * 9, "reference_videos": [FILE] * 2, "reference_audio": FILE}),
    ("clips as long as they may be", H3_R2V,
     CLIPS | {"reference_video_durations": [13.05, 2], "reference_video_compression": "vpack"}),
    ("the shortest clip", H3_R2V, {"reference_video": FILE, "reference_video_durations": [1.95]}),
    ("the longest clip", H3_R2V, {"reference_video": FILE, "reference_video_durations": [15.05]}),
    *(
        (f"compression on {it}", it, CLIPS | {"reference_video_compression": "vpack"})
        for it in (H3_R2V + "_turbo", H3_R2V + "_balanced", "minimax-h3-fastvideo-omni-int8_r2v_turbo")
    ),
    ("no compression", H3_R2V, {"reference_image": FILE, "reference_video_compression": "none"}),
    ("no keyframes", H3_I2V, {"reference_image": FILE, "keyframes": []}),
    ("a video to enlarge", FLASH,
     {"reference_video": FILE, "positive_prompt": "", "width": 1440, "height": 1920, "seed": -1}),
    ("its timing", FLASH,
     {"reference_video": FILE, "positive_prompt": "", "upscale_resolution": 1080, "frames": 5, "fps": 60}),
    ("a single frame", FLASH,
     {"reference_video": FILE, "positive_prompt": "", "upscale_resolution": 1080, "frames": 1, "fps": 1}),
    ("as long as a frame", FLASH,
     {"reference_video": FILE, "positive_prompt": "", "upscale_resolution": 1080, "duration": 0.04, "fps": 25}),
    ("its length", FLASH,
     {"reference_video": FILE, "positive_prompt": "", "upscale_resolution": 1440, "duration": 900, "fps": 25}),
]  # fmt: skip


@each_row(("model_id", "fields"), [row[1:] for row in ALLOWED], ids=[row[0] for row in ALLOWED])
def test_the_rest_is_the_services_matter(model_id: str, fields: dict[str, Any]) -> None:
    assert checked(model_id, **fields).model_id == model_id


def test_values_become_plain() -> None:
    params = checked(
        REPLACE,
        reference_image=True,
        reference_video=True,
        duration=5.0,
        number_of_media=None,
        sam2_coordinates=({"x": 1.0, "y": 0.5, "label": 1},),
    )
    assert (params.duration, params.number_of_media) == (5, 1)
    assert params.sam2_coordinates == [{"x": 1, "y": 0.5, "label": 1}]
    params = checked(V2V, reference_video=True, control_net={"name": "pose", "strength": 1.0})
    assert params.control_net == VideoControlNetParams(name="pose", strength=1)


def test_keyframes_are_placed_in_the_frames_of_the_duration() -> None:
    params = checked(H3_I2V, reference_image=True, duration=6, keyframes=[{"image": FILE, "frame_index": 139.0}])
    assert params.keyframes == [VideoKeyframe(image=FILE, frame_index=139)]


def test_the_resolution_may_follow_from_the_size() -> None:
    params = checked(FLASH, reference_video=True, positive_prompt="", width=1920, height=1080)
    assert params.upscale_resolution == 1080


def test_checking_twice_changes_nothing() -> None:
    params = checked(H3_I2V, reference_image=True, frames=124, keyframes=[{"image": FILE, "frame_index": 5}])
    assert params == check_video_params(params)


@each_row(
    ("model_id", "fields", "field"),
    [
        (I2V, {"reference_audio": FILE}, "reference_image"),
        (S2V, {}, "reference_image"),
        (S2V, {"reference_image_end": FILE}, "reference_image"),
        (S2V, {"reference_image": FILE, "reference_image_end": FILE}, "reference_image_end"),
        (LTX.format("a2v"), {"reference_image": FILE}, "reference_image"),
        (LTX.format("a2v"), {"reference_video": FILE}, "reference_audio"),
        (MOVE, {"reference_image": FILE, "reference_audio": FILE}, "reference_audio"),
        (MOVE, {"reference_image": FILE, "reference_audio_identity": FILE}, "reference_audio_identity"),
        (MOVE, {"reference_image": FILE, "reference_mask": FILE}, "reference_video"),
    ],
)
def test_of_several_mistakes_the_leftmost_column_is_named(model_id: str, fields: dict[str, Any], field: str) -> None:
    """Projects-4.2 §6.3, rule 5: asset by asset, missing or forbidden, as the columns stand."""
    assert field == refused(model_id, **fields).field


SEEDANCE_ORDER: list[tuple[str, dict[str, Any], str]] = [
    ("an address that is none", {"reference_audio_urls": [""]}, "reference_audio_urls[0]"),
    ("images", {"reference_image_urls": [URL] * 10}, "must be at most 9 reference images"),
    ("videos", {"reference_video_urls": [URL] * 4}, "must be at most 3 reference videos"),
    ("audios", {"reference_audio_urls": [URL] * 4}, "must be at most 3 reference audios"),
]


@pytest.mark.parametrize("first", range(len(SEEDANCE_ORDER)), ids=[row[0] for row in SEEDANCE_ORDER])
def test_seedance_counts_images_then_videos_then_audios(first: int) -> None:
    """Projects-4.2 §6.4: the form of every address, then the counts; all of these are thirteen and more."""
    fields: dict[str, Any] = {}
    for _, mistake, _ in reversed(SEEDANCE_ORDER[first:]):
        fields |= mistake
    if first < 3:
        fields["reference_audio_urls"] = [""] if first == 0 else [URL] * 4
    assert SEEDANCE_ORDER[first][2] in str(refused(SEEDANCE, **fields))


ORDER: list[tuple[dict[str, Any], str]] = [
    ({"model_id": "none"}, "model_id"),
    ({"teacache_threshold": 2}, "teacache_threshold"),
    ({"control_net": {"name": "canny", "strength": 2}}, "control_net.strength"),
    ({"output_format": "mov"}, "output_format"),
    ({"reference_image_urls": []}, "reference_image_urls"),
    ({"context_images": [FILE]}, "context_images"),
    ({"reference_videos": [FILE]}, "reference_videos"),
    ({"reference_audios": [FILE]}, "reference_audios"),
    ({"reference_video_durations": [5]}, "reference_video_durations"),
    ({"sam2_coordinates": []}, "sam2_coordinates"),
    ({"return_last_frame": True}, "return_last_frame"),
    ({"seed": -5}, "seed"),
    ({"network": "relaxed"}, "network"),
    ({"reference_image": FILE}, "reference_image"),
    ({"reference_video": FILE}, "reference_video"),
    ({"duration": 99}, "duration"),
    ({"width": 1, "height": 1}, "width"),
]


@each_row("first", range(len(ORDER)))
def test_of_several_mistakes_the_first_in_this_order_is_named(first: int) -> None:
    fields: dict[str, Any] = {}
    for mistake, _ in reversed(ORDER[first:]):
        fields |= mistake
    assert ORDER[first][1] == refused(**{"model_id": T2V, **fields}).field


@pytest.mark.parametrize(
    ("given", "snapped"),
    [
        ({"frames": 100}, {"frames": 97}),
        ({"frames": 101}, {"frames": 105}),
        ({"frames": 97}, {"frames": 97}),
        ({"duration": 3}, {"duration": 4}),
        ({"duration": 4.5}, {"duration": 4.5}),
        ({"duration": 60}, {"duration": 20}),
        ({"width": 1000, "height": 700}, {"width": 1024, "height": 704}),
        ({"width": 1280, "height": 704}, {"width": 1280, "height": 704}),
    ],
)
def test_ltx_durations_frames_and_sizes_are_snapped(given: dict[str, int], snapped: dict[str, int]) -> None:
    params = checked(LTX.format("t2v"), **given)
    assert snapped == {name: getattr(params, name) for name in snapped}


def test_ltx_25_renders_shorter_videos() -> None:
    assert [checked("ltx25-22b-int8_t2v_dev", duration=seconds).duration for seconds in (1, 3, 30)] == [2, 3, 20]


def test_other_families_are_not_snapped() -> None:
    params = checked(T2V, frames=100, width=1000, height=700)
    assert (params.frames, params.width, params.height) == (100, 1000, 700)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"outpaint_position": "left"}, "outpaint_position"),
        ({"outpaint_position": "left", "control_net": {"name": "pose"}}, "outpaint_position"),
        ({"reference_mask": True, "control_net": {"name": "outpaint"}}, "reference_mask"),
        ({"control_net": {"name": "corner"}}, "control_net.name"),
    ],
)
def test_parameters_of_one_control_need_that_control(fields: dict[str, Any], field: str) -> None:
    assert refused(V2V, reference_video=True, **fields).field == field


def test_a_canvas_may_have_too_many_pixels() -> None:
    options = ModelOptions(type="video", max_pixels=1_000_000)
    check_video_options(checked(T2V, width=1000, height=1000), options)
    with pytest.raises(
        ValidationError, match=r"^width and height must make at most 1000000 pixels in total, got 1008x"
    ):
        check_video_options(checked(T2V, width=1008, height=1000), options)
