"""The receipt of a project that belongs to the building of a world (projects-5x §2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.audio_requests import check_audio_params
from sogni.core.projects.job_requests import world_receipt
from sogni.core.projects.params import params_from_snapshot, params_snapshot, project_params
from sogni.errors import ValidationError
from sogni.models.params import AudioProjectParams, WorldGenerationReceipt

HASH = "0123456789abcdefABCDEF" + "0" * 42


def test_each_stage_has_its_hashes_in_lower_case() -> None:
    still = WorldGenerationReceipt(stage="target_still", source_image_sha256=HASH, selection_hash=HASH)
    assert world_receipt(still) == {
        "stage": "target_still",
        "sourceImageSha256": HASH.lower(),
        "selectionHash": HASH.lower(),
    }
    assert world_receipt(None) is None


@pytest.mark.parametrize(
    ("receipt", "field"),
    [
        ({"stage": "end"}, "stage"),
        ({"stage": "transition", "first_frame_sha256": HASH}, "last_frame_sha256"),
        ({"stage": "target_still", "source_image_sha256": HASH[1:], "selection_hash": HASH}, "source_image_sha256"),
        ({"stage": "target_still", "source_image_sha256": HASH, "selection_hash": "g" * 64}, "selection_hash"),
    ],
)
def test_a_wrong_one_is_refused(receipt: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_audio_params(AudioProjectParams(model_id="ace_step_1.5_turbo", world_generation_receipt=receipt))
    assert caught.value.field == f"world_generation_receipt.{field}"


def test_something_else_is_refused() -> None:
    with pytest.raises(ValidationError, match="WorldGenerationReceipt or a mapping"):
        world_receipt("target_still")


def test_a_snapshot_keeps_it() -> None:
    receipt = WorldGenerationReceipt(stage="transition", first_frame_sha256=HASH, last_frame_sha256=HASH)
    params = project_params(None, {"type": "audio", "model_id": "m", "world_generation_receipt": receipt})
    assert params_from_snapshot(params_snapshot(params)).world_generation_receipt == receipt
