"""How options become the fields of a project: decides what the options of every kind of media have in common.

Used by `image_options`, `video_options` and `music_options`. Values are checked by the library, which knows
the model; here only what it could not see: options that would be ignored, and texts that are none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, get_args

import click

from sogni.models.base import TokenType

Option = Callable[[Any], Any]
Fields = dict[str, Any]
Describing = Callable[[Callable[..., Any]], Callable[..., Any]]


def describing(
    options: Sequence[Option], fields_of: Callable[[Fields], Fields], *, needs: Mapping[str, str]
) -> Describing:
    """Give a command the options that describe a project; it gets the fields as `fields`.

    `fields_of` makes them of the options that were given. `needs` names for an option, by its field, another one
    without which it would be ignored.
    """
    spelled = _spelled(options)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(*args: Any, **given: Any) -> Any:
            wanted = {name: given.pop(name) for name in spelled}
            chosen = {name: value for name, value in wanted.items() if value not in (None, ())}
            _check_company(chosen, spelled, needs)
            return function(*args, fields=fields_of(chosen), **given)

        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _spelled(options: Sequence[Option]) -> dict[str, str]:
    """How each option is written, by the name of its field."""

    def nothing() -> None: ...

    for option in reversed(options):
        option(nothing)
    parameters: list[click.Parameter] = getattr(nothing, "__click_params__", [])
    return {str(it.name): max(it.opts, key=len) for it in reversed(parameters)}


def _check_company(chosen: Fields, spelled: Mapping[str, str], needs: Mapping[str, str]) -> None:
    for name, other in needs.items():
        if name in chosen and other not in chosen:
            raise click.UsageError(f"{spelled[name]} needs {spelled[other]}")
    if "width" in spelled and ("width" in chosen) != ("height" in chosen):
        raise click.UsageError("--width and --height belong together")


def check_text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A text that can be sent. BadParameter for bytes that are none."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("this is not a text in the terminal's encoding", context, parameter) from None
    return value


def with_strength(option: str, text: str) -> tuple[str, float | None]:
    """Name and strength of `NAME[:STRENGTH]`. UsageError for a strength that is no number, and without a name."""
    name, colon, strength = text.rpartition(":")
    if not (name if colon else text).strip():
        raise click.UsageError(f"{option} {text}: a name is missing")
    if not colon:
        return text, None
    try:
        return name, float(strength)
    except ValueError:
        raise click.UsageError(f"{option} {text}: the strength must be a number, not {strength!r}") from None


PROMPT = click.argument("positive_prompt", metavar="PROMPT", callback=check_text)
ANY_PROMPT = click.argument("positive_prompt", metavar="[PROMPT]", default="", callback=check_text)
"""For estimates, which hardly depend on it."""

SIZE: tuple[Option, ...] = (
    click.option("--width", type=click.IntRange(min=1), help="Pixels; with --height."),
    click.option("--height", type=click.IntRange(min=1), help="Pixels; with --width."),
)
STEPS = click.option("--steps", type=int, help="Steps to render; the model's own number by default.")
GUIDANCE = click.option("--guidance", type=float, help="How closely to follow the prompt.")
SEED = click.option("--seed", type=int, help="The same request with the same seed gives the same result.")
NEGATIVE_PROMPT = click.option("--negative-prompt", metavar="TEXT", callback=check_text, help="What not to show.")
TOKEN = click.option("--token", "token_type", type=click.Choice(get_args(TokenType)), help="What to pay with.")
NO_FILTER = click.option("--no-filter", "disable_nsfw_filter", is_flag=True, help="Turn the content filter off.")


def count_option(things: str) -> Option:
    """The option of how many results to make."""
    return click.option(
        "-n", "--count", "number_of_media", type=int, default=1, show_default=True, help=f"{things} to make."
    )
