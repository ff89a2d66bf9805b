"""What an image can be asked for on the command line: decides the options and the fields they become.

Used by `image` and `estimate image`.
"""

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
    Describing,
    Fields,
    Option,
    check_text,
    count_option,
    describing,
    with_strength,
)
from sogni.cli.run_project import Generation, generating
from sogni.models.params import ImageFormat

DEFAULT_MODEL = "flux1-schnell-fp8"


def _flag(option: str, field: str, help: str) -> Option:
    """An option without a value, for a field that is not set without it."""
    return click.option(option, field, is_flag=True, default=None, help=help)


_OPTIONS: tuple[Option, ...] = (
    click.option("--model", "model_id", default=DEFAULT_MODEL, show_default=True, help="See 'sogni models'."),
    count_option("Images"),
    click.option("--size", "size_preset", metavar="PRESET", help="A named size of the model."),
    *SIZE,
    STEPS,
    GUIDANCE,
    SEED,
    NEGATIVE_PROMPT,
    click.option("--style-prompt", metavar="TEXT", callback=check_text, help="In which style."),
    click.option("--starting-image", metavar="FILE", help="An image to start from."),
    click.option("--strength", "starting_image_strength", type=float, help="How much of it to keep, 0 to 1."),
    click.option(
        "--context-image", "context_images", multiple=True, metavar="FILE", help="An image to refer to; repeatable."
    ),
    click.option("--control-net", "control_net_name", metavar="NAME", help="What of --control-image steers, as canny."),
    click.option("--control-image", "control_net_image", metavar="FILE", help="The image that steers."),
    click.option("--control-strength", "control_net_strength", type=float, help="How much it steers, 0 to 1."),
    click.option(
        "--control-preprocess",
        "control_net_preprocess",
        is_flag=True,
        default=None,
        help="Have its edges or poses found.",
    ),
    click.option("--find", "sam3_prompt", metavar="TEXT", callback=check_text, help="What SAM 3 is to find."),
    click.option(
        "--cut-out", "apply_mask", is_flag=True, default=None, help="What SAM 3 or BiRefNet finds instead of its mask."
    ),
    click.option("--sampler", help="One of the model's samplers."),
    click.option("--scheduler", help="One of the model's schedulers."),
    click.option("--lora", "loras", multiple=True, metavar="ID[:STRENGTH]", help="A LoRA; repeatable."),
    click.option("--previews", "number_of_previews", type=int, help="Previews on the way, per image."),
    click.option("--format", "output_format", type=click.Choice(get_args(ImageFormat)), help="Of the files."),
    click.option(
        "--no-metadata",
        "without_metadata",
        is_flag=True,
        default=None,
        help="Leave prompt and settings out of the files.",
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
        fields["lora_strengths"] = [1.0 if strength is None else strength for _, strength in pairs]
    net = {name: fields.pop(f"control_net_{name}") for name in _CONTROL_NET if f"control_net_{name}" in fields}
    if net:
        fields["control_net"] = net
    if "sam3_prompt" in fields:
        fields["sam3_prompt"] = {"text": fields["sam3_prompt"], "apply_mask": fields.pop("apply_mask", False)}
    if fields.pop("without_metadata", False):
        fields["embed_prompt_metadata"] = False
    return fields


imaging: Describing = describing(_OPTIONS, _fields, needs=_NEEDS)
"""Give a command the options of an image; it gets the fields of the project as `fields`."""


# `sogni image`: images from a prompt.


@click.command(cls=Command)
@PROMPT
@imaging
@generating
def image(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Generate images and print the paths of the files.

    Ctrl-C cancels the project. Images that are finished are saved even when others fail.
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
