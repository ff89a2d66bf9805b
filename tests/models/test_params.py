"""Params: one set of fields, as a class and as keywords."""

from __future__ import annotations

from typing import get_type_hints

import attrs
import pytest

from sogni.models.base import wire
from sogni.models.params import ControlNetParams, ImageProjectParams, Parameter
from sogni.models.project_fields import ImageProjectFields


def test_keywords_and_class_have_the_same_fields() -> None:
    assert {it.name for it in attrs.fields(ImageProjectParams)} == set(ImageProjectFields.__annotations__)


def test_keywords_and_class_have_the_same_types() -> None:
    of_class, of_keywords = get_type_hints(ImageProjectParams), get_type_hints(ImageProjectFields)
    assert of_class == {name: of_keywords[name] for name in of_class}


def test_only_the_model_is_required() -> None:
    params = ImageProjectParams(model_id="m")
    assert (params.type, params.number_of_media, params.positive_prompt, params.seed) == ("image", 1, "", None)
    with pytest.raises(TypeError):
        ImageProjectParams()  # type: ignore[call-arg]


def test_the_type_is_no_matter_of_choice() -> None:
    with pytest.raises(TypeError):
        ImageProjectParams(model_id="m", type="video")  # type: ignore[call-arg]


def test_params_are_values() -> None:
    assert ControlNetParams(name="canny") == ControlNetParams(name="canny")
    assert ImageProjectParams(model_id="m") != ImageProjectParams(model_id="n")


def test_a_wire_name_is_metadata() -> None:
    assert wire("jobID") == {"wire": "jobID"}


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (Parameter(text="It."), "It."),
        (Parameter(text="It.", low=0, high=1, default="1"), "It. From 0 to 1. Default: 1."),
        (Parameter(text="It.", low=1, unit="seconds"), "It. In seconds, 1 or more."),
        (Parameter(text="It.", options=True), "It. Within the options of the model."),
        (Parameter(text="It.", by_model="up to 3", unit="pixels"), "It. In pixels; up to 3."),
        (Parameter(text="It.", needs=("a", "b"), models=("ltx",)), "It. Needs `a` or `b`. Only for ltx."),
    ],
)
def test_a_declaration_describes_itself(parameter: Parameter, expected: str) -> None:
    assert expected == parameter.description
