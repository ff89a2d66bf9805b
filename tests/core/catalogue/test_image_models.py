"""The rules for image models that the client knows (projects-5x §2.3, §4.8 to §4.10)."""

from __future__ import annotations

from sogni.core.catalogue.image_models import ROWS, image_model, uses_comfy_fields
from sogni.core.data import table
from tests.tables import each_row

QWEN = (
    "qwen_image_2512_fp8", "qwen_image_2512_fp8_lightning",
    "qwen_image_edit_2511_fp8", "qwen_image_edit_2511_fp8_lightning",
)  # fmt: skip

SIDES: list[tuple[str, tuple[int, int]]] = [
    ("rtx_vsr_pro", (512, 15360)),
    ("krea2_identity_edit_v1_2", (512, 2048)),
    ("dark_beast_krea2_identity_edit_v1_2", (512, 2048)),
    ("gpt-image-2", (256, 3840)),
    ("gpt-image-2.5-sunburst", (256, 3840)),
    ("gpt-image-2.5-flare", (256, 3840)),
    ("z_image_bf16", (256, 2560)),
    ("z_image_turbo_bf16", (256, 2560)),
    ("krea2_turbo_fp8_scaled", (256, 2560)),
    *((it, (256, 2560)) for it in QWEN),
    ("moss_image_sft_int8_convrot", (512, 2048)),
    ("moss_image_sft_dmd8_int8_convrot", (512, 2048)),
    ("seedream-5-0-pro-uncensored", (240, 8192)),
    ("flux3_image_klein_sd_int8_convrot", (256, 4096)),
    ("flux2_dev_fp8", (256, 2048)),
    ("flux1-schnell-fp8", (256, 2048)),
    ("unheard-of", (256, 2048)),
]

CONTEXTS: list[tuple[str, int]] = [
    ("gpt-image-2", 16),
    ("gpt-image-2.5-flare", 16),
    *((it, 3) for it in QWEN),
    ("krea2_identity_edit_v1_2", 2),
    ("dark_beast_krea2_identity_edit_v1_2", 2),
    ("flux1-dev-kontext_fp8_scaled", 2),
    ("another_identity_edit_v3", 2),
    ("flux3_image_klein_sd_int8_convrot", 10),
    ("seedream-5-0-pro-uncensored", 10),
    ("moss_image_sft_int8_convrot", 0),
    ("pixal3d_int8_i23d", 0),
    ("flux2_dev_fp8", 3),
    ("flux1-schnell-fp8", 3),
]

COMFY: list[tuple[str, bool]] = [
    ("z_image_turbo_bf16", True),
    ("dark_beast_z_image_turbo_v9_bf16", True),
    ("krea2_turbo_fp8_scaled", True),
    ("dark_beast_krea2_fp8", True),
    ("qwen_image_2512_fp8", True),
    ("rtx_vsr_pro", True),
    ("flux3_image_klein_sd_int8_convrot", True),
    ("moss_image_sft_int8_convrot", True),
    ("wan_anything", True),
    ("flashvsr_anything", True),
    ("ace_step_anything", True),
    ("minimax_music3", True),
    ("qwen3_tts_anything", True),
    ("flux2_dev_fp8", False),
    ("flux1-schnell-fp8", False),
    ("chroma-v.46-flash_fp8", False),
    ("flux1-krea-dev_fp8_scaled", False),
    ("gpt-image-2", False),
    ("seedream-5-0-pro-uncensored", False),
    ("coreml-cyberrealistic_v33", False),
]


@each_row(("model_id", "expected"), SIDES)
def test_the_bounds_of_a_custom_size(model_id: str, expected: tuple[int, int]) -> None:
    assert expected == image_model(model_id).sides


@each_row(("model_id", "expected"), CONTEXTS)
def test_the_number_of_context_images(model_id: str, expected: int) -> None:
    assert expected == image_model(model_id).context_images


@each_row(("model_id", "expected"), COMFY)
def test_comfy_or_older_fields_by_prefix(model_id: str, expected: bool) -> None:
    assert expected == uses_comfy_fields(model_id)


def test_only_segmentation_models_force_one_png_without_previews() -> None:
    forced = [row for row in ROWS if row.segments]
    assert [(it.forced_format, it.forced_media, it.forced_previews) for it in forced] == [("png", 1, 0)] * 2


def test_an_id_is_in_one_row() -> None:
    ids = [it for row in ROWS for it in row.ids]
    assert sorted(set(ids)) == sorted(ids)


def families() -> dict[str, dict[str, object]]:
    return {row["family"]: row for row in table("model-families")["families"]}


def test_qualities_and_backgrounds_are_the_sheets() -> None:
    sheet = families()["gpt-image"]
    old, new = image_model("gpt-image-2"), image_model("gpt-image-2.5-flare")
    assert sheet["quality"] == {"gpt-image-2": list(old.qualities), "2.5": list(new.qualities)}
    assert sheet["background"] == {"gpt-image-2": list(old.backgrounds), "2.5": list(new.backgrounds)}


def test_the_area_and_aspect_of_seedream_are_the_sheets() -> None:
    sheet, row = families()["seedream"], image_model("seedream-5-0-pro-uncensored")
    assert row.pixels is not None
    assert (sheet["pixels"], sheet["maxAspect"]) == (list(row.pixels), row.aspect)
