"""Every data class of the service describes its attributes, and no others."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import attrs
import docstring_parser

import sogni.models
from sogni.models.base import Model


def test_data_classes_describe_their_attributes() -> None:
    found = {f"{kind.__module__}.{kind.__name__}": (fields_of(kind), described(kind)) for kind in data_classes()}
    assert {name: both for name, both in found.items() if both[0] != both[1]} == {}


def data_classes() -> Iterator[Any]:
    for entry in pkgutil.iter_modules(sogni.models.__path__):
        module = importlib.import_module(f"sogni.models.{entry.name}")
        for name, value in vars(module).items():
            defined = inspect.isclass(value) and value.__module__ == module.__name__
            if defined and issubclass(value, Model) and not name.startswith("_"):
                yield value


def fields_of(kind: Any) -> list[str]:
    """The declared names; `extra` is described once, by the base class."""
    return [it.name for it in attrs.fields(kind) if it.name != "extra" or not it.inherited]


def described(kind: Any) -> list[str]:
    parsed = docstring_parser.parse(inspect.getdoc(kind) or "")
    return [it.arg_name for it in parsed.params if it.args[0] == "attribute"]
