"""Properties of a model that follow from its id (projects-4.2 §6.1 to §6.3, projects-5x §3, §4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sogni.core.catalogue.model_families import (
    asset_config,
    families,
    family_of,
    is_audio_id,
    is_video_id,
    media_kind,
    workflow_of,
)
from sogni.errors import ValidationError
from sogni.models.catalogue import VideoAssetConfig, VideoAssets
from sogni.models.converter import to_dict
from tests.tables import each_row

SHEETS = Path(__file__).parents[3] / "docs" / "protocol"
ROWS = json.loads((SHEETS / "model-families.json").read_text("utf-8"))["families"]
MATRIX_42 = json.loads((SHEETS / "video-workflow-assets.json").read_text("utf-8"))["workflows"]

# The letters of projects-5x §3.2, in its column order.
COLUMNS = (
    "reference_image", "reference_image_end", "reference_audio", "reference_audio_identity",
    "reference_video", "reference_mask",
)  # fmt: skip
WORDS = {"R": "required", "O": "optional", "X": "forbidden"}


def assets(letters: str) -> VideoAssets:
    return VideoAssets(**dict(zip(COLUMNS, (WORDS[it] for it in letters), strict=True)))


def ids_of(media: str) -> list[str]:
    lists = [row.get("ids", {}) for row in ROWS if row["media"] == media]
    return [it for ids in lists for it in [*ids.get("ts554", []), *ids.get("pyOnly", [])]]


CONFIGS: list[tuple[str, str, str]] = [
    ("flashvsr_v1.1_tiny_long_bf16", "upscale", "XXXXRX"),
    ("wan_v2.2-14b-fp8_t2v", "t2v", "XXXOXX"),
    ("ltx25-22b-int8_i2v_dev", "i2v", "OOXOXX"),
    ("minimax-h3-fl2va-fp8_flf2v", "flf2v", "RRXXXX"),
    ("minimax-h3-fastvideo-int8_flfa2v_turbo", "flfa2v", "RRRXXX"),
    ("wan_v2.2-14b-fp8_s2v", "s2v", "RXRXXX"),
    ("ltx23-22b-fp8_ia2v_dev", "ia2v", "RXRXXX"),
    ("ltx2-19b-fp8_a2v", "a2v", "XXRXXX"),
    ("wan_v2.2-14b-fp8_animate-move_lightx2v", "animate-move", "RXXXRX"),
    ("wan_v2.2-14b-fp8_animate-replace_lightx2v", "animate-replace", "RXXXRX"),
    ("ltx23-22b-fp8_v2v_distilled", "v2v", "OXXORO"),
    ("happyhorse-1.1-r2v", "r2v", "OXXXXX"),
    ("happyhorse-1.1-i2v", "i2v", "OOXOXX"),
    ("happyhorse-1.1-t2v", "t2v", "XXXOXX"),
    ("wan3.0-video", "t2v", "XXXOXX"),
    ("wan3.0-spicy-video", "t2v", "XXXOXX"),
    ("minimax-h3-ref2va-fp8_r2v", "r2v", "OXOXOX"),
    ("minimax-h3-ref2va-fp8_r2v_balanced_2stage", "r2v", "OXOXOX"),
    ("minimax-h3-fl2va-fp8_i2v_turbo", "i2v", "OOXXXX"),
    ("minimax-h3-fl2va-fp8_t2v_turbo", "t2v", "XXXOXX"),
    ("minimax-h3-fl2va-fp8_t2v", "t2v", "XXXOOX"),
    ("minimax-h3-fl2va-fp8_t2v_balanced", "t2v", "XXXOOX"),
    ("minimax-h3-fastvideo-int8_t2v_turbo", "t2v", "XXXOOX"),
    ("minimax-h3-fastvideo-int8_t2v_turbo_2stage", "t2v", "XXXOOX"),
    ("minimax-h3-fastvideo-int8_ia2v_turbo_2stage", "ia2v", "RXRXXX"),
    ("minimax-h3-fastvideo-int8_a2v_turbo", "a2v", "XXRXXX"),
]


@each_row(("model_id", "workflow", "letters"), CONFIGS)
def test_the_assets_of_a_video_model(model_id: str, workflow: str, letters: str) -> None:
    assert VideoAssetConfig(workflow_type=workflow, assets=assets(letters)) == asset_config(model_id)


@each_row("workflow", MATRIX_42)
def test_the_rows_of_4_2_still_hold(workflow: str) -> None:
    """5.x adds a column; what it changes is a row of its own (the overrides)."""
    model_id = next(it for it in ids_of("video")[:38] if workflow_of(it) == workflow)
    found = to_dict(asset_config(model_id))["assets"]
    assert MATRIX_42[workflow] == {key: found[key] for key in MATRIX_42[workflow]}


@pytest.mark.parametrize("model_id", ["seedance-2-0", "seedance-2-0-fast", "seedance-2-5"])
def test_models_whose_id_names_no_workflow_have_no_matrix(model_id: str) -> None:
    assert VideoAssetConfig() == asset_config(model_id)


@pytest.mark.parametrize("model_id", ["flux1-schnell-fp8", "ace_step_1.5_turbo", "wan_unknown", ""])
def test_other_models_have_no_asset_config(model_id: str) -> None:
    with pytest.raises(ValidationError, match="is not a video model") as caught:
        asset_config(model_id)
    assert (caught.value.field, caught.value.status) == ("model_id", 400)


@each_row("model_id", ids_of("video"))
def test_every_video_id_of_the_sheet_is_one(model_id: str) -> None:
    assert (is_video_id(model_id), is_audio_id(model_id), media_kind(model_id)) == (True, False, "video")


@pytest.mark.parametrize(
    "model_id",
    ["ace_step_1.5_turbo", "ace_step_1.5_xl_sft", "minimax_music3", "qwen3_tts_1.7b_voice_clone_bf16"],
)
def test_audio_ids(model_id: str) -> None:
    assert (is_video_id(model_id), is_audio_id(model_id), media_kind(model_id)) == (False, True, "audio")


@pytest.mark.parametrize(
    "model_id",
    ["flux1-schnell-fp8", "wan_v2.2-unknown", "ltx23-unknown", "seedance-2-0-ultra", "minimax_music4", "",
     "WAN_V2.2-14B-FP8_T2V"],
)  # fmt: skip
def test_ids_that_only_look_alike_are_images(model_id: str) -> None:
    assert (is_video_id(model_id), is_audio_id(model_id), media_kind(model_id)) == (False, False, "image")


@pytest.mark.parametrize("check", [is_video_id, is_audio_id, workflow_of])
@pytest.mark.parametrize("model_id", [None, 3])
def test_an_id_is_a_text(check: Any, model_id: Any) -> None:
    with pytest.raises(ValidationError, match="model_id must be a string"):
        check(model_id)


@pytest.mark.parametrize(
    ("model_id", "listed", "expected"),
    [
        ("pixal3d_int8_i23d", None, "model"),
        ("pixal3d_future", "image", "model"),
        ("wan_v9_t2v", "video", "video"),
        ("wan_v2.2-14b-fp8_t2v", "image", "image"),
        ("unheard-of", "hologram", "hologram"),
        ("unheard-of", None, "image"),
    ],
)
def test_the_kind_is_the_lists_word_then_the_familys(model_id: str, listed: str | None, expected: str) -> None:
    """projects-5x §8: the prefix of 3D models first, then the list, then the families."""
    assert expected == media_kind(model_id, listed)


@pytest.mark.parametrize(
    "model_id", ["flux1-schnell-fp8", "ace_step_1.5_turbo", "unknown_t2v", "z_image_i2v", "seedance-2-0"]
)
def test_ids_without_a_workflow(model_id: str) -> None:
    assert workflow_of(model_id) is None


def test_every_family_of_the_sheet_is_a_row() -> None:
    assert [row["family"] for row in ROWS] == [family.name for family in families()]


def test_an_id_belongs_to_one_family() -> None:
    everything = [*ids_of("video"), *ids_of("audio"), *ids_of("image"), *ids_of("model")]
    assert dict.fromkeys(everything, 1) == {it: sum(family.has(it) for family in families()) for it in everything}


def test_an_unheard_of_id_has_no_family() -> None:
    assert family_of("unheard-of") is None
