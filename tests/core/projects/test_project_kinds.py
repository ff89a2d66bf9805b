"""The checks, requests, uploads and estimates of each type of project."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.kinds import AUDIO, IMAGE, VIDEO, kind_of, wanted_size
from sogni.core.projects.params import PARAMS_BY_TYPE
from sogni.errors import ValidationError
from sogni.models.catalogue import ModelOptions, NumberRange, SizePreset
from sogni.models.params import AudioProjectParams, ImageProjectParams, ProjectParams, VideoProjectParams

I2V, CLONE = "wan_v2.2-14b-fp8_i2v", "qwen3_tts_1.7b_voice_clone_bf16"
IMAGE_PARAMS = ImageProjectParams(model_id="flux1-schnell-fp8", starting_image=b"i", size_preset="square")
VIDEO_PARAMS = VideoProjectParams(
    model_id=I2V, reference_image=b"i", width=640, height=480, duration=5, token_type="spark"
)
AUDIO_PARAMS = AudioProjectParams(model_id=CLONE, positive_prompt="hi", reference_audio=b"a", duration=30, steps=8)
PRESET = SizePreset(id="square", width=512, height=512)

ROWS: list[tuple[ProjectParams, Any, str, list[str], str, dict[str, str]]] = [
    (IMAGE_PARAMS, IMAGE, "png", ["starting_image"], "/api/v2/job/estimate/", {}),
    (VIDEO_PARAMS, VIDEO, "mp4", ["reference_image"], "/api/v1/job-video/estimate/", {"referenceImage": "t"}),
    (AUDIO_PARAMS, AUDIO, "mp3", ["reference_audio"], "/api/v1/job-audio/estimate/", {"referenceAudio": "t"}),
]


def test_every_type_of_params_has_a_kind() -> None:
    assert {params.type for params, *_ in ROWS} == set(PARAMS_BY_TYPE)


@pytest.mark.parametrize(("params", "kind", "output", "uploads", "path", "noted"), ROWS)
def test_a_kind_does_everything_for_its_params(
    params: Any, kind: Any, output: str, uploads: list[str], path: str, noted: dict[str, str]
) -> None:
    assert kind is kind_of(params)
    checked = kind.check(params)
    assert params == checked.params
    options = ModelOptions(type=params.type, steps=NumberRange(default=4))
    kind.check_options(checked, options)
    payload = kind.request(checked, project_id="P", app_source="shop")
    assert (payload["jobID"], payload["appSource"], payload["outputFormat"]) == ("P", "shop", output)
    items = [item for group in kind.uploads(params) for item in group]
    assert uploads == [item.field for item in items]
    for item in items:
        kind.annotate(payload, item, "t")
    types = {k.removesuffix("ContentType"): v for k, v in payload["keyFrames"][0].items() if k.endswith("ContentType")}
    assert noted == types
    call = kind.estimate(checked, options=options, preset=PRESET, network="fast", token_type="sogni")
    assert call.path.startswith(path)


@pytest.mark.parametrize(("params", "expected"), [(IMAGE_PARAMS, "square"), (VIDEO_PARAMS, None), (AUDIO_PARAMS, None)])
def test_only_images_have_named_sizes(params: ProjectParams, expected: str | None) -> None:
    assert expected == wanted_size(params)


@pytest.mark.parametrize("params", [IMAGE_PARAMS, VIDEO_PARAMS, AUDIO_PARAMS])
def test_a_model_of_another_kind_is_refused(params: Any) -> None:
    kind = kind_of(params)
    with pytest.raises(ValidationError, match=f"^model_id must be an? {params.type} model") as caught:
        kind.check_options(kind.check(params), ModelOptions(type="model"))
    assert caught.value.allowed in ("an image model", "a video model", "an audio model")
