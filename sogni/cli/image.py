"""The command `sogni image` and the options of images."""

from __future__ import annotations

from typing import Any

import click

from sogni.cli.exit_codes import FILES, SOME_MODELS, Command
from sogni.cli.known_names import complete_file
from sogni.cli.params import (
    LORAS,
    PROMPT,
    TOKEN,
    CommandDecorator,
    Fields,
    Option,
    check_encodable,
    declared_needs,
    declared_options,
    grouped_option,
    model_option,
    project_options,
    with_loras,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.models.params import ImageProjectParams

DEFAULT_MODEL = "krea2_turbo_fp8_scaled"

_CONTROL_NET: tuple[Option, ...] = (
    grouped_option(
        "--control-net",
        "control_net_name",
        group=FILES,
        metavar="NAME",
        help="Guide the image with this ControlNet, for example canny.",
    ),
    grouped_option(
        "--control-image",
        "control_net_image",
        group=FILES,
        metavar="FILE",
        shell_complete=complete_file,
        help="Use this image for --control-net.",
    ),
    grouped_option(
        "--control-strength",
        "control_net_strength",
        group=FILES,
        type=float,
        help="Apply --control-net this strongly, 0 to 1. Default: the service's.",
    ),
    grouped_option(
        "--control-preprocess",
        "control_net_preprocess",
        group=FILES,
        is_flag=True,
        default=None,
        help="Detect edges or poses in --control-image first.",
    ),
)
_CUT_OUT = grouped_option(
    "--cut-out",
    "apply_mask",
    group=SOME_MODELS,
    is_flag=True,
    default=None,
    help="Return the segmented object instead of its mask.",
)
_FIND = grouped_option(
    "--find",
    "sam3_prompt",
    group=SOME_MODELS,
    metavar="TEXT",
    callback=check_encodable,
    help="Segment what this description matches (SAM 3).",
)
_REPLACED: dict[str, Option | None] = {
    "model_id": model_option("image", DEFAULT_MODEL),
    "token_type": TOKEN,
    "loras": LORAS,
    "lora_strengths": None,
    "apply_mask": _CUT_OUT,
    "sam3_prompt": _FIND,
}
_OPTIONS = (*declared_options(ImageProjectParams, _REPLACED), *_CONTROL_NET)
_NEEDS = {
    **declared_needs(ImageProjectParams),
    "control_net_name": ("control_net_image",),
    "control_net_image": ("control_net_name",),
    "control_net_strength": ("control_net_name",),
    "control_net_preprocess": ("control_net_name",),
}
_CONTROL_NET_FIELDS = ("name", "image", "strength", "preprocess")


def _fields(chosen: Fields) -> Fields:
    if "size_preset" in chosen and "width" in chosen:
        raise click.UsageError("give either --size or --width and --height")
    fields = {"type": "image", **with_loras(chosen)}
    net = {name: fields.pop(f"control_net_{name}") for name in _CONTROL_NET_FIELDS if f"control_net_{name}" in fields}
    if net:
        fields["control_net"] = net
    if "sam3_prompt" in fields:
        fields["sam3_prompt"] = {"text": fields["sam3_prompt"], "apply_mask": fields.pop("apply_mask", False)}
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
