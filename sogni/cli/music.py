"""The command `sogni music` and the options of music."""

from __future__ import annotations

from typing import Any

import click

from sogni.cli.exit_codes import Command
from sogni.cli.input_files import decode_text, read_input
from sogni.cli.params import (
    LORAS,
    PROMPT,
    TOKEN,
    CommandDecorator,
    Fields,
    Option,
    check_encodable,
    declared_needs,
    declared_options,
    grouped_option,
    model_option,
    project_options,
    with_loras,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.errors import SogniTimeoutError
from sogni.models.params import AudioProjectParams

DEFAULT_MODEL = "ace_step_1.5_turbo"


def read_lyrics(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return the lyrics, read from a file if the value starts with `@`. Raises BadParameter."""
    # Completion must not read standard input, which is the terminal.
    if value is None or not value.startswith("@") or context.resilient_parsing:
        return check_encodable(context, parameter, value)
    name = value[1:]
    try:
        # `--timeout` is eager, so it is known here regardless of the order of options.
        return decode_text(read_input(name, context.params.get("timeout")))
    except SogniTimeoutError:
        raise
    except OSError as error:
        raise click.BadParameter(f"cannot read {name}: {error.strerror}", context, parameter) from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{name} is not UTF-8 text", context, parameter) from None


_REPLACED: dict[str, Option | None] = {
    "model_id": model_option("audio", DEFAULT_MODEL),
    "negative_prompt": None,
    "token_type": TOKEN,
    "loras": LORAS,
    "lora_strengths": None,
    "lyrics": grouped_option(
        "--lyrics",
        metavar="TEXT|@FILE",
        callback=read_lyrics,
        help="Sing these lyrics, or those in FILE (@- for standard input). Default: instrumental.",
    ),
}


def _fields(chosen: Fields) -> Fields:
    return {"type": "audio", **with_loras(chosen)}


music_options: CommandDecorator = project_options(
    declared_options(AudioProjectParams, _REPLACED), _fields, needs=declared_needs(AudioProjectParams)
)
"""Add the music options to a command, which receives the fields of the project as `fields`."""


@click.command(cls=Command)
@PROMPT
@music_options
@generation_options
def music(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Generate music and print the paths of the saved files.

    The prompt describes the style: genre, instruments, mood. Ctrl-C cancels the project. Completed versions are saved
    even if others fail.

    Example: sogni music "sea shanty, accordion" --duration 60 --key "A minor"
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
