"""`sogni music`: music from a prompt."""

from __future__ import annotations

from typing import Any

import click

from .commands import Command
from .describing import PROMPT
from .generating import Generation, generating
from .music_options import composing


@click.command(cls=Command)
@PROMPT
@composing
@generating
def music(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Generate music and print the paths of the files.

    The prompt says the style: genre, instruments, mood. Ctrl-C cancels the project. Versions that are finished
    are saved even when others fail.
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
