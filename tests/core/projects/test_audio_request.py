"""Audio projects: what is checked and what is sent (projects-4.2 §3.4, §7, §18; projects-5x §4.11)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.audio_requests import audio_model, audio_request, check_audio_params
from sogni.core.projects.image_requests import check_image_params, image_request
from sogni.core.projects.job_requests import annotate
from sogni.core.projects.parameters import check_options
from sogni.core.projects.uploads import audio_uploads
from sogni.errors import ValidationError
from sogni.models.catalogue import Choice, ModelOptions
from sogni.models.params import AudioProjectParams, ImageProjectParams
from tests.tables import each_row

ACE, MUSIC = "ace_step_1.5_turbo", "minimax_music3"
CUSTOM, CLONE, DESIGN = (f"qwen3_tts_1.7b_{kind}_bf16" for kind in ("custom_voice", "voice_clone", "voice_design"))
OPTIONS = ModelOptions(type="audio", sampler=Choice(allowed=["euler"]), scheduler=Choice(allowed=["simple"]))
SILENT = ModelOptions(type="audio")


def requested(model_id: str = ACE, options: ModelOptions = OPTIONS, **fields: Any) -> dict[str, Any]:
    params = check_audio_params(AudioProjectParams(**{"model_id": model_id, "positive_prompt": "a", **fields}))
    check_options(params, options)
    return audio_request(params, project_id="P", app_source=None)


def template() -> tuple[dict[str, Any], dict[str, Any]]:
    """What every request has, top level and key frame, as the image request's own tests spell it out."""
    request = image_request(
        check_image_params(ImageProjectParams(model_id="m", positive_prompt="a")), project_id="P", app_source=None
    )
    (frame,) = request.pop("keyFrames")
    return request, {key: value for key, value in frame.items() if not key.startswith("hasContextImage")}


MINIMAL = set(requested()["keyFrames"][0])


def test_a_minimal_request_is_the_template() -> None:
    """No size, context images or negative prompt; sampler and scheduler always (projects-4.2 §4.1, §4.2, §4.4)."""
    request = requested()
    (frame,) = request.pop("keyFrames")
    top, usual = template()
    del usual["negativePrompt"]
    usual |= {"modelID": ACE, "comfySampler": None, "comfyScheduler": None}
    assert (request, frame) == (top | {"outputFormat": "mp3"}, usual)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"number_of_media": 4}, {"numberOfImages": 4}),
        ({"disable_nsfw_filter": True}, {"disableSafety": True}),
        ({"network": "relaxed"}, {"network": "relaxed"}),
        ({"token_type": "spark"}, {"tokenType": "spark"}),
        ({"billing_mode": "subscription"}, {"billingMode": "subscription"}),
        ({"app_source": "own"}, {"appSource": "own"}),
        ({"output_format": "wav"}, {"outputFormat": "wav"}),
    ],
    ids=str,
)
def test_top_level_values_are_the_callers(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """projects-4.2 §3.1, §4.1; projects-5x §2.1."""
    request = requested(**fields)
    del request["keyFrames"]
    assert request == template()[0] | {"outputFormat": "mp3"} | expected


@each_row(
    ("model_id", "fields", "expected"),
    [
        (ACE, {}, {}),
        (ACE, {"duration": 30, "bpm": 120, "timesignature": "4"}, {"duration": 30, "bpm": 120, "timesignature": "4"}),
        (ACE, {"composer_mode": False, "shift": 3}, {"composerMode": False, "shift": 3}),
        (ACE, {"composer_mode": True}, {"composerMode": True}),
        (ACE, {"language": "ja", "keyscale": "A minor"}, {"language": "ja", "keyscale": "A minor"}),
        (ACE, {"lyrics": ""}, {"lyrics": ""}),
        (ACE, {"prompt_strength": 0, "creativity": 0.85}, {"promptStrength": 0, "creativity": 0.85}),
        (ACE, {"steps": 8, "guidance": 1, "seed": 0}, {"steps": 8, "guidanceScale": 1, "seed": 0}),
        (ACE, {"loras": ["a"], "lora_strengths": [0.5]}, {"loras": ["a"], "loraStrengths": [0.5]}),
        (ACE, {"loras": []}, {}),
        # Ranges are known from the options of the model, and these state none.
        (ACE, {"bpm": 9, "duration": 1, "shift": 99}, {"bpm": 9, "duration": 1, "shift": 99}),
        (ACE, {"language": "xx", "keyscale": "H minor"}, {"language": "xx", "keyscale": "H minor"}),
        (ACE, {"prompt_strength": 99, "creativity": -1}, {"promptStrength": 99, "creativity": -1}),
        (ACE, {"steps": 999, "guidance": -1, "seed": 9}, {"steps": 999, "guidanceScale": -1, "seed": 9}),
        (CLONE, {"reference_audio": b"a", "speaker": "nobody"}, {"hasReferenceAudio": True, "speaker": "nobody"}),
        ("ace_step_1.5_xl_sft", {"guidance": 15}, {"guidanceScale": 15}),
        (MUSIC, {"lyrics": "la"}, {"lyrics": "la"}),
        (CUSTOM, {"speaker": "ryan"}, {"speaker": "ryan"}),
        (CLONE, {"reference_audio": True, "reference_text": "hm"}, {"hasReferenceAudio": True, "referenceText": "hm"}),
        (DESIGN, {"instruct": "deep"}, {"instruct": "deep"}),
    ],
)
def test_fields_become_keys(model_id: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    (frame,) = requested(model_id, **fields)["keyFrames"]
    assert expected == {key: value for key, value in frame.items() if key not in MINIMAL}


def test_the_usual_keys() -> None:
    """No negative prompt; sampler and scheduler are always there (projects-4.2 §4.4)."""
    (frame,) = requested(sampler="euler", scheduler="simple", style_prompt="jazz", negative_prompt=" ")["keyFrames"]
    expected = {"modelID": ACE, "stylePrompt": "jazz", "comfySampler": "euler", "comfyScheduler": "simple"}
    assert expected == {key: frame[key] for key in expected}
    assert "negativePrompt" not in frame
    (frame,) = requested(options=SILENT)["keyFrames"]
    assert (frame["comfySampler"], frame["comfyScheduler"]) == (None, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, "mp3"), ("", "mp3"), ("mp3", "mp3"), ("flac", "flac"), ("wav", "wav")],
)
def test_output_formats(given: str | None, expected: str) -> None:
    assert expected == requested(output_format=given)["outputFormat"]


def test_several_versions() -> None:
    request = requested(number_of_media=4, token_type="spark")
    assert (request["numberOfImages"], request["tokenType"], request["previews"]) == (4, "spark", 0)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("", {}, "model_id"),
    (ACE, {"negative_prompt": "noise"}, "negative_prompt"),
    (ACE, {"output_format": "ogg"}, "output_format"),
    (CUSTOM, {"positive_prompt": " "}, "positive_prompt"),
    ("new_music_9", {"speaker": "x"}, "speaker"),
    *(
        (ACE, {name: value}, name)
        for name in ("duration", "bpm", "prompt_strength", "creativity", "shift", "guidance", "steps", "seed")
        for value in ("8", True, float("nan"))
    ),
    *(
        (ACE, {name: 4}, name)
        for name in (
            "timesignature", "language", "keyscale", "lyrics", "output_format", "positive_prompt", "sampler",
            "scheduler",
        )
    ),
    (ACE, {"composer_mode": "yes"}, "composer_mode"),
    (ACE, {"number_of_media": 0}, "number_of_media"),
    (ACE, {"network": "slow"}, "network"),
    (ACE, {"sampler": "no"}, "sampler"),
    (ACE, {"scheduler": "no"}, "scheduler"),
    *((ACE, {name: "x"}, name) for name in ("speaker", "instruct", "reference_text")),
    (MUSIC, {"reference_audio": b"a"}, "reference_audio"),
    (CLONE, {}, "reference_audio"),
    (CLONE, {"reference_audio": False}, "reference_audio"),
    (DESIGN, {}, "instruct"),
    (DESIGN, {"instruct": ""}, "instruct"),
]  # fmt: skip


@each_row(("model_id", "fields", "field"), REFUSED)
def test_what_breaks_a_rule_is_refused(model_id: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        requested(model_id, **fields)
    assert (field, 400) == (caught.value.field, caught.value.status)
    assert caught.value.allowed
    if isinstance(given := fields.get(field), str | int) and given:
        assert caught.value.value is given


@pytest.mark.parametrize("kind", ["image", "video"])
def test_models_that_make_something_else_are_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match=f"must be an audio model .* which is for type='{kind}'") as caught:
        requested(options=ModelOptions(type=kind))
    assert (caught.value.field, caught.value.allowed) == ("model_id", "an audio model")


def test_a_voice_says_what_it_is() -> None:
    params = AudioProjectParams(model_id=CLONE, reference_audio=b"a")
    payload = requested(CLONE, reference_audio=b"a")
    ((item,),) = audio_uploads(params)
    annotate(payload, item, "audio/wav")
    assert payload["keyFrames"][0]["referenceAudioContentType"] == "audio/wav"


def test_values_become_plain() -> None:
    params = check_audio_params(AudioProjectParams(model_id=ACE, duration=30.0, number_of_media=None))  # type: ignore[arg-type]
    assert (params.duration, params.number_of_media) == (30, 1)


def test_nothing_is_assumed_about_new_models() -> None:
    assert audio_model("new_music_9") is None
    assert audio_model("flux1-schnell-fp8") is None
