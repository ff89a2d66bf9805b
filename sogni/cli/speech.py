"""The command `sogni speech`."""

from __future__ import annotations

from typing import Any

import click

from sogni.cli.exit_codes import Command
from sogni.cli.music import read_lyrics
from sogni.cli.params import (
    TOKEN,
    CommandDecorator,
    Fields,
    Option,
    check_encodable,
    grouped_option,
    options_of_model,
    project_options,
)
from sogni.cli.run_project import Generation, generation_options
from sogni.models.params import AudioProjectParams

_QWEN = "qwen3_tts_1.7b_{}_bf16"
MODEL = _QWEN.format("custom_voice")
CLONE_MODEL = _QWEN.format("voice_clone")
DESIGN_MODEL = _QWEN.format("voice_design")

_SCRIPT = click.argument("positive_prompt", metavar="TEXT|@FILE", callback=read_lyrics)
_OPTIONS: tuple[Option, ...] = (
    *options_of_model(AudioProjectParams, speaker="--voice", instruct="--style"),
    grouped_option(
        "--design", metavar="TEXT", callback=check_encodable, help="Speak in a new voice that fits this description."
    ),
    *options_of_model(
        AudioProjectParams,
        reference_audio="--clone",
        reference_text="--transcript",
        language=None,
        number_of_media=None,
        seed=None,
        output_format=None,
    ),
    TOKEN,
)
_VOICES = {"speaker": "--voice", "design": "--design", "reference_audio": "--clone"}


def _fields(chosen: Fields) -> Fields:
    voices = [option for name, option in _VOICES.items() if name in chosen]
    if len(voices) > 1:
        raise click.UsageError(f"give either {' or '.join(voices)}")
    if "instruct" in chosen and voices not in ([], ["--voice"]):
        raise click.UsageError(f"--style cannot be combined with {voices[0]}")
    fields = {"type": "audio", "model_id": MODEL, **chosen}
    if "reference_audio" in chosen:
        fields["model_id"] = CLONE_MODEL
    if "design" in fields:
        fields |= {"model_id": DESIGN_MODEL, "instruct": fields.pop("design")}
    return fields


_speech_options: CommandDecorator = project_options(_OPTIONS, _fields, needs={"reference_text": ("reference_audio",)})


@click.command(cls=Command)
@_SCRIPT
@_speech_options
@generation_options
def speech(generation: Generation, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Speak TEXT, or the contents of a file (@- for standard input), and print the paths of the saved files.

    The voice is one of the model's, that of a recording, or a new one. Ctrl-C cancels the project.

    Example: sogni speech "Welcome aboard." --voice ryan --style "warm and slow"
    """
    generation.run({**fields, "positive_prompt": positive_prompt})
