"""The command `sogni video`, the options of videos, and the default model for the given reference files."""

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
    count_option,
    project_options,
    with_strength,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.models.params import VideoFormat

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
_NEEDS = {
    "audio_start": "reference_audio",
    "audio_duration": "reference_audio",
    "video_start": "reference_video",
    "control_net": "reference_video",
}


def _reference_url_option(kind: str) -> Option:
    return click.option(
        f"--reference-{kind}-url",
        f"reference_{kind}_urls",
        multiple=True,
        metavar="URL",
        help=f"Use the {kind} at this public URL, with models such as Seedance. Repeatable.",
    )


_OPTIONS: tuple[Option, ...] = (
    click.option(
        "--model", "model_id", help="Use this model; see 'sogni models'. Default: depends on the files below."
    ),
    count_option("videos"),
    click.option("--duration", type=float, metavar="SECONDS", help="Set the length. Default: the model's."),
    click.option("--frames", type=int, help="Set the length in frames instead of --duration."),
    click.option("--fps", type=float, help="Set the frames per second. Default: the model's."),
    *SIZE,
    STEPS,
    GUIDANCE,
    click.option("--shift", type=float, help="Set the sampling shift. Default: the model's."),
    SEED,
    NEGATIVE_PROMPT,
    click.option("--reference-image", metavar="FILE", help="Use this image as the first frame or as the subject."),
    click.option("--reference-image-end", metavar="FILE", help="Use this image as the last frame."),
    click.option("--reference-audio", metavar="FILE", help="Use this audio as speech or sound."),
    click.option("--audio-start", type=float, metavar="SECONDS", help="Start --reference-audio here. Default: 0."),
    click.option(
        "--audio-duration", type=float, metavar="SECONDS", help="Use this much of --reference-audio. Default: all."
    ),
    click.option("--reference-video", metavar="FILE", help="Take the motion from this video, or transform it."),
    click.option("--video-start", type=float, metavar="SECONDS", help="Start --reference-video here. Default: 0."),
    *map(_reference_url_option, ("image", "video", "audio")),
    click.option(
        "--control-net", metavar="NAME[:STRENGTH]", help="Keep this aspect of the video, for example canny or pose:0.8."
    ),
    click.option("--no-audio", is_flag=True, help="Generate no sound."),
    click.option(
        "--format",
        "output_format",
        type=click.Choice(get_args(VideoFormat)),
        help="Save files in this format. Default: the service's.",
    ),
    TOKEN,
    NO_FILTER,
)


def _fields(chosen: Fields) -> Fields:
    if "duration" in chosen and "frames" in chosen:
        raise click.UsageError("give either --duration or --frames")
    fields = {"type": "video", **chosen}
    if fields.pop("no_audio"):
        fields["generate_audio"] = False
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


video_options: CommandDecorator = project_options(_OPTIONS, _fields, needs=_NEEDS)
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
