"""Error messages for unknown keyword arguments, with a suggestion.

Python raises `TypeError` for an unknown keyword before the function runs, so it takes a second function to change the
message. A correct call costs one more call, which does not look at the arguments. Because these may be
secrets, which error trackers would find in its frame, the frame is removed from the traceback of every error.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import FunctionType
from typing import Any, TypeVar, cast

from sogni.errors import brief

T = TypeVar("T")

_OURS = ("sogni", "sogni_async")
_MARK = "_suggests_keywords"


def suggest_keywords(target: T) -> T:
    """Make a function, or the constructor and public methods of a class, suggest the closest parameter in errors.

    Functions that take a params object or any keywords are returned unchanged, because they check both on their own.
    """
    if isinstance(target, type):
        for kind in target.__mro__:
            if kind.__module__.partition(".")[0] in _OURS:
                _wrap_members(kind)
        return target
    return cast(T, _wrapped(target)) if isinstance(target, FunctionType) else target


def _wrap_members(kind: type) -> None:
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and name != "__init__":
            continue
        inner = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(inner, FunctionType) and (wrapped := _wrapped(inner)) is not inner:
            setattr(kind, name, wrapped if inner is member else type(member)(wrapped))


def _wrapped(function: FunctionType) -> Callable[..., Any]:
    code = function.__code__
    if hasattr(function, _MARK) or (code.co_posonlyargcount and code.co_flags & inspect.CO_VARKEYWORDS):
        return function

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except BaseException as error:
            error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ is not None else None
            if isinstance(error, TypeError):
                if (message := _message(function, args, keywords)) is not None:
                    error.args = (message,)
                # Without a frame of its own, the function has not run: its arguments do not fit.
                if message is not None or error.__traceback__ is None:
                    brief(error)
            raise

    setattr(call, _MARK, True)
    return _as_coroutine_function(call) if inspect.iscoroutinefunction(function) else call


def _message(function: FunctionType, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the arguments of a call; None if nothing is, or if Python's message is enough."""
    from sogni.core.checks import did_you_mean_keyword

    parameters = list(inspect.signature(function).parameters.values())
    known = [it.name for it in parameters if it.kind in (it.POSITIONAL_OR_KEYWORD, it.KEYWORD_ONLY)]
    name = function.__qualname__.removesuffix(".__init__")
    for keyword in keywords if all(it.kind is not it.VAR_KEYWORD for it in parameters) else ():
        if keyword not in known:
            return f"{name}() has no parameter {keyword!r}{did_you_mean_keyword(keyword, known)}"
    positional = [it for it in parameters if it.kind in (it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD)]
    if any(isinstance(it, Mapping) for it in args[len(positional) :]):
        return f"{name}() takes no mapping; use {name.rpartition('.')[2]}(**params)"
    return None


def _as_coroutine_function(function: Any) -> Any:
    """Mark a function that returns a coroutine, so that frameworks await its result."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    # Before 3.12 only `asyncio.iscoroutinefunction` knows a mark.
    function._is_coroutine = vars(import_module("asyncio.coroutines"))["_is_coroutine"]
    return function
