"""Samplers and schedulers: decides their names on the wire and which a model accepts.

Called by `model_options` (names of a tier), `image_request` and `estimate_calls` (the caller's choice).
It never picks one: what is not given is left to the service (projects-4.2 §9.2, §9.3).
"""

from __future__ import annotations

from typing import Any

from ..errors import ValidationError
from ..models.catalogue import Choice
from .data import table
from .field_checks import refusal, shown, text
from .suggestions import did_you_mean


def sampler_alias(name: Any) -> Any:
    """Return the name that is sent for a sampler of a tier (`DPM++ 2M` → `dpmpp_2m`); others stay."""
    return _alias("sampler-aliases", name)


def scheduler_alias(name: Any) -> Any:
    """Return the name that is sent for a scheduler of a tier (`SGM Uniform` → `sgm_uniform`); others stay."""
    return _alias("scheduler-aliases", name)


def _alias(source: str, name: Any) -> Any:
    return table(source)["aliases"].get(name, name) if isinstance(name, str) else name


def check_choice(field: str, value: Any, choice: Choice | None) -> str | None:
    """Return the value to send: the one given, if the model lists it, else None.

    A value for a model without a list is dropped, as the service has no use for it; one that is not in the
    list, exactly as it stands there, is a ValidationError (projects-4.2 §9.2).
    """
    if value is None:
        return None
    name = text(field, value, empty=False)
    allowed = choice.allowed if choice is not None else []
    if not allowed:
        return None
    if name in allowed:
        return name
    raise _not_listed(field, name, allowed)


def _not_listed(field: str, name: str, allowed: list[Any]) -> ValidationError:
    alias = sampler_alias(scheduler_alias(name))
    hint = f"; did you mean {alias!r}?" if alias in allowed else did_you_mean(name, map(str, allowed), 1)
    listed = ", ".join(map(repr, allowed))
    return refusal(field, name, tuple(allowed), f"{field} must be one of {listed}, not {shown(name)}{hint}")
