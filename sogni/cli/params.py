"""Options that describe a project, shared by images, videos and music.

Values are validated by the library, which knows the model. Only what it cannot see is checked here: options that would
be ignored, and strings that cannot be encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, get_args

import click

from sogni.settings import TokenType

Option = Callable[[Any], Any]
Fields = dict[str, Any]
CommandDecorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def project_options(
    options: Sequence[Option], fields_of: Callable[[Fields], Fields], *, needs: Mapping[str, str]
) -> CommandDecorator:
    """Return a decorator that adds project options to a command, which receives `fields`.

    Args:
        options: The options.
        fields_of: Function that turns the given options into the fields of a project.
        needs: For the field of an option, the field of another one without which it would be ignored.
    """
    option_names = _option_names(options)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(*args: Any, **given: Any) -> Any:
            requested = {name: given.pop(name) for name in option_names}
            chosen = {name: value for name, value in requested.items() if value not in (None, ())}
            _check_combinations(chosen, option_names, needs)
            return function(*args, fields=fields_of(chosen), **given)

        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _option_names(options: Sequence[Option]) -> dict[str, str]:
    """Return the name of each option by its field."""

    def placeholder() -> None: ...

    for option in reversed(options):
        option(placeholder)
    parameters: list[click.Parameter] = getattr(placeholder, "__click_params__", [])
    return {str(it.name): max(it.opts, key=len) for it in reversed(parameters)}


def _check_combinations(chosen: Fields, option_names: Mapping[str, str], needs: Mapping[str, str]) -> None:
    for name, other in needs.items():
        if name in chosen and other not in chosen:
            raise click.UsageError(f"{option_names[name]} requires {option_names[other]}")
    if "width" in option_names and ("width" in chosen) != ("height" in chosen):
        raise click.UsageError("--width and --height must be given together")


def check_encodable(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a string that can be encoded. Raises BadParameter for undecodable bytes."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("must be text in the encoding of the terminal", context, parameter) from None
    return value


def with_strength(option: str, text: str) -> tuple[str, float | None]:
    """Split `NAME[:STRENGTH]`. Raises UsageError if the name is missing or the strength is not a number."""
    name, colon, strength = text.rpartition(":")
    if not (name if colon else text).strip():
        raise click.UsageError(f"{option} {text}: the name is missing")
    if not colon:
        return text, None
    try:
        return name, float(strength)
    except ValueError:
        raise click.UsageError(f"{option} {text}: the strength must be a number, got {strength!r}") from None


PROMPT = click.argument("positive_prompt", metavar="PROMPT", callback=check_encodable)
OPTIONAL_PROMPT = click.argument("positive_prompt", metavar="[PROMPT]", default="", callback=check_encodable)
"""For estimates, which hardly depend on the prompt."""

SIZE: tuple[Option, ...] = (
    click.option(
        "--width", type=click.IntRange(min=1), help="Set the width in pixels; requires --height. Default: the model's."
    ),
    click.option(
        "--height", type=click.IntRange(min=1), help="Set the height in pixels; requires --width. Default: the model's."
    ),
)
STEPS = click.option("--steps", type=int, help="Set the number of inference steps. Default: the model's.")
GUIDANCE = click.option("--guidance", type=float, help="Set how closely to follow the prompt. Default: the model's.")
SEED = click.option("--seed", type=int, help="Set the seed, to reproduce a result. Default: random.")
NEGATIVE_PROMPT = click.option(
    "--negative-prompt", metavar="TEXT", callback=check_encodable, help="Describe what to avoid."
)
TOKEN = click.option(
    "--token",
    "token_type",
    type=click.Choice(get_args(TokenType)),
    help="Pay with this token. Default: SOGNI_TOKEN_TYPE, else sogni.",
)
NO_FILTER = click.option("--no-filter", "disable_nsfw_filter", is_flag=True, help="Disable the content filter.")


def count_option(things: str) -> Option:
    """Return the option for the number of results."""
    return click.option(
        "-n", "--count", "number_of_media", type=int, default=1, show_default=True, help=f"Generate this many {things}."
    )
