"""The command `sogni 3d`."""

from __future__ import annotations

from typing import Any

import click

from sogni.cli.exit_codes import Command
from sogni.cli.known_names import complete_file
from sogni.cli.params import TOKEN, CommandDecorator, Fields, options_of_model, project_options
from sogni.cli.run_project import Generation, generation_options
from sogni.models.params import ImageProjectParams

MODEL = "pixal3d_int8_i23d"
MULTIVIEW_MODEL = "pixal3d_multiview_int8_i23d"
_VIEWS = ("left_view_image", "back_view_image", "right_view_image")
_OPTIONS = (
    *options_of_model(
        ImageProjectParams,
        left_view_image="--left",
        back_view_image="--back",
        right_view_image="--right",
        mesh_target_faces="--faces",
        texture_size=None,
        normal_map_size=None,
        ambient_occlusion_size="--occlusion-size",
        shape_resolution=None,
        number_of_media=None,
        seed=None,
    ),
    TOKEN,
)


def _fields(chosen: Fields) -> Fields:
    several = any(view in chosen for view in _VIEWS)
    return {"type": "image", "model_id": MULTIVIEW_MODEL if several else MODEL, **chosen}


_options: CommandDecorator = project_options(_OPTIONS, _fields, needs={})


@click.command("3d", cls=Command)
@click.argument("starting_image", metavar="IMAGE", shell_complete=complete_file)
@_options
@generation_options
def three_d(generation: Generation, starting_image: str, fields: dict[str, Any]) -> None:
    """Make a 3D model of the object in an image and print the paths of the saved GLB files.

    IMAGE shows the front. More views make the other sides more accurate. Ctrl-C cancels the project.

    Example: sogni 3d chair.png --back chair-back.png
    """
    generation.run({**fields, "starting_image": starting_image})
