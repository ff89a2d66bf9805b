"""Options for the fields of a project."""

from __future__ import annotations

from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner

from sogni.cli.image import image_options
from sogni.cli.music import music_options
from sogni.cli.params import CommandDecorator, declared_needs, with_strength
from sogni.cli.video import DEFAULT_MODELS, default_model, video_options
from sogni.core.catalogue.model_families import asset_config
from sogni.models.params import AudioProjectParams, ImageProjectParams, VideoProjectParams
from tests.tables import each_row

WITHOUT_OPTION = {
    # an argument, an option of the connection, and settings of the client
    "positive_prompt", "network", "app_source", "attribution",
    # objects, and values that belong to another option
    "world_generation_receipt", "keyframes", "sam2_coordinates", "lora_strengths",
}  # fmt: skip
KINDS: list[tuple[CommandDecorator, type, set[str]]] = [
    (image_options, ImageProjectParams, {"control_net"}),
    (video_options, VideoProjectParams, set()),
    (music_options, AudioProjectParams, {"negative_prompt"}),
]
SAMPLES: dict[str, tuple[str, Any]] = {
    "loras": ("ink:0.5", ["ink"]),
    "control_net": ("canny", {"name": "canny", "strength": None}),
    "sam3_prompt": ("a dog", {"text": "a dog", "apply_mask": False}),
}
NUMBERS: dict[Any, tuple[str, Any]] = {click.INT: ("7", 7), click.FLOAT: ("0.5", 0.5)}


def sample(option: click.Option) -> tuple[list[str], Any]:
    """Arguments with a value for an option, and the value of its field."""
    if option.is_flag:
        return option.opts[:1], True
    text, value = SAMPLES.get(option.name or "") or NUMBERS.get(option.type, ("text", "text"))
    if isinstance(option.type, click.Choice):
        text = value = option.type.choices[-1]
    return [option.opts[-1], text], (value,) if option.multiple and option.name not in SAMPLES else value


@each_row(("decorator", "kind", "further"), KINDS)
def test_every_parameter_has_an_option_that_sets_it(decorator: CommandDecorator, kind: Any, further: set[str]) -> None:
    given: dict[str, Any] = {}

    @click.command()
    @decorator
    def command(fields: dict[str, Any]) -> None:
        given.update(fields)

    options = {it.name: it for it in command.params if isinstance(it, click.Option)}
    declared = {it.name for it in attrs.fields(kind) if "parameter" in it.metadata}
    assert declared - options.keys() == (WITHOUT_OPTION | further) & declared
    needs = {**declared_needs(kind), "control_net": ("reference_video",)}
    for name in sorted(declared & options.keys()):
        arguments, value = sample(options[name])
        for other in needs.get(name, ())[:1]:
            arguments += sample(options[other])[0]
        ended = CliRunner().invoke(command, arguments if name == "model_id" else ["--model", "m", *arguments])
        assert (ended.output, given.pop(name)) == ("", value), name
        assert options[name].help, name


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
