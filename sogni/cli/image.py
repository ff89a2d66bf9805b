"""`sogni image`: images from a prompt."""

from __future__ import annotations

from typing import Any

import click

from .access import Access, accessing
from .collecting import collect
from .commands import Command
from .image_options import check_text, imaging
from .output import print_json, print_paths
from .target import Target, saving


@click.command(cls=Command)
@click.argument("positive_prompt", metavar="PROMPT", callback=check_text)
@imaging
@saving
@click.option("--timeout", type=float, metavar="SECONDS", help="Give up, and cancel, after this long.")
@click.option("--max-cost", metavar="AMOUNT", help="Refuse to spend more, in the token that pays.")
@accessing
def image(
    access: Access,
    positive_prompt: str,
    fields: dict[str, Any],
    target: Target,
    timeout: float | None,
    max_cost: str | None,
) -> None:
    """Generate images and print the paths of the files.

    Ctrl-C cancels the project. Images that are finished are saved even when others fail.
    """
    wanted = {**fields, "positive_prompt": positive_prompt, "network": access.network}
    with access.client(timeout) as client:
        collected = collect(client, wanted, target, max_cost=max_cost, timeout=timeout)
    if access.as_json:
        print_json({**collected.project.to_dict(), "files": [str(path) for path in collected.files]})
    else:
        print_paths(collected.files)
    if collected.error is not None:
        raise collected.error
