"""The command `sogni 3d`."""

from __future__ import annotations

from typing import Any

import click

from sogni.cli.exit_codes import Command
from sogni.cli.params import SEED, TOKEN, CommandDecorator, Fields, Option, count_option, project_options
from sogni.cli.run_project import Generation, generation_options

MODEL = "pixal3d_int8_i23d"
MULTIVIEW_MODEL = "pixal3d_multiview_int8_i23d"
_VIEWS = ("left_view_image", "back_view_image", "right_view_image")


def _size_option(option: str, field: str, meaning: str) -> Option:
    return click.option(option, field, type=int, help=f"{meaning} Default: the service's.")


_OPTIONS: tuple[Option, ...] = (
    click.option(
        "--left", "left_view_image", metavar="FILE", help="Show the left side of the object, as its own left."
    ),
    click.option("--back", "back_view_image", metavar="FILE", help="Show the back of the object."),
    click.option("--right", "right_view_image", metavar="FILE", help="Show the right side of the object."),
    _size_option("--faces", "mesh_target_faces", "Set the number of faces, 5000 to 700000."),
    _size_option("--texture-size", "texture_size", "Set the size of the texture in pixels, 1024 to 4096."),
    _size_option("--normal-map-size", "normal_map_size", "Set the size of the normal map in pixels, 512 to 2048."),
    _size_option(
        "--occlusion-size", "ambient_occlusion_size", "Set the size of the occlusion map in pixels, 256 to 1024."
    ),
    _size_option("--shape-resolution", "shape_resolution", "Set the resolution of the shape, 1024 to 1536."),
    count_option("models"),
    SEED,
    TOKEN,
)


def _fields(chosen: Fields) -> Fields:
    several = any(view in chosen for view in _VIEWS)
    return {"type": "image", "model_id": MULTIVIEW_MODEL if several else MODEL, **chosen}


_options: CommandDecorator = project_options(_OPTIONS, _fields, needs={})


@click.command("3d", cls=Command)
@click.argument("starting_image", metavar="IMAGE")
@_options
@generation_options
def three_d(generation: Generation, starting_image: str, fields: dict[str, Any]) -> None:
    """Make a 3D model of the object in an image and print the paths of the saved GLB files.

    IMAGE shows the front. Further views make the other sides exact. Ctrl-C cancels the project.

    Example: sogni 3d chair.png --back chair-back.png
    """
    generation.run({**fields, "starting_image": starting_image})
