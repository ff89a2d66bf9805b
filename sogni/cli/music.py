"""What a piece of music can be asked for on the command line: decides the options and the fields they become.

Used by `music` and `estimate music`.
"""

from __future__ import annotations

from typing import Any, get_args

import click

from sogni.cli.exit_codes import Command
from sogni.cli.input_files import read_input, text_of
from sogni.cli.params import (
    PROMPT,
    SEED,
    STEPS,
    TOKEN,
    Describing,
    Fields,
    Option,
    check_text,
    count_option,
    describing,
)
from sogni.cli.run_project import Generation, generating
from sogni.errors import SogniTimeoutError
from sogni.models.params import AudioFormat

DEFAULT_MODEL = "ace_step_1.5_turbo"


def read_lyrics(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The lyrics, from a file when `@` stands before its name. BadParameter for a file that is no text."""
    if value is None or not value.startswith("@"):
        return check_text(context, parameter, value)
    name = value[1:]
    try:
        # `--timeout` is eager, and so is known here wherever it stands.
        return text_of(read_input(name, context.params.get("timeout")))
    except SogniTimeoutError:
        raise
    except OSError as error:
        raise click.BadParameter(f"cannot read {name}: {error.strerror}", context, parameter) from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{name} is not a text in UTF-8", context, parameter) from None


_OPTIONS: tuple[Option, ...] = (
    click.option("--model", "model_id", default=DEFAULT_MODEL, show_default=True, help="See 'sogni models'."),
    count_option("Versions"),
    click.option("--duration", type=float, metavar="SECONDS", help="The length."),
    click.option("--bpm", type=float, help="Beats per minute."),
    click.option("--key", "keyscale", help="As 'A minor'."),
    click.option("--time-signature", "timesignature", help="Beats of a bar: 4 is 4/4."),
    click.option("--language", help="Of the lyrics, as en."),
    click.option(
        "--lyrics",
        metavar="TEXT|@FILE",
        callback=read_lyrics,
        help="What is sung, or the file it stands in (@- is standard input); without it, instruments only.",
    ),
    STEPS,
    click.option("--shift", type=float, help="The shift of the sampling."),
    click.option("--creativity", type=float, help="How freely to compose."),
    click.option("--prompt-strength", type=float, help="How closely to follow the prompt."),
    SEED,
    click.option("--format", "output_format", type=click.Choice(get_args(AudioFormat)), help="Of the files."),
    TOKEN,
)


def _fields(chosen: Fields) -> Fields:
    return {"type": "audio", **chosen}


composing: Describing = describing(_OPTIONS, _fields, needs={})
"""Give a command the options of a piece of music; it gets the fields of the project as `fields`."""


# `sogni music`: music from a prompt.


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
