"""Keywords of calls that have many: decides what is said of one that is none of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .suggestions import did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


def naming_the_nearest(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function refuse an unknown keyword with a TypeError that names the one that was probably meant."""
    known = tuple(inspect.signature(function).parameters)[1:]

    @functools.wraps(function)
    def checked(*args: P.args, **keywords: P.kwargs) -> R:
        for name in keywords:
            if name not in known:
                raise TypeError(f"{function.__qualname__}() has no parameter {name!r}{did_you_mean(name, known)}")
        return function(*args, **keywords)

    return checked
