"""What an image can be asked for on the command line: decides the options and the fields they become.

Used by `image` and `estimate image`. Values are checked by the library, which knows the model; here only
what it could not see: options that would be ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

import click

from ..models.base import TokenType
from ..models.params import ImageFormat

DEFAULT_MODEL = "flux1-schnell-fp8"

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--model", "model_id", default=DEFAULT_MODEL, show_default=True, help="See 'sogni models'."),
    click.option("-n", "--count", "number_of_media", type=int, default=1, show_default=True, help="Images to make."),
    click.option("--size", "size_preset", metavar="PRESET", help="A named size of the model."),
    click.option("--width", type=click.IntRange(min=1), help="Pixels; with --height."),
    click.option("--height", type=click.IntRange(min=1), help="Pixels; with --width."),
    click.option("--steps", type=int, help="Steps to render; the model's own number by default."),
    click.option("--guidance", type=float, help="How closely to follow the prompt."),
    click.option("--seed", type=int, help="The same request with the same seed gives the same image."),
    click.option("--negative-prompt", metavar="TEXT", help="What not to show."),
    click.option("--style-prompt", metavar="TEXT", help="In which style."),
    click.option("--starting-image", metavar="FILE", help="An image to start from."),
    click.option("--strength", "starting_image_strength", type=float, help="How much of it to keep, 0 to 1."),
    click.option("--sampler", help="One of the model's samplers."),
    click.option("--scheduler", help="One of the model's schedulers."),
    click.option("--lora", "loras", multiple=True, metavar="ID[:STRENGTH]", help="A LoRA; repeatable."),
    click.option("--previews", "number_of_previews", type=int, help="Previews on the way, per image."),
    click.option("--format", "output_format", type=click.Choice(get_args(ImageFormat)), help="Of the files."),
    click.option("--token", "token_type", type=click.Choice(get_args(TokenType)), help="What to pay with."),
    click.option("--no-filter", "disable_nsfw_filter", is_flag=True, help="Turn the content filter off."),
)
FIELDS = (
    "model_id", "number_of_media", "size_preset", "width", "height", "steps", "guidance", "seed", "negative_prompt",
    "style_prompt", "starting_image", "starting_image_strength", "sampler", "scheduler", "loras",
    "number_of_previews", "output_format", "token_type", "disable_nsfw_filter",
)  # fmt: skip


def imaging(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of an image; it gets the fields of the project as `fields`."""

    @wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        chosen = {name: given.pop(name) for name in FIELDS}
        return function(*args, fields=project_fields(chosen), **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def project_fields(chosen: dict[str, Any]) -> dict[str, Any]:
    """The fields of the project that these options describe. UsageError for options that exclude each other."""
    if (chosen["width"] is None) != (chosen["height"] is None):
        raise click.UsageError("--width and --height belong together")
    if chosen["size_preset"] is not None and chosen["width"] is not None:
        raise click.UsageError("give either --size or --width and --height")
    if chosen["starting_image_strength"] is not None and chosen["starting_image"] is None:
        raise click.UsageError("--strength needs --starting-image")
    fields = {name: value for name, value in chosen.items() if value not in (None, ())}
    if "loras" in fields:
        pairs = [lora(text) for text in fields["loras"]]
        fields["loras"] = [name for name, _ in pairs]
        fields["lora_strengths"] = [strength for _, strength in pairs]
    return {"type": "image", **fields}


def lora(text: str) -> tuple[str, float]:
    """Id and strength of `ID[:STRENGTH]`; 1 when it names none."""
    name, colon, strength = text.rpartition(":")
    if not colon:
        return text, 1.0
    try:
        return name, float(strength)
    except ValueError:
        raise click.UsageError(f"--lora {text}: the strength must be a number, not {strength!r}") from None


def check_text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A text that can be sent. BadParameter for bytes that are none."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("this is not a text in the terminal's encoding", context, parameter) from None
    return value
