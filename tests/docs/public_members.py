"""The public modules of the distribution, their names and the members of their classes."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator
from typing import Any

PACKAGES = ("sogni", "sogni_async")
FRONT_END = (
    "account", "announcements", "api_client", "chat", "conversation", "project", "projects", "replay", "runs",
    "streams", "workflows", "worlds",
)  # fmt: skip
MODULES = (
    *PACKAGES,
    # Namespaces of the client, such as `chat.tools`, are public although nobody imports their classes.
    *(f"{package}.api.{subject}" for package in PACKAGES for subject in FRONT_END),
    *(f"{package}.batch" for package in PACKAGES),
    "sogni.emulator",
    "sogni.errors",
    "sogni.telemetry",
    "sogni.testing",
)
_DESCRIPTORS = (property, classmethod, staticmethod)


def public_members() -> Iterator[tuple[str, str, Any]]:
    """The module, name and value of everything public, each value once, under its shortest name."""
    seen: set[int] = set()
    for module in MODULES:
        for name, value in _members_of_module(importlib.import_module(module)):
            if id(value) not in seen:
                seen.add(id(value))
                yield module, f"{module}.{name}", value


def _members_of_module(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    listed = getattr(module, "__all__", None)
    for name in listed or [it for it in vars(module) if not it.startswith("_")]:
        value = getattr(module, name)
        home = str(getattr(value, "__module__", ""))
        if not callable(value) or getattr(value, "_is_protocol", False) or not home.startswith("sogni"):
            continue
        if ".api." in module.__name__ and not inspect.isclass(value):
            continue  # a helper of the package
        if listed or home == module.__name__:
            yield name, value
            if inspect.isclass(value):
                yield from ((f"{name}.{member}", it) for member, it in _members_of_class(value))


def _members_of_class(kind: type) -> Iterator[tuple[str, Any]]:
    for base in kind.__mro__:
        if base.__module__.startswith("sogni"):
            for name, value in vars(base).items():
                if not name.startswith("_") and (isinstance(value, _DESCRIPTORS) or inspect.isfunction(value)):
                    yield name, value
