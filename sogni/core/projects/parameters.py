"""Check and convert project parameters by their declarations.

The declarations are in `sogni.models.params`. Rules that span several parameters are in `image_requests`,
`video_requests` and `audio_requests`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import attrgetter
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import attrs
from attrs import frozen

from sogni.core.catalogue.model_families import model_names
from sogni.core.catalogue.state import check_choice
from sogni.core.checks import flag, integer, invalid_value, items, number, one_of, short_repr, text
from sogni.core.projects.uploads import is_supplied
from sogni.models.catalogue import Choice, ModelOptions, NumberRange
from sogni.models.params import Parameter, ProjectParams

P = TypeVar("P", bound=ProjectParams)
Check = Callable[[str, Any], Any]


@frozen
class Declared:
    """A parameter with its name, and the check of its type and range; None if a rule of its own checks it."""

    name: str
    parameter: Parameter
    check: Check | None


@cache
def declarations(kind: type[Any]) -> tuple[Declared, ...]:
    """Return the parameters that a class declares."""
    hints = get_type_hints(kind)
    return tuple(
        Declared(it.name, parameter, _check_of(hints[it.name], parameter))
        for it in attrs.fields(kind)
        if (parameter := it.metadata.get("parameter")) is not None
    )


Attribute = Literal["check", "key", "models", "needs", "options", "request_key"]


@cache
def _having(kind: Any, attribute: Attribute) -> tuple[tuple[Declared, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the parameters whose declaration has an attribute, and the function that reads their values."""
    found = tuple(it for it in declarations(kind) if getattr(it if attribute == "check" else it.parameter, attribute))
    # It only returns a tuple for two names or more. Those at the end are not used.
    return found, attrgetter(*(it.name for it in found), "model_id", "model_id")


def _check_of(hint: Any, parameter: Parameter) -> Check | None:
    """The check of a type. Ranges that depend on the model are checked by rules."""
    limits: dict[str, Any] = {} if parameter.by_model else {"low": parameter.low, "high": parameter.high}
    members = [hint] if get_origin(hint) is Literal else [it for it in get_args(hint) if it is not type(None)] or [hint]
    if len(members) != 1:
        return None
    (member,) = members
    if get_origin(member) is Literal:
        return partial(one_of, allowed=get_args(member))
    if get_origin(member) is Sequence and (item := _check_of(get_args(member)[0], parameter)):
        return partial(items, item=item)
    plain: Mapping[Any, Check] = {
        str: text,
        bool: flag,
        int: partial(integer, **limits),
        float: partial(number, **limits),
    }
    return plain.get(member)


def given(params: ProjectParams, attribute: Attribute) -> Iterator[tuple[Declared, Any]]:
    """Yield the parameters that are not None and whose declaration has an attribute, with their values."""
    kind: Any = type(params)
    declared, values = _having(kind, attribute)
    for it, value in zip(declared, values(params), strict=False):
        if value is not None:
            yield it, value


def changed_fields(params: P, changes: Mapping[str, Any]) -> P:
    """Return params with these fields changed; the same object if nothing changes."""
    different = {name: value for name, value in changes.items() if value is not getattr(params, name)}
    return attrs.evolve(params, **different) if different else params


def plain_values(params: ProjectParams) -> dict[str, Any]:
    """Return the values of a project in their plain form. ValidationError for one of a wrong type or out of range."""
    return {it.name: it.check(it.name, value) for it, value in given(params, "check") if it.check is not None}


def check_models(params: ProjectParams) -> None:
    """Raise ValidationError for a parameter that the model does not take: the service would ignore it."""
    names = model_names(params.model_id)
    for it, value in given(params, "models"):
        models = it.parameter.models
        if names.isdisjoint(models) and not _equal(value, it.parameter.neutral):
            takers = ", ".join(models)
            sentence = (
                f"{it.name} must be omitted for {params.model_id}, got {short_repr(value)}; "
                f"the models that use it: {takers}"
            )
            raise invalid_value(it.name, value, "None", sentence)


def check_needs(params: ProjectParams) -> None:
    """Raise ValidationError for a parameter without the one that it belongs to: the service would ignore it."""
    for it, value in given(params, "needs"):
        needs = it.parameter.needs
        if _has(params, it.name) and not any(_has(params, name) for name in needs):
            together = f"together with {' or '.join(needs)}"
            sentence = f"{it.name} must be given {together}, got {short_repr(value)} alone"
            raise invalid_value(it.name, value, together, sentence)


def _equal(value: Any, other: Any) -> bool:
    """Whether two plain values are equal; media inputs, which may define `==` in their own way, are never compared."""
    return type(value) is type(other) and value == other


def _has(params: ProjectParams, name: str) -> bool:
    value = getattr(params, name)
    return is_supplied(value) and not _equal(value, [])


def check_options(params: ProjectParams, options: ModelOptions) -> None:
    """Raise ValidationError for values that the options of the model do not allow. Others are accepted."""
    if options.type != params.type:
        article = "a" if params.type == "video" else "an"
        sentence = (
            f"model_id must be {article} {params.type} model for type={params.type!r}, got {params.model_id!r}, "
            f"which is for type={options.type!r}"
        )
        raise invalid_value("model_id", params.model_id, f"{article} {params.type} model", sentence)
    for it, value in given(params, "options"):
        _check_option(it.name, value, getattr(options, it.name), params.model_id)


_CHOSEN_FROM_A_LIST = ("sampler", "scheduler", "vae")
"""Parameters that a model takes only from a list: without one it has no use for them."""

_STEP_BASES: Mapping[str, float | None] = {"width": 0, "height": 0, "frames": None}
"""Values that steps are counted from; None for the smallest. The steps of other numbers are not checked."""


def _check_option(name: str, value: Any, option: Any, model_id: str) -> None:
    if isinstance(option, Mapping):
        option = Choice(allowed=option["allowed"]) if isinstance(option.get("allowed"), list) else _range(option)
    if isinstance(option, NumberRange):
        _check_range(name, value, option, model_id)
    elif isinstance(option, Choice) and option.allowed:
        if isinstance(value, str):
            check_choice(name, value, option)
        elif value not in option.allowed:
            raise invalid_value(name, value, tuple(option.allowed))
    elif name in _CHOSEN_FROM_A_LIST:
        sentence = f"{name} must be omitted for {model_id}, got {short_repr(value)}; the model offers no choice"
        raise invalid_value(name, value, "None", sentence)


def _range(option: Mapping[str, Any]) -> NumberRange:
    low, high = (it if isinstance(it := option.get(key), int | float) else None for key in ("min", "max"))
    return NumberRange(min=low, max=high)


def _check_range(name: str, value: float, option: NumberRange, model_id: str) -> None:
    low, high = option.min, option.max
    within = (low is None or value >= low) and (high is None or value <= high)
    step, base = (option.step, _STEP_BASES[name]) if name in _STEP_BASES else (1, value)
    base = (low or 0) if base is None else base
    if within and (value - base) % step == 0:
        return
    allowed = range_words(low, high)
    if step != 1:
        allowed += f" and a multiple of {step:g}" if base == 0 else f" in steps of {step:g}"
    raise invalid_value(name, value, allowed, f"{name} must be {allowed} for {model_id}, got {value}")


def range_words(low: float | None, high: float | None) -> str:
    """Return a range in words."""
    if low is None or high is None:
        return f"{low:.12g} or more" if low is not None else f"at most {high:.12g}"
    return f"{low:.12g}" if low == high else f"from {low:.12g} to {high:.12g}"


def key_frame_values(params: ProjectParams) -> dict[str, Any]:
    """Return the parameters that travel in the key frame as they are. Empty lists do not."""
    return {
        it.parameter.key: value
        for it, value in given(params, "key")
        if it.parameter.key is not None and not _equal(value, it.parameter.unsent) and not _equal(value, [])
    }


def request_values(params: ProjectParams) -> dict[str, Any]:
    """Return the parameters that travel in the request, outside of the key frame, as they are."""
    return {it.parameter.request_key: value for it, value in given(params, "request_key") if it.parameter.request_key}
