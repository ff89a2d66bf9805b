"""`sogni image`: images from a prompt."""

from __future__ import annotations

from typing import Any

import click

from .commands import Command
from .describing import PROMPT
from .generating import Generation, generating
from .image_options import imaging


@click.command(cls=Command)
@PROMPT
@imaging
@generating
def image(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Generate images and print the paths of the files.

    Ctrl-C cancels the project. Images that are finished are saved even when others fail.
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
