"""The command `sogni upscale` for images and videos."""

from __future__ import annotations

import click

from sogni.cli.exit_codes import Command
from sogni.cli.known_names import complete_file
from sogni.cli.params import (
    TOKEN,
    CommandDecorator,
    Fields,
    Option,
    grouped_option,
    options_of_model,
    project_options,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.core.media import HEAD_SIZE, image_size, sniff
from sogni.models.params import ImageProjectParams, VideoProjectParams

IMAGE_MODEL = "rtx_vsr_pro"
VIDEO_MODEL = "flashvsr_v1.1_tiny_long_bf16"
SCALES = ("2", "3", "4")
RESOLUTIONS = ("1080", "1440")
_HEAD = 4 * 1024 * 1024
"""Number of bytes to search for the size of an image. JPEG files may begin with large previews and profiles."""

_OPTIONS: tuple[Option, ...] = (
    grouped_option("--scale", type=click.Choice(SCALES), help="Multiply the sides of an image. Default: 2."),
    grouped_option(
        "--longest-edge", type=click.IntRange(min=1), metavar="PIXELS", help="Scale an image to this size instead."
    ),
    *options_of_model(ImageProjectParams, output_format=None),
    grouped_option(
        "--resolution",
        "upscale_resolution",
        type=click.Choice(RESOLUTIONS),
        help="Scale a video to this short side in pixels. Default: 1080.",
    ),
    *options_of_model(VideoProjectParams, detail_preference="--detail", processing_speed="--speed", seed=None),
    TOKEN,
)
_OF_IMAGES = {"scale": "--scale", "longest_edge": "--longest-edge", "output_format": "--format"}
_OF_VIDEOS = {"upscale_resolution": "--resolution", "detail_preference": "--detail", "processing_speed": "--speed"}

_upscale_options: CommandDecorator = project_options(_OPTIONS, dict, needs={})


@click.command(cls=Command)
@click.argument("file", metavar="FILE", shell_complete=complete_file)
@_upscale_options
@generation_options
def upscale(generation: Generation, file: str, fields: Fields) -> None:
    """Upscale an image or a video and print the path of the saved file.

    The type is detected from the content of the file. Videos keep their length, frame rate and sound. Ctrl-C cancels
    the project.

    Example: sogni upscale photo.jpg --scale 4
    """
    generation.run(_project(file, fields))


def _project(file: str, chosen: Fields) -> Fields:
    """Return the fields of the project for a file. Raises UsageError."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(_HEAD)
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from None
    found = sniff(head[:HEAD_SIZE], "video")
    kind = (found or "").partition("/")[0]
    if kind == "image":
        _refuse(chosen, _OF_VIDEOS, f"{file} is an image")
        return _image(file, head, chosen)
    if kind == "video":
        _refuse(chosen, _OF_IMAGES, f"{file} is a video")
        resolution = int(chosen.get("upscale_resolution", RESOLUTIONS[0]))
        return {
            "type": "video",
            "model_id": VIDEO_MODEL,
            "reference_video": file,
            **chosen,
            "upscale_resolution": resolution,
        }
    raise click.UsageError(f"{file} is neither an image nor a video")


def _refuse(chosen: Fields, options: dict[str, str], reason: str) -> None:
    for name, option in options.items():
        if name in chosen:
            raise click.UsageError(f"{option} has no effect: {reason}")


def _image(file: str, head: bytes, chosen: Fields) -> Fields:
    fields = dict(chosen)
    scale, edge = fields.pop("scale", None), fields.pop("longest_edge", None)
    if scale is not None and edge is not None:
        raise click.UsageError("give either --scale or --longest-edge")
    size = image_size(head)
    if size is None:
        raise click.UsageError(f"the size of {file} is unknown: use a PNG or JPEG file")
    factor = int(scale or SCALES[0]) if edge is None else edge / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    return {
        "type": "image",
        "model_id": IMAGE_MODEL,
        "starting_image": file,
        "width": width,
        "height": height,
        **fields,
    }
