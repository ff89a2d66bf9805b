"""Choosing the model that runs a tool: selectors, preferences and abilities (tools §5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sogni.core.data import table
from sogni.core.tools.hosted import parameters_of
from sogni.core.tools.requests import (
    ModelRequirements,
    can_edit,
    choose_model,
    default_size,
    is_external,
    requirements_of,
    resolve_model,
    workflows_of,
)
from sogni.errors import ValidationError
from sogni.models.catalogue import AvailableModel
from tests.tables import each_row

SHEET = (Path(__file__).parents[3] / "docs" / "protocol" / "tools.md").read_text("utf-8")
T2V, I2V, A2V = (f"ltx23-22b-fp8_{kind}_distilled" for kind in ("t2v", "i2v", "a2v"))
NEWEST = "ltx25-22b-int8_{}_distilled"
TABLES = {
    "generate_image": "generate_image",
    "edit_image": "edit_image",
    "generate_video, no image input": "generate_video",
    "generate_video, image input": "generate_video with images",
    "sound_to_video": "sound_to_video",
    "video_to_video": "video_to_video",
}


def _sheet_rows() -> list[tuple[str, str, str]]:
    """Table, selector and id: what 5.x TS says, else 5.x Py, else 4.2."""
    rows = []
    table_name = ""
    for line in SHEET[SHEET.index("### 5.1") : SHEET.index("### 5.2")].splitlines():
        if heading := re.fullmatch(r"\*\*(.+)\*\*", line):
            table_name = TABLES[heading[1]]
        elif row := re.fullmatch(r"\| `([^`]+)` \| (.+) \| (.+) \| (.+) \|", line):
            ids: list[str | None] = []
            for cell in (row[2], row[3], row[4]):
                ids.append(ids[-1] if cell == "same" else None if cell == "—" else cell.strip("`"))
            rows.append((table_name, row[1], str(ids[1] or ids[2] or ids[0])))
    return rows


def test_the_tables_are_those_of_the_sheet() -> None:
    rows = _sheet_rows()
    selectors = table("tool-models")["selectors"]
    assert len(rows) > 150
    assert [selectors[name][selector] for name, selector, _ in rows] == [model for _, _, model in rows]


@each_row(
    ("tool", "requested", "images", "expected"),
    [
        ("generate_image", "z-turbo", False, "z_image_turbo_bf16"),
        ("generate_image", "  Z_Turbo ", False, "z_image_turbo_bf16"),
        ("generate_image", "Open AI  Image", False, "gpt-image-2"),
        ("edit_image", "gpt", False, "gpt-image-2"),
        ("generate_image", "My Own", False, "My Own"),
        ("generate_video", "ltx23", False, T2V),
        ("generate_video", "ltx23", True, I2V),
        ("sound_to_video", "ltx23-a2v", True, A2V),
        ("generate_music", "ace_step_1.5_sft", False, "ace_step_1.5_sft"),
        ("generate_image", "  ", False, None),
        ("generate_image", 3, False, None),
    ],
)
def test_selectors(tool: str, requested: Any, images: bool, expected: str | None) -> None:
    assert resolve_model(tool, requested, with_images=images) == expected


@each_row(
    ("tool", "model", "images", "mode", "workflows", "first"),
    [
        ("generate_image", None, 0, None, (), "krea2_turbo_fp8_scaled"),
        ("generate_video", None, 0, None, ("t2v",), NEWEST.format("t2v")),
        ("generate_video", None, 1, None, ("i2v",), NEWEST.format("i2v")),
        ("generate_video", "minimax-h3-flf2v", 2, None, ("flf2v",), "minimax-h3-fl2va-fp8_flf2v"),
        ("generate_video", "happyhorse-1.1-r2v", 1, None, ("r2v",), "happyhorse-1.1-r2v"),
        ("sound_to_video", None, 0, None, ("a2v",), NEWEST.format("a2v")),
        ("sound_to_video", None, 1, None, ("ia2v", "s2v"), NEWEST.format("ia2v")),
        ("sound_to_video", None, 2, None, ("flfa2v",), "minimax-h3-fastvideo-int8_flfa2v_turbo"),
        ("video_to_video", None, 0, "animate-move", ("animate-move",), "wan_v2.2-14b-fp8_animate-move_lightx2v"),
        ("video_to_video", None, 0, "seedance-v2v", ("v2v",), "seedance-2-0"),
        ("video_to_video", None, 0, "pose", ("v2v",), NEWEST.format("v2v")),
        ("generate_music", None, 0, None, (), "ace_step_1.5_xl_turbo"),
    ],
)
def test_what_a_tool_asks_of_a_model(
    tool: str, model: str | None, images: int, mode: str | None, workflows: tuple[str, ...], first: str | None
) -> None:
    wanted = requirements_of(tool, model, images=images, mode=mode)
    assert (tuple(wanted.workflows), next(iter(wanted.preferred), None)) == (workflows, first)
    assert wanted.edits == (tool == "edit_image")


@pytest.mark.parametrize("model", ["minimax-h3-t2v", "minimax-h3-fasth3-t2v-turbo"])
def test_a_model_for_text_refuses_images(model: str) -> None:
    assert requirements_of("generate_video", model).requested != model
    with pytest.raises(ValidationError, match=f"videoModel '{model}' takes no images"):
        requirements_of("generate_video", model, images=1)


def models(**workers: int) -> list[AvailableModel]:
    """Image models with workers."""
    return [AvailableModel(id=name, name=name, worker_count=count) for name, count in workers.items()]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ModelRequirements("image", requested="b"), "b"),
        (ModelRequirements("image", requested="z", preferred=["y", "a"]), "a"),
        (ModelRequirements("image", requested="z"), "b"),
        (ModelRequirements("image", edits=True), "flux2_dev"),
    ],
)
def test_the_requested_one_then_the_preferred_then_the_busiest(wanted: ModelRequirements, expected: str) -> None:
    assert choose_model(models(a=1, b=3, c=3, flux2_dev=1), wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (ModelRequirements("video"), "no video model has a worker"),
        (ModelRequirements("image", edits=True), "no image model with editing has a worker"),
        (ModelRequirements("video", ("ia2v", "s2v")), "no video model for ia2v or s2v has a worker"),
    ],
)
def test_no_model_for_it_is_an_error(wanted: ModelRequirements, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        choose_model(models(a=1), wanted)


def test_a_video_model_must_have_the_workflow() -> None:
    listed = [AvailableModel(id=name, name=name, worker_count=1, media="video") for name in (T2V, I2V)]
    assert choose_model(listed, ModelRequirements("video", ("i2v",))) == I2V


def test_every_editor_that_is_offered_edits() -> None:
    offered = parameters_of("edit_image")["properties"]["model"]["enum"]
    assert all(can_edit(str(resolve_model("edit_image", name))) for name in offered)


def test_what_edits() -> None:
    ids = ["gpt-image-2", "qwen_image_edit_2511_fp8", "flux1-dev-kontext_fp8_scaled", "flux1-schnell-fp8"]
    assert [can_edit(model_id) for model_id in ids] == [True, True, True, False]


@each_row(
    ("model_id", "workflows", "size"),
    [
        ("seedance-2-0", {"t2v", "i2v", "ia2v", "v2v"}, (1920, 1080, 24)),
        ("seedance-2-0-mini", {"t2v", "i2v", "ia2v", "v2v"}, (1280, 720, 24)),
        ("seedance-2-5", {"t2v", "i2v", "flf2v", "r2v", "ia2v", "v2v"}, (1920, 1080, 24)),
        ("wan3.0-video", {"t2v", "i2v", "flf2v", "r2v", "a2v", "ia2v"}, (1920, 1080, 30)),
        (A2V, {"a2v"}, (1920, 1088, 24)),
        ("wan_v2.2-14b-fp8_s2v_lightx2v", {"s2v"}, (832, 480, 16)),
        ("wan_v2.2-14b-fp8_t2v_lightx2v", {"t2v"}, (848, 480, 16)),
        ("minimax-h3-ref2va-fp8_r2v_turbo", {"r2v"}, (960, 544, 24)),
        ("minimax-h3-fl2va-fp8_t2v", {"t2v"}, (1344, 768, 24)),
        ("happyhorse-1.1-i2v", {"i2v"}, (1920, 1080, 24)),
        ("flux1-schnell-fp8", set(), (848, 480, 16)),
        ("unknown", set(), (848, 480, 16)),
    ],
)
def test_what_video_models_can_do(model_id: str, workflows: set[str], size: tuple[int, int, int]) -> None:
    assert (workflows_of(model_id), default_size(model_id)) == (workflows, size)


def test_models_of_others() -> None:
    assert [is_external(model_id) for model_id in ("seedance-2-0", "wan3.0-video", T2V)] == [True, True, False]
