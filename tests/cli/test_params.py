"""Options for the fields of a project."""

from __future__ import annotations

import click
import pytest

from sogni.cli.params import with_strength
from sogni.cli.video import DEFAULT_MODELS, default_model
from sogni.core.catalogue.model_families import asset_config

FILES = {"image": "reference_image", "audio": "reference_audio", "video": "reference_video"}


def test_a_name_can_have_a_strength() -> None:
    assert with_strength("--lora", "style") == ("style", None)
    assert with_strength("--lora", "style:0.25") == ("style", 0.25)
    assert with_strength("--lora", "a:b:2") == ("a:b", 2.0)


@pytest.mark.parametrize("text", ["", " ", ":0.5"])
def test_a_strength_needs_a_name(text: str) -> None:
    with pytest.raises(click.UsageError, match="the name is missing"):
        with_strength("--lora", text)


@pytest.mark.parametrize("kinds", DEFAULT_MODELS, ids=lambda kinds: "+".join(sorted(kinds)) or "nothing")
def test_the_default_model_follows_from_the_files(kinds: frozenset[str]) -> None:
    model = default_model({FILES[kind]: "a file" for kind in kinds})
    assets = asset_config(model).assets
    assert assets is not None
    rules = {kind: getattr(assets, name) for kind, name in FILES.items()}
    assert {rules[kind] for kind in kinds} <= {"required", "optional"}
    assert "required" not in {rule for kind, rule in rules.items() if kind not in kinds}


def test_a_last_frame_alone_counts_as_an_image() -> None:
    assert "_i2v" in default_model({"reference_image_end": "last.png"})


def test_a_control_net_means_video_to_video() -> None:
    given = {"reference_video": "dance.mp4", "reference_image": "dancer.png", "control_net": "pose"}
    assert "_v2v" in default_model(given)


def test_files_without_a_common_model_require_one() -> None:
    with pytest.raises(click.UsageError, match="audio and video together; choose one with --model"):
        default_model({"reference_video": "a.mp4", "reference_audio": "a.mp3"})
