"""Every public callable describes its parameters and its result, in Google style.

Data classes describe their fields under `Attributes:` or `Args:`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
import docstring_parser
import pytest

from tests.docs.public_members import MODULES, public_members

DESCRIBED_ELSEWHERE = ("AudioProjectParams", "ImageProjectParams", "VideoProjectParams")  # with `projects.create`
NO_RESULT = (None, "None", "NoReturn")
PUBLIC = list(public_members())


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_describe_parameters_and_results(module):
    found = {place: missing(value) for home, place, value in PUBLIC if home == module}
    assert {place: lacks for place, lacks in found.items() if lacks} == {}


def test_data_classes_describe_their_fields():
    found = {}
    for _, place, value in PUBLIC:
        if inspect.isclass(value) and attrs.has(value) and value.__name__ not in DESCRIBED_ELSEWHERE:
            fields = [it.name for it in attrs.fields(value) if it.name != "extra" and not it.name.startswith("_")]
            found[place] = (fields, attributes_of(value))
    assert {place: pair for place, pair in found.items() if pair[0] != pair[1]} == {}


def attributes_of(kind: type) -> list[str]:
    parsed = docstring_parser.parse(inspect.getdoc(kind) or "")
    return [it.arg_name for it in parsed.params]


def missing(value: Any) -> list[str]:
    """What the docstring of a function, class or property lacks."""
    text = inspect.getdoc(value) or ""
    if not text:
        return ["a docstring"]
    found = [] if text.splitlines()[0].endswith(".") else ["a summary line that ends with a period"]
    if "§" in text:
        found.append("a description without references to the protocol notes")
    if inspect.isclass(value):
        found += missing_of_constructor(value, text)
    elif isinstance(value, classmethod):
        found += missing_of_function(value.__func__, text, bound=1)
    elif not isinstance(value, property):
        found += missing_of_function(value, text)
    return found


def missing_of_function(function: Callable[..., Any], text: str, *, bound: int = 0) -> list[str]:
    function = inspect.unwrap(function)
    parsed = docstring_parser.parse(text)
    found = missing_parameters(parameters_of(function)[bound:], parsed)
    if function.__annotations__.get("return") not in NO_RESULT and parsed.returns is None:
        found.append("Returns: or Yields:")
    return found


def missing_of_constructor(kind: type, text: str) -> list[str]:
    constructor = vars(kind).get("__init__")
    if constructor is None or attrs.has(kind):
        return []
    expected = parameters_of(inspect.unwrap(constructor))
    if expected[:1] == ["engine"]:  # made by a client
        return []
    described = text if "Args:" in text else inspect.getdoc(constructor) or ""
    return missing_parameters(expected, docstring_parser.parse(described))


def missing_parameters(expected: list[str], parsed: docstring_parser.Docstring) -> list[str]:
    described = [it.arg_name for it in parsed.params if it.args[0] == "param"]
    if expected and expected[-1].startswith("**"):  # followed by the fields of the classes
        described = described[: len(expected)]
    return [] if expected == described else [f"Args: {', '.join(expected)}; it describes {', '.join(described)}"]


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """The names a docstring lists: those of the definition, not the fields that a signature shows for `**fields`."""
    code = function.__code__
    names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    for flag, stars in ((inspect.CO_VARARGS, "*"), (inspect.CO_VARKEYWORDS, "**")):
        if code.co_flags & flag:
            names.append(stars + code.co_varnames[len(names)])
    return [it for it in names if it != "self"]
