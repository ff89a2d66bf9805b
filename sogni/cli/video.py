"""The command `sogni video`, the options of videos, and the default model for the given reference files."""

from __future__ import annotations

from typing import Any

import click

from sogni.cli.exit_codes import FILES, Command
from sogni.cli.params import (
    LORAS,
    PROMPT,
    TOKEN,
    CommandDecorator,
    Fields,
    Option,
    declared_needs,
    declared_options,
    grouped_option,
    model_option,
    project_options,
    with_loras,
    with_strength,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.models.params import VideoProjectParams

_WAN = "wan_v2.2-14b-fp8_{}_lightx2v"
_LTX = "ltx23-22b-fp8_{}_distilled"
DEFAULT_MODELS: dict[frozenset[str], str] = {
    frozenset(): _WAN.format("t2v"),
    frozenset({"image"}): _WAN.format("i2v"),
    frozenset({"image", "audio"}): _WAN.format("s2v"),
    frozenset({"image", "video"}): _WAN.format("animate-move"),
    frozenset({"audio"}): _LTX.format("a2v"),
    frozenset({"video"}): _LTX.format("v2v"),
}
"""Default model for each set of reference files."""

_FILES = {
    "reference_image": "image",
    "reference_image_end": "image",
    "reference_audio": "audio",
    "reference_video": "video",
}
_REPLACED: dict[str, Option | None] = {
    "model_id": model_option("video", None, "Use this model; see 'sogni models'. Default: depends on the files below."),
    "token_type": TOKEN,
    "loras": LORAS,
    "lora_strengths": None,
    "control_net": grouped_option(
        "--control-net",
        group=FILES,
        metavar="NAME[:STRENGTH]",
        help="Keep this aspect of the video, for example canny or pose:0.8.",
    ),
}
_NEEDS = {**declared_needs(VideoProjectParams), "control_net": ("reference_video",)}


def _fields(chosen: Fields) -> Fields:
    if "duration" in chosen and "frames" in chosen:
        raise click.UsageError("give either --duration or --frames")
    fields = {"type": "video", **with_loras(chosen)}
    if "control_net" in chosen:
        name, strength = with_strength("--control-net", chosen["control_net"])
        fields["control_net"] = {"name": name, "strength": strength}
    fields.setdefault("model_id", default_model(chosen))
    return fields


def default_model(chosen: Fields) -> str:
    """Return the default model for the given files. Raises UsageError if there is none for this combination."""
    kinds = {_FILES[name] for name in _FILES if name in chosen}
    # A ControlNet applies to the video; an image next to it only shows what the subject looks like.
    kinds -= {"image"} if "control_net" in chosen else set()
    model = DEFAULT_MODELS.get(frozenset(kinds))
    if model is None:
        raise click.UsageError(f"no default model for {' and '.join(sorted(kinds))} together; choose one with --model")
    return model


video_options: CommandDecorator = project_options(
    declared_options(VideoProjectParams, _REPLACED), _fields, needs=_NEEDS
)
"""Add the video options to a command, which receives the fields of the project as `fields`."""


@click.command(cls=Command)
@PROMPT
@video_options
@generation_options
def video(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Generate videos and print the paths of the saved files.

    The reference files determine the kind of video: from the prompt alone, from an image, a speaking face, transferred
    motion, a transformed video, or a video for a sound. --model overrides that. Ctrl-C cancels the project. Completed
    videos are saved even if others fail.

    Example: sogni video "she smiles" --reference-image portrait.png --duration 5
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
