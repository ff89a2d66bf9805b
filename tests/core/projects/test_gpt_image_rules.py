"""The rules of GPT Image models (projects-5x §4.10)."""

from __future__ import annotations

from typing import Any

import pytest

import sogni.core.projects.image_requests as gpt_image_rules
from sogni.core.projects.image_requests import check_image_params
from sogni.errors import ValidationError
from sogni.models.params import ImageProjectParams
from tests.tables import each_row

OLD, NEW, NEWEST = "gpt-image-2", "gpt-image-2.5-sunburst", "gpt-image-2.5-flare"
OTHER = "flux1-schnell-fp8"
MASK_URL = "https://example.test/mask.png"
FIRST = {"context_images": [b"x"]}


def checked(model_id: str, **fields: Any) -> ImageProjectParams:
    return check_image_params(ImageProjectParams(model_id=model_id, **fields))


ALLOWED: list[tuple[str, dict[str, Any]]] = [
    *((model, {"gpt_image_quality": it}) for model in (OLD, NEW) for it in ("low", "medium", "high")),
    *((model, {"gpt_image_quality": it}) for model in (OLD, NEW) for it in ("standard", "hd")),
    *((model, {"gpt_image_quality": it}) for model in (NEW, NEWEST) for it in ("xhigh", "max")),
    *((model, {"gpt_image_background": it}) for model in (OLD, NEW) for it in ("opaque", "auto")),
    (NEW, {"gpt_image_background": "transparent"}),
    (NEW, {"gpt_image_background": "transparent", "output_format": "webp"}),
    (OLD, {"gpt_image_output_compression": 0, "output_format": "jpg"}),
    (OLD, {"gpt_image_output_compression": 100, "output_format": "webp"}),
    (OLD, {"gpt_image_mask": b"x", **FIRST}),
    (OLD, {"gpt_image_mask": True, "context_images": [True]}),
    (OLD, {"gpt_image_mask_url": MASK_URL, **FIRST}),
]

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (OLD, {"gpt_image_quality": "auto"}, "gpt_image_quality",
     "gpt_image_quality must be one of 'low', 'medium', 'high', 'standard', 'hd', got 'auto'"),
    (OLD, {"gpt_image_quality": "max"}, "gpt_image_quality",
     "gpt_image_quality must be one of 'low', 'medium', 'high', 'standard', 'hd', got 'max'"),
    (NEW, {"gpt_image_quality": "auto"}, "gpt_image_quality",
     "gpt_image_quality must be one of 'low', 'medium', 'high', 'standard', 'hd', 'xhigh', 'max', "
     "got 'auto'"),
    (OLD, {"gpt_image_background": "transparent"}, "gpt_image_background",
     "gpt_image_background must be one of 'opaque', 'auto', got 'transparent'"),
    (NEW, {"gpt_image_background": "transparent", "output_format": "jpg"}, "gpt_image_background",
     "gpt_image_background 'transparent' must be given together with output_format 'png' or 'webp', got 'jpg'"),
    (OLD, {"gpt_image_output_compression": 101, "output_format": "jpg"}, "gpt_image_output_compression",
     "gpt_image_output_compression must be an integer from 0 to 100, got 101"),
    (OLD, {"gpt_image_output_compression": 50}, "gpt_image_output_compression",
     "gpt_image_output_compression must be given together with output_format 'jpg' or 'webp', got 'png'"),
    (OLD, {"gpt_image_mask": b"x"}, "gpt_image_mask",
     "gpt_image_mask must be given together with context_images, got b'x' alone"),

    (OLD, {"gpt_image_mask_url": MASK_URL}, "gpt_image_mask_url",
     f"gpt_image_mask_url must be given together with context_images, got {MASK_URL!r} alone"),
    (OLD, {"gpt_image_mask": b"x", "gpt_image_mask_url": MASK_URL, **FIRST}, "gpt_image_mask",
     "gpt_image_mask must be omitted together with gpt_image_mask_url, got both"),
    (OTHER, {"gpt_image_mask": True, **FIRST}, "gpt_image_mask",
     f"gpt_image_mask must be omitted for {OTHER}, got True; the models that use it: gpt-image"),
    (OTHER, {"gpt_image_mask_url": MASK_URL, **FIRST}, "gpt_image_mask_url",
     f"gpt_image_mask_url must be omitted for {OTHER}, got {MASK_URL!r}; the models that use it: gpt-image"),
    (OLD, {"gpt_image_mask_url": "data:image/jpeg;base64,AA==", **FIRST}, "gpt_image_mask_url",
     "gpt_image_mask_url must be data:image/png;base64,…, got 'data:image/jpeg;base64,AA=='"),
    (OLD, {"gpt_image_mask_url": "data:image/png;base64,A!", **FIRST}, "gpt_image_mask_url",
     "gpt_image_mask_url must be data:image/png;base64,…, got 'data:image/png;base64,A!'"),
    (OLD, {"gpt_image_mask_url": "data:image/png;base64,AQ!ID", **FIRST}, "gpt_image_mask_url",
     "gpt_image_mask_url must be data:image/png;base64,…, got 'data:image/png;base64,AQ!ID'"),
    (NEWEST, {"gpt_image_output_compression": -1, "output_format": "webp"}, "gpt_image_output_compression",
     "gpt_image_output_compression must be an integer from 0 to 100, got -1"),
]  # fmt: skip


@each_row(("model", "fields"), ALLOWED, ids=str)
def test_what_is_allowed_stays(model: str, fields: dict[str, Any]) -> None:
    assert checked(model, **fields) == ImageProjectParams(model_id=model, **fields)


@each_row(("model", "fields", "field", "message"), REFUSED, ids=[f"{row[0]} {row[3]}" for row in REFUSED])
def test_what_is_not_allowed_is_named(model: str, fields: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        checked(model, **fields)
    assert (field, message) == (caught.value.field, caught.value.message)
    assert (fields[field], True) == (caught.value.value, bool(caught.value.allowed))


@pytest.mark.parametrize("scheme", ["data:image/png;base64,", "DATA:image/PNG;Base64,"])
def test_a_mask_that_is_its_own_address_becomes_an_upload(scheme: str) -> None:
    params = checked(OLD, gpt_image_mask_url=f"{scheme}AQID", **FIRST)
    assert (params.gpt_image_mask, params.gpt_image_mask_url) == (b"\1\2\3", None)


def test_a_mask_has_a_limit_of_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpt_image_rules, "MAX_ENCODED_MASK", 8)
    assert checked(OLD, gpt_image_mask_url="data:image/png;base64,AQID", **FIRST).gpt_image_mask == b"\1\2\3"
    with pytest.raises(ValidationError, match="shorter than 8 characters"):
        checked(OLD, gpt_image_mask_url="data:image/png;base64,AQIDAQID", **FIRST)


def test_the_limit_of_a_mask_is_50_MiB_as_base64() -> None:
    assert gpt_image_rules.MAX_ENCODED_MASK == 69_905_067
