"""The command `sogni music` and the options of music."""

from __future__ import annotations

from typing import Any, get_args

import click

from sogni.cli.exit_codes import Command
from sogni.cli.input_files import decode_text, read_input
from sogni.cli.params import (
    PROMPT,
    SEED,
    STEPS,
    TOKEN,
    CommandDecorator,
    Fields,
    Option,
    check_encodable,
    count_option,
    project_options,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.errors import SogniTimeoutError
from sogni.models.params import AudioFormat

DEFAULT_MODEL = "ace_step_1.5_turbo"


def read_lyrics(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return the lyrics, read from a file if the value starts with `@`. Raises BadParameter."""
    if value is None or not value.startswith("@"):
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


_OPTIONS: tuple[Option, ...] = (
    click.option(
        "--model", "model_id", default=DEFAULT_MODEL, show_default=True, help="Use this model; see 'sogni models'."
    ),
    count_option("versions"),
    click.option("--duration", type=float, metavar="SECONDS", help="Set the length. Default: the model's."),
    click.option("--bpm", type=float, help="Set the tempo in beats per minute. Default: the model's."),
    click.option("--key", "keyscale", help="Set the key, for example 'A minor'. Default: the model's."),
    click.option("--time-signature", "timesignature", help="Set the beats per bar; 4 means 4/4. Default: the model's."),
    click.option("--language", help="Set the language of the lyrics, for example en. Default: the model's."),
    click.option(
        "--lyrics",
        metavar="TEXT|@FILE",
        callback=read_lyrics,
        help="Sing these lyrics, or those in FILE (@- for standard input). Default: instrumental.",
    ),
    STEPS,
    click.option("--shift", type=float, help="Set the sampling shift. Default: the model's."),
    click.option("--creativity", type=float, help="Set how freely to compose. Default: the model's."),
    click.option("--prompt-strength", type=float, help="Set how closely to follow the prompt. Default: the model's."),
    SEED,
    click.option(
        "--format",
        "output_format",
        type=click.Choice(get_args(AudioFormat)),
        help="Save files in this format. Default: the service's.",
    ),
    TOKEN,
)


def _fields(chosen: Fields) -> Fields:
    return {"type": "audio", **chosen}


music_options: CommandDecorator = project_options(_OPTIONS, _fields, needs={})
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
