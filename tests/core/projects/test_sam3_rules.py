"""The parameters of SAM 3, and their wire form (projects-5x §4.8)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.image_requests import SAM3_MODEL, check_image_params, check_sam3, sam3_values
from sogni.core.projects.params import params_from_snapshot, params_snapshot, project_params
from sogni.errors import ValidationError
from sogni.models.params import ImageProjectParams, Sam3Box, Sam3Point, Sam3Prompt
from tests.tables import each_row

POINT = {"x": 0.5, "y": 1, "label": "positive"}
BOX = {"x0": 0, "y0": 0.25, "x1": 1, "y1": 0.5}


def sent(**prompt: Any) -> Any:
    return sam3_values(check_sam3(ImageProjectParams(model_id=SAM3_MODEL, sam3_prompt=prompt)))["sam3Prompt"]


def test_points_may_have_several_masks() -> None:
    assert sent(points=[POINT, Sam3Point(x=0, y=0, label="negative")], boxes=[BOX]) == {
        "points": [{"x": 0.5, "y": 1, "label": "positive"}, {"x": 0, "y": 0, "label": "negative"}],
        "boxes": [{"x0": 0, "y0": 0.25, "x1": 1, "y1": 0.5, "label": "positive"}],
        "threshold": 0.5,
        "multimask": True,
        "applyMask": False,
    }
    assert sent(points=[POINT], multimask=False)["multimask"] is False


def test_a_text_goes_with_boxes_of_either_kind() -> None:
    asked = {"text": "  a cat ", "threshold": 0, "apply_mask": True, "max_instances": 16, "multimask": False}
    assert sent(boxes=[Sam3Box(**BOX, label="negative"), BOX], **asked) == {
        "points": [],
        "boxes": [{**BOX, "label": "negative"}, {**BOX, "label": "positive"}],
        "text": "a cat",
        "threshold": 0,
        "applyMask": True,
        "maxInstances": 16,
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "sam3_prompt"),
    ({"points": 5}, "sam3_prompt.points"),
    ({"points": [None]}, "sam3_prompt.points[0]"),
    ({"points": [POINT, {**POINT, "x": 1.1}]}, "sam3_prompt.points[1].x"),
    ({"points": [{**POINT, "y": -0.1}]}, "sam3_prompt.points[0].y"),
    ({"points": [{**POINT, "label": "maybe"}]}, "sam3_prompt.points[0].label"),
    ({"points": [POINT] * 33}, "sam3_prompt.points"),
    ({"boxes": [{**BOX, "x1": 0}]}, "sam3_prompt.boxes[0].x0"),
    ({"boxes": [{**BOX, "y0": 0.5}]}, "sam3_prompt.boxes[0].y0"),
    ({"boxes": [{**BOX, "y1": 1.5}]}, "sam3_prompt.boxes[0].y1"),
    ({"boxes": [{**BOX, "label": None}]}, "sam3_prompt.boxes[0].label"),
    ({"boxes": [BOX] * 17}, "sam3_prompt.boxes"),
    ({"text": "  "}, "sam3_prompt.text"),
    ({"text": "x" * 241}, "sam3_prompt.text"),
    ({"text": 5}, "sam3_prompt.text"),
    ({"text": "a cat", "points": [POINT]}, "sam3_prompt.text"),
    ({"points": [POINT], "boxes": [BOX, BOX]}, "sam3_prompt.boxes"),
    ({"points": [POINT], "boxes": [{**BOX, "label": "negative"}]}, "sam3_prompt.boxes"),
    ({"text": "a cat", "threshold": 1.01}, "sam3_prompt.threshold"),
    ({"text": "a cat", "multimask": True}, "sam3_prompt.multimask"),
    ({"points": [POINT], "multimask": 1}, "sam3_prompt.multimask"),
    ({"text": "a cat", "apply_mask": "yes"}, "sam3_prompt.apply_mask"),
    ({"text": "a cat", "max_instances": 0}, "sam3_prompt.max_instances"),
    ({"text": "a cat", "max_instances": 17}, "sam3_prompt.max_instances"),
]


@each_row(("prompt", "field"), WRONG)
def test_what_the_service_would_refuse_is_refused(prompt: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        sent(**prompt)
    assert caught.value.field == field
    assert str(caught.value).startswith("sam3_prompt")


def test_the_model_needs_a_prompt_and_no_other_takes_one() -> None:
    with pytest.raises(ValidationError, match=r"^sam3_prompt must be given for sam3_image_segment_bf16"):
        check_sam3(ImageProjectParams(model_id=SAM3_MODEL))
    with pytest.raises(ValidationError, match=r"^sam3_prompt must be omitted for flux1-schnell-fp8"):
        check_image_params(ImageProjectParams(model_id="flux1-schnell-fp8", sam3_prompt=Sam3Prompt(text="a cat")))
    other = ImageProjectParams(model_id="flux1-schnell-fp8")
    assert (check_sam3(other), sam3_values(other)) == (other, {})


def test_a_misspelt_field_is_named() -> None:
    with pytest.raises(TypeError, match=r"a sam3 prompt has no field 'txt'; did you mean 'text'\?"):
        project_params(None, {"type": "image", "model_id": SAM3_MODEL, "sam3_prompt": {"txt": "a cat"}})
    with pytest.raises(TypeError, match=r"a point has no field 'z'"):
        sent(points=[{**POINT, "z": 0}])
    with pytest.raises(TypeError, match=r"the field 'label' of the point is missing"):
        sent(points=[{"x": 0, "y": 0}])


def test_a_snapshot_keeps_the_prompt() -> None:
    fields = {"type": "image", "model_id": SAM3_MODEL, "sam3_prompt": {"points": [POINT], "apply_mask": True}}
    params = project_params(None, fields)
    kept = params_from_snapshot(params_snapshot(check_sam3(params)))
    assert isinstance(kept.sam3_prompt, Sam3Prompt)  # type: ignore[union-attr]
    assert sam3_values(kept) == sam3_values(params)  # type: ignore[arg-type]
