"""Params: one set of fields, as a class and as keywords."""

from __future__ import annotations

from typing import get_type_hints

import attrs
import pytest

from sogni.models.base import wire
from sogni.models.params import ControlNetParams, ImageProjectFields, ImageProjectParams


def test_keywords_and_class_have_the_same_fields() -> None:
    assert [it.name for it in attrs.fields(ImageProjectParams)] == list(ImageProjectFields.__annotations__)


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
