"""Options for the parameters of projects, derived from their declarations, and checks of their combinations.

The library validates the values, because it knows the model. Only what it cannot detect is checked here: options that
would be ignored, and strings that cannot be encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs
import click

from sogni.cli.exit_codes import FILES, PROJECT, SOME_MODELS
from sogni.cli.known_names import complete_file, complete_loras, models_of
from sogni.models.params import Parameter
from sogni.settings import TokenType

Option = Callable[[Any], Any]
Fields = dict[str, Any]
CommandDecorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class GroupedOption(click.Option):
    """An option that the help of its command lists under the heading of its group, unless that is empty."""

    def __init__(self, *args: Any, group: str = PROJECT, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.group = group


grouped_option: Callable[..., Option] = partial(click.option, cls=GroupedOption)
"""`click.option` with a `group`."""


def check_encodable(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a string that can be encoded. Raises BadParameter for undecodable bytes."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("must be text in the encoding of the terminal", context, parameter) from None
    return value


# Options that follow from declarations


_NAMES: Mapping[str, tuple[str, ...]] = {
    "model_id": ("--model",),
    "number_of_media": ("-n", "--count"),
    "token_type": ("--token",),
    "disable_nsfw_filter": ("--no-filter",),
    "output_format": ("--format",),
    "size_preset": ("--size",),
    "starting_image_strength": ("--strength",),
    "number_of_previews": ("--previews",),
    "sam3_prompt": ("--find",),
    "apply_mask": ("--cut-out",),
    "embed_prompt_metadata": ("--metadata/--no-metadata",),
    "generate_audio": ("--audio/--no-audio",),
    "keyscale": ("--key",),
    "timesignature": ("--time-signature",),
}
"""Options that are not named after their field."""

_OMITTED = ("positive_prompt", "network", "app_source")
"""Parameters that are an argument, an option of the connection or a setting of the client."""

_METAVARS: Mapping[str | None, str] = {"seconds": "SECONDS", "pixels": "PIXELS"}
_PYTHON_ONLY = re.compile(
    r"; see `projects\.\w+`| \(`projects\.\w+`\)|; False keeps a position empty| Default: False\.$"
)
"""Parts of descriptions that do not apply to the command line."""


def declared_options(kind: type[Any], replaced: Mapping[str, Option | None]) -> tuple[Option, ...]:
    """Return the options for the parameters that a class declares.

    Parameters that are neither a number, a string, a file nor a list of them have no option, unless `replaced` has one
    for their field. It also replaces the options of others, or removes them (None).
    """
    hints, declared = get_type_hints(kind), _declared(kind)
    names = _names(declared)
    found = (
        replaced[name] if name in replaced else _option(it, hints[name], names, _group(it.metadata["parameter"]))
        for name, it in declared.items()
    )
    return tuple(option for option in found if option is not None)


def options_of_model(kind: type[Any], **names: str | None) -> tuple[Option, ...]:
    """Return the options of a command for one model: some parameters that a class declares, by name of their field.

    Args:
        kind: The class.
        **names: The option of each field; None for its usual name.
    """
    hints, declared = get_type_hints(kind), _declared(kind)
    usual = _names(declared)
    shown = {name: (option,) if option else usual[name] for name, option in names.items()}

    def options() -> Iterator[Option]:
        for name in names:
            metadata = {"parameter": attrs.evolve(declared[name].metadata["parameter"], models=(), by_model=None)}
            if (option := _option(declared[name].evolve(metadata=metadata), hints[name], shown, PROJECT)) is not None:
                yield option

    return tuple(options())


def _declared(kind: type[Any]) -> dict[str, Any]:
    fields: Any = attrs.fields(kind)
    return {it.name: it for it in fields if "parameter" in it.metadata and it.name not in _OMITTED}


def _names(declared: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: _NAMES.get(name) or (_default_name(name, declared),) for name in declared}


def declared_needs(kind: type[Any]) -> dict[str, tuple[str, ...]]:
    """Return the fields of which one is needed by another field, by the name of that."""
    parameters = ((it.name, it.metadata.get("parameter")) for it in attrs.fields(kind))
    return {name: parameter.needs for name, parameter in parameters if parameter is not None and parameter.needs}


def _default_name(name: str, declared: Mapping[str, Any]) -> str:
    """Return the singular name of a list, because its option is given once for each item."""
    singular = name.removesuffix("s")
    named = singular if re.search(r"(image|url|lora|duration)s$", name) and singular not in declared else name
    return f"--{named.replace('_', '-')}"


def _option(field: Any, hint: Any, names: Mapping[str, tuple[str, ...]], group: str | None) -> Option | None:
    """Return the option for a field, in the group `FILES` if None is given and it names a file."""
    parameter: Parameter = field.metadata["parameter"]
    is_file, settings = _value_settings(field.name, hint, parameter)
    if settings is None:
        return None
    declarations = names[field.name]
    if settings.get("type") is bool:
        if "/" not in declarations[-1] and not (field.default is False or parameter.default == "False"):
            declarations = (f"{declarations[0]}/--no-{declarations[0].removeprefix('--')}",)
        settings = {"is_flag": True, "default": None}
    elif field.default is not attrs.NOTHING and field.default not in (None, ""):
        settings = {**settings, "default": field.default, "show_default": True}
    group = group or (FILES if is_file else PROJECT)
    return grouped_option(*declarations, field.name, group=group, help=_help(parameter, names, settings), **settings)


def _group(parameter: Parameter) -> str | None:
    """Return the group of a parameter; None if that follows from its type."""
    if parameter.models:
        return SOME_MODELS
    return FILES if any(it.startswith(("reference_", "starting_")) for it in parameter.needs) else None


def _value_settings(name: str, hint: Any, parameter: Parameter) -> tuple[bool, dict[str, Any] | None]:
    """Return whether an option names a file, and its settings for click; None if the field has no option."""
    members = [hint] if get_origin(hint) is Literal else [it for it in get_args(hint) if it is not type(None)] or [hint]
    if bytes in members:
        return True, {"metavar": "FILE", "shell_complete": complete_file}
    (member, *others) = members
    if get_origin(member) is Sequence:
        is_file, settings = _value_settings(name, get_args(member)[0], parameter)
        return is_file, settings and {**{k: v for k, v in settings.items() if k != "callback"}, "multiple": True}
    if get_origin(member) is Literal:
        return False, {"type": click.Choice(get_args(member))}
    if others or member not in (str, int, float, bool):
        return False, None
    metavar = "URL" if "_url" in name else _METAVARS.get(parameter.unit)
    callback = {"callback": check_encodable} if member is str else {}
    return False, {"type": member, "metavar": metavar, **callback}


def _help(parameter: Parameter, names: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]) -> str:
    """Return the description of a parameter, with the names of options in place of those of fields."""
    text = _PYTHON_ONLY.sub("", parameter.description)
    text = re.sub(r"`(\w+)`", lambda found: _shown(names[found[1]]) if found[1] in names else found[1], text)
    text = text.replace("`", "").replace(" Default: True.", " Default: yes.")
    return f"{text} Repeatable." if settings.get("multiple") else text


def _shown(declarations: Sequence[str]) -> str:
    """Return the name of an option in messages: the longest."""
    return max(declarations, key=len).partition("/")[0]


# Options of a command


def project_options(
    options: Sequence[Option], fields_of: Callable[[Fields], Fields], *, needs: Mapping[str, Sequence[str]]
) -> CommandDecorator:
    """Return a decorator that adds project options to a command, which receives `fields`.

    Args:
        options: The options.
        fields_of: Function that turns the given options into the fields of a project.
        needs: Fields by the field of an option that would be ignored without any of them.
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


def _check_combinations(chosen: Fields, option_names: Mapping[str, str], needs: Mapping[str, Sequence[str]]) -> None:
    if "width" in option_names and ("width" in chosen) != ("height" in chosen):
        raise click.UsageError("--width and --height must be given together")
    for name, others in needs.items():
        if name in chosen and chosen.keys().isdisjoint(others):
            required = " or ".join(option_names[other] for other in others)
            raise click.UsageError(f"{option_names[name]} requires {required}")


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


def token_option(group: str, default: str) -> Option:
    """Return the option for the token that pays; `default` describes which one pays without it."""
    return grouped_option(
        "--token",
        "token_type",
        group=group,
        type=click.Choice(get_args(TokenType)),
        help=f"Pay with this token. Default: SOGNI_TOKEN_TYPE, else {default}.",
    )


TOKEN = token_option(PROJECT, "sogni, or spark for models that only it pays for")


def model_option(media: str, default: str | None, help: str = "Use this model; see 'sogni models'.") -> Option:
    """Return the option for the model of some medium."""
    shown = default is not None
    complete = models_of(media)
    return grouped_option(
        "--model", "model_id", default=default, show_default=shown, help=help, shell_complete=complete
    )


LORAS = grouped_option(
    "--lora",
    "loras",
    multiple=True,
    metavar="ID[:STRENGTH]",
    shell_complete=complete_loras,
    help="Apply a LoRA; see 'sogni lora list'. The default strength is 1. Repeatable.",
)


def with_loras(fields: Fields) -> Fields:
    """Return the fields with the LoRAs and their strengths from the values of `--lora`."""
    if "loras" not in fields:
        return fields
    pairs = [with_strength("--lora", text) for text in fields["loras"]]
    names = [name for name, _ in pairs]
    while pairs and pairs[-1][1] is None:
        # The service's default is not checked against the range of the LoRA; a strength that is given is.
        pairs.pop()
    strengths = [1.0 if strength is None else strength for _, strength in pairs]
    return {**fields, "loras": names, "lora_strengths": strengths}
