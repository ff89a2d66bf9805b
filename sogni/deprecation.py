"""Deprecation warnings.

`warnings.deprecated` needs Python 3.13, and would attribute the warning to the wrapper that public methods have here
instead of the line that a user has to change.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

_OURS = ("sogni", "sogni_async")


def warn_deprecated(message: str) -> None:
    """Emit a `DeprecationWarning` for the nearest caller outside of our packages.

    Args:
        message: What is deprecated, what to use instead, and the first release without it.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, DeprecationWarning, stacklevel=level)


if TYPE_CHECKING:
    # Type checkers and editors know this one, and mark what uses a deprecated name.
    from typing_extensions import deprecated
else:

    def deprecated(message: str):
        """Make a function, a method or a class emit a `DeprecationWarning` when it is called.

        Args:
            message: What to use instead, and the first release without it:
                ``"use get_result(); it will be removed in 0.4"``.

        Returns:
            The decorator.
        """

        def decorate(target: T) -> T:
            text = f"{target.__qualname__}() is deprecated: {message}"
            if isinstance(target, type):
                target.__init__ = _warning(target.__init__, text)
                target.__deprecated__ = message
                return target
            decorated = _warning(target, text)
            decorated.__deprecated__ = message
            return decorated

        return decorate


def _warning(function: Any, text: str) -> Any:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **keywords: Any) -> Any:
            warn_deprecated(text)
            return await function(*args, **keywords)

        return call_async

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        warn_deprecated(text)
        return function(*args, **keywords)

    return call
