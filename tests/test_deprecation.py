"""Deprecated names still work, and warn at the line that has to change."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from sogni.deprecation import deprecated, warn_deprecated
from sogni.keywords import suggest_keywords

# A module as there could be in the package, whose frames are behind the warning.
SOURCE = '''
ADVICE = "use new(); it will be removed in 0.4"

@suggest_keywords
class Albums:
    @deprecated(ADVICE)
    def old(self, size: int, *, name: str = "") -> tuple[int, str]:
        """An old form."""
        return size, name

    @deprecated(ADVICE)
    async def old_async(self, size: int) -> int:
        return size

    def find(self, old_size: int) -> int:
        warn_deprecated("old_size is deprecated: use size")
        return old_size

@deprecated(ADVICE)
class OldAlbums:
    def __init__(self, title: str) -> None:
        self.title = title
'''
MODULE: dict[str, Any] = {
    "__name__": "sogni.api.albums",
    "deprecated": deprecated,
    "suggest_keywords": suggest_keywords,
    "warn_deprecated": warn_deprecated,
}
exec(SOURCE, MODULE)
Albums, OldAlbums, ADVICE = MODULE["Albums"], MODULE["OldAlbums"], MODULE["ADVICE"]


def warned(call: Callable[[], Any]) -> tuple[Any, list[tuple[str, str]]]:
    """What a call returns, and its warnings with the file they point to, which must be a line of the call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call()
    assert {it.lineno for it in caught} <= {call.__code__.co_firstlineno}
    return value, [(f"{it.category.__name__}: {it.message}", it.filename) for it in caught]


def test_a_deprecated_method_works_and_warns_its_caller() -> None:
    found = warned(lambda: Albums().old(3, name="sea"))
    assert found == ((3, "sea"), [(f"DeprecationWarning: Albums.old() is deprecated: {ADVICE}", __file__)])


async def test_a_deprecated_coroutine_works_and_warns_its_caller() -> None:
    with pytest.warns(DeprecationWarning, match=r"Albums\.old_async\(\) is deprecated") as caught:
        assert await Albums().old_async(3) == 3
    assert [(it.filename, it.lineno) for it in caught] == [(__file__, sys._getframe().f_lineno - 1)]


def test_a_deprecated_class_warns_when_it_is_made() -> None:
    albums, found = warned(lambda: OldAlbums("sea"))
    assert albums.title == "sea"
    assert found == [(f"DeprecationWarning: OldAlbums() is deprecated: {ADVICE}", __file__)]


def test_a_deprecated_parameter_warns() -> None:
    found = warned(lambda: Albums().find(4))
    assert found == (4, [("DeprecationWarning: old_size is deprecated: use size", __file__)])


def test_the_signature_and_docstring_stay() -> None:
    assert list(inspect.signature(Albums.old).parameters) == ["self", "size", "name"]
    assert (Albums.old.__doc__, Albums.old.__deprecated__) == ("An old form.", ADVICE)
    assert inspect.iscoroutinefunction(inspect.unwrap(Albums.old_async))
