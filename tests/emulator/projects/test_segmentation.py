"""Segmentation masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from sogni.emulator.catalogue.models import Model
from sogni.emulator.fields import Fields, Finding
from sogni.emulator.media.image_kind import BIREFNET, SAM3, check_segmentation
from sogni.emulator.media.pictures import cut_out

WHOLE = {"points": [], "boxes": [], "threshold": 0.5, "applyMask": False}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return an image with a red and a blue square on white, 800 pixels wide."""
    image = Image.new("RGB", (800, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((100, 100, 299, 299), fill="red")
    draw.rectangle((500, 100, 699, 299), fill="blue")
    image.save(tmp_path / "squares.png")
    return tmp_path / "squares.png"


def point(x: float, label: str = "positive") -> dict[str, Any]:
    return {"x": x, "y": 0.5, "label": label}


def box(x0: float, x1: float, label: str = "positive") -> dict[str, Any]:
    return {"x0": x0, "y0": 0, "x1": x1, "y1": 1, "label": label}


def test_the_middle_is_cut_out(picture: Path) -> None:
    mask, cut = picture.with_name("mask.png"), picture.with_name("cut.png")
    cut_out(picture, mask, mask_only=True)
    cut_out(picture, cut, mask_only=False)
    with Image.open(mask) as image:
        assert (image.mode, image.size, image.getpixel((400, 200)), image.getpixel((0, 0))) == ("L", (800, 400), 255, 0)
    with Image.open(cut) as image:
        assert (image.mode, image.getpixel((250, 200)), image.getpixel((0, 0))) == (
            "RGBA", (255, 0, 0, 255), (255, 255, 255, 0),
        )  # fmt: skip


def checked(model: str, **frame: Any) -> tuple[bool | None, list[str]]:
    findings: list[Finding] = []
    asked = check_segmentation(Fields(frame, "$", findings), Model(id=model, name=model, tier="segmentation"))
    return asked, [str(it) for it in findings if it.refused]


def test_other_models_have_no_segmentation() -> None:
    assert checked("flux1-schnell-fp8") == (None, [])


def test_birefnet_reads_whether_to_cut_out() -> None:
    assert checked(BIREFNET, applyMask=True) == (True, [])
    assert checked(BIREFNET)[1] == ["$.applyMask is missing"]


PROMPT = {**WHOLE, "points": [point(0.5)], "multimask": True}


def test_sam3_gets_its_prompt() -> None:
    assert checked(SAM3, sam3Prompt={**PROMPT, "applyMask": True, "maxInstances": 3}) == (True, [])


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (None, "$.sam3Prompt must be an object, got null"),
        (WHOLE, "$.sam3Prompt.points or boxes or text is required"),
        ({**PROMPT, "text": "a cat"}, "$.sam3Prompt.text cannot be combined with points"),
        ({**WHOLE, "text": "x" * 241}, "$.sam3Prompt.text must have 1 to 240 characters"),
        ({**WHOLE, "text": "a cat", "multimask": True}, "$.sam3Prompt.multimask requires points"),
        ({**PROMPT, "points": [point(1.5)]}, "$.sam3Prompt.points[0].x must be at least 0 and at most 1, got 1.5"),
        ({**PROMPT, "points": [point(0.5, "so")]}, "$.sam3Prompt.points[0].label must be one of positive, negative"),
        ({**PROMPT, "points": "here"}, "$.sam3Prompt.points must be a list of at most 32 objects"),
        ({**PROMPT, "boxes": [box(0, 1)] * 17}, "$.sam3Prompt.boxes must be a list of at most 16 objects"),
        ({**PROMPT, "boxes": [5]}, "$.sam3Prompt.boxes[0] must be an object, got a number"),
        ({**PROMPT, "maxInstances": 17}, "$.sam3Prompt.maxInstances must be at least 1 and at most 16, got 17"),
        ({**PROMPT, "threshold": 2}, "$.sam3Prompt.threshold must be at least 0 and at most 1, got 2"),
    ],
)
def test_an_invalid_sam3_prompt_is_refused(prompt: Any, said: str) -> None:
    _, findings = checked(SAM3, sam3Prompt=prompt)
    assert any(it.startswith(said) for it in findings), findings
