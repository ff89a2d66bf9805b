"""`sogni video`: videos from a prompt."""

from __future__ import annotations

from typing import Any

import click

from .commands import Command
from .describing import PROMPT
from .generating import Generation, generating
from .video_options import filming


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
