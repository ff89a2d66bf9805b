"""The command `sogni image` and the options of images."""

from __future__ import annotations

from typing import Any, get_args

import click

from sogni.cli.exit_codes import Command
from sogni.cli.params import (
    GUIDANCE,
    NEGATIVE_PROMPT,
    NO_FILTER,
    PROMPT,
    SEED,
    SIZE,
    STEPS,
    TOKEN,
    CommandDecorator,
    Fields,
    Option,
    check_encodable,
    count_option,
    project_options,
    with_strength,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.models.params import ImageFormat

DEFAULT_MODEL = "krea2_turbo_fp8_scaled"


def _flag(option: str, field: str, help: str) -> Option:
    """Return a flag whose field stays unset without it."""
    return click.option(option, field, is_flag=True, default=None, help=help)


_OPTIONS: tuple[Option, ...] = (
    click.option(
        "--model", "model_id", default=DEFAULT_MODEL, show_default=True, help="Use this model; see 'sogni models'."
    ),
    count_option("images"),
    click.option(
        "--size", "size_preset", metavar="PRESET", help="Use a named size of the model. Default: the model's size."
    ),
    *SIZE,
    STEPS,
    GUIDANCE,
    SEED,
    NEGATIVE_PROMPT,
    click.option("--style-prompt", metavar="TEXT", callback=check_encodable, help="Describe the style."),
    click.option("--starting-image", metavar="FILE", help="Start from this image."),
    click.option(
        "--strength",
        "starting_image_strength",
        type=float,
        help="Keep this much of --starting-image, 0 to 1. Default: the model's.",
    ),
    click.option(
        "--context-image",
        "context_images",
        multiple=True,
        metavar="FILE",
        help="Use this image as a reference. Repeatable.",
    ),
    click.option(
        "--control-net",
        "control_net_name",
        metavar="NAME",
        help="Guide the image with this ControlNet, for example canny.",
    ),
    click.option("--control-image", "control_net_image", metavar="FILE", help="Use this image for --control-net."),
    click.option(
        "--control-strength",
        "control_net_strength",
        type=float,
        help="Apply --control-net this strongly, 0 to 1. Default: the service's.",
    ),
    click.option(
        "--control-preprocess",
        "control_net_preprocess",
        is_flag=True,
        default=None,
        help="Detect edges or poses in --control-image first.",
    ),
    click.option(
        "--find",
        "sam3_prompt",
        metavar="TEXT",
        callback=check_encodable,
        help="Segment what this text describes (SAM 3).",
    ),
    click.option(
        "--cut-out", "apply_mask", is_flag=True, default=None, help="Return the segmented object instead of its mask."
    ),
    click.option("--sampler", help="Use this sampler of the model. Default: the model's."),
    click.option("--scheduler", help="Use this scheduler of the model. Default: the model's."),
    click.option(
        "--lora",
        "loras",
        multiple=True,
        metavar="ID[:STRENGTH]",
        help="Apply a LoRA; its default strength is 1. Repeatable.",
    ),
    click.option(
        "--previews",
        "number_of_previews",
        type=int,
        help="Render this many previews per image. Default: the service's.",
    ),
    click.option(
        "--format",
        "output_format",
        type=click.Choice(get_args(ImageFormat)),
        help="Save files in this format. Default: the service's.",
    ),
    click.option(
        "--no-metadata",
        "without_metadata",
        is_flag=True,
        default=None,
        help="Do not embed the prompt and settings in the files.",
    ),
    TOKEN,
    NO_FILTER,
)
_NEEDS = {
    "starting_image_strength": "starting_image",
    "control_net_name": "control_net_image",
    "control_net_image": "control_net_name",
    "control_net_strength": "control_net_name",
    "control_net_preprocess": "control_net_name",
}
_CONTROL_NET = ("name", "image", "strength", "preprocess")


def _fields(chosen: Fields) -> Fields:
    if "size_preset" in chosen and "width" in chosen:
        raise click.UsageError("give either --size or --width and --height")
    fields = {"type": "image", **chosen}
    if "loras" in chosen:
        pairs = [with_strength("--lora", text) for text in chosen["loras"]]
        fields["loras"] = [name for name, _ in pairs]
        while pairs and pairs[-1][1] is None:
            # The service's default is not checked against the range of the LoRA; a strength that is given is.
            pairs.pop()
        fields["lora_strengths"] = [1.0 if strength is None else strength for _, strength in pairs]
    net = {name: fields.pop(f"control_net_{name}") for name in _CONTROL_NET if f"control_net_{name}" in fields}
    if net:
        fields["control_net"] = net
    if "sam3_prompt" in fields:
        fields["sam3_prompt"] = {"text": fields["sam3_prompt"], "apply_mask": fields.pop("apply_mask", False)}
    if fields.pop("without_metadata", False):
        fields["embed_prompt_metadata"] = False
    return fields


image_options: CommandDecorator = project_options(_OPTIONS, _fields, needs=_NEEDS)
"""Add the image options to a command, which receives the fields of the project as `fields`."""


@click.command(cls=Command)
@PROMPT
@image_options
@generation_options
def image(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Generate images and print the paths of the saved files.

    Ctrl-C cancels the project. Completed images are saved even if others fail.

    Example: sogni image "a lighthouse at dawn" --width 768 --height 512 --count 2
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
