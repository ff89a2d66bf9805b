"""What a video can be asked for on the command line: decides the options, the fields they become, and which
model makes a video of the files that are given.

Used by `video` and `estimate video`.
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
    count_option,
    describing,
    with_strength,
)
from sogni.cli.run_project import Generation, generating
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
"""The model for each set of reference files."""

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


def _addresses(kind: str) -> Option:
    return click.option(
        f"--reference-{kind}-url",
        f"reference_{kind}_urls",
        multiple=True,
        metavar="URL",
        help=f"A public {kind}, for models like Seedance; repeatable.",
    )


_OPTIONS: tuple[Option, ...] = (
    click.option("--model", "model_id", help="See 'sogni models'; by default one that suits the files below."),
    count_option("Videos"),
    click.option("--duration", type=float, metavar="SECONDS", help="The length."),
    click.option("--frames", type=int, help="The length in frames, instead of --duration."),
    click.option("--fps", type=float, help="Frames per second."),
    *SIZE,
    STEPS,
    GUIDANCE,
    click.option("--shift", type=float, help="The shift of the sampling."),
    SEED,
    NEGATIVE_PROMPT,
    click.option("--reference-image", metavar="FILE", help="The first frame, or the subject."),
    click.option("--reference-image-end", metavar="FILE", help="The last frame."),
    click.option("--reference-audio", metavar="FILE", help="What is said or heard."),
    click.option("--audio-start", type=float, metavar="SECONDS", help="Where in it to begin."),
    click.option("--audio-duration", type=float, metavar="SECONDS", help="How much of it to use."),
    click.option("--reference-video", metavar="FILE", help="Movement, or what is made anew."),
    click.option("--video-start", type=float, metavar="SECONDS", help="Where in it to begin."),
    *map(_addresses, ("image", "video", "audio")),
    click.option("--control-net", metavar="NAME[:STRENGTH]", help="What of the video is kept, as canny or pose:0.8."),
    click.option("--no-audio", is_flag=True, help="Make no sound."),
    click.option("--format", "output_format", type=click.Choice(get_args(VideoFormat)), help="Of the files."),
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
    """The model that makes a video of the files that were given. UsageError when none does of all of them."""
    kinds = {_FILES[name] for name in _FILES if name in chosen}
    # A control net works on a video; an image beside it is only what its subject looks like.
    kinds -= {"image"} if "control_net" in chosen else set()
    model = DEFAULT_MODELS.get(frozenset(kinds))
    if model is None:
        raise click.UsageError(f"no model is meant for {' and '.join(sorted(kinds))} together; name one with --model")
    return model


filming: Describing = describing(_OPTIONS, _fields, needs=_NEEDS)
"""Give a command the options of a video; it gets the fields of the project as `fields`."""


# `sogni video`: videos from a prompt.


@click.command(cls=Command)
@PROMPT
@filming
@generating
def video(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Generate videos and print the paths of the files.

    The files that are given say what is made: a video from the prompt alone, from an image, of a face that
    speaks, of a movement carried over, of a video made anew, of a sound. --model says it more exactly.
    Ctrl-C cancels the project. Videos that are finished are saved even when others fail.
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
