"""Template runs: whether the inputs fit what a template declares, and the plan that comes out of both.

Called by the templates when a workflow is started from one (workflows §2.3, §7.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from .refusals import RefusalError

_REFERENCE = re.compile(r"\$inputs\.([A-Za-z_][A-Za-z0-9_-]*)")
MEDIA = ("image", "audio", "video")
_ABSENT = object()
_PLAIN: Mapping[str, tuple[type, ...]] = {"text": (str,), "number": (int, float), "boolean": (bool,)}


@define
class Filled:
    """A template with its inputs: the plan, the inputs with defaults, and the media among them."""

    plan: dict[str, Any]
    inputs: dict[str, Any]
    references: list[dict[str, Any]] = field(factory=list)


def fill_template(template: Mapping[str, Any], given: Any) -> Filled:
    """Return the plan of a template for inputs, or raise ``RefusalError`` telling everything that does not fit."""
    if not isinstance(given, Mapping | None):
        raise RefusalError(400, "inputs must be an object")
    values, declared = dict(given or {}), list(template.get("inputs") or ())
    names = [entry["name"] for entry in declared]
    problems = [f"inputs.{name} is not declared by the template" for name in values if name not in names]
    for entry in declared:
        name = entry["name"]
        if values.get(name) is None and "default" in entry:
            values[name] = entry["default"]
        if values.get(name) is None:
            if entry.get("required"):
                problems.append(f"inputs.{name} is required")
            continue
        problems += _input_problems(entry, values[name])
    if problems:
        raise RefusalError(400, f"Invalid inputs: {'; '.join(problems)}", details={"problems": problems})
    filling = _Filling(values, {entry["name"]: str(entry.get("type")) for entry in declared})
    steps = [filling.step(stage) for stage in template.get("stages") or ()]
    return Filled({"title": template["name"], "steps": steps}, values, filling.references())


def _input_problems(entry: Mapping[str, Any], value: Any) -> list[str]:
    name, kind, multiple = entry["name"], entry.get("type"), entry.get("multiple")
    if isinstance(value, list) and multiple is not None:
        low, high = multiple.get("min", 0), multiple.get("max", len(value))
        found = [problem for item in value for problem in _input_problems({**entry, "multiple": None}, item)]
        if not low <= len(value) <= high:
            found.append(f"inputs.{name} must have {low} to {high} values, not {len(value)}")
        return found
    if kind in MEDIA:
        fine = isinstance(value, str) and value.strip().lower().startswith(("http://", "https://"))
        return [] if fine else [f"inputs.{name} must be an http(s) URL"]
    if kind == "select":
        allowed = [option.get("value") for option in entry.get("options") or ()]
        return [] if value in allowed else [f"inputs.{name} must be one of {', '.join(map(str, allowed))}"]
    types = _PLAIN.get(str(kind), (object,))
    wrong = not isinstance(value, types) or (isinstance(value, bool) and kind == "number")
    return [f"inputs.{name} must be a {kind}"] if wrong else []


@define(eq=False)
class _Filling:
    """Puts values in the place of ``$inputs.<name>``."""

    values: Mapping[str, Any]
    kinds: Mapping[str, str]

    def references(self) -> list[dict[str, Any]]:
        """Return the media among the inputs, in the order of their numbers as uploads."""
        return [{"url": url, "mediaType": kind} for kind in MEDIA for url in self._urls(kind)]

    def _urls(self, kind: str) -> list[str]:
        found: list[str] = []
        for name, known in self.kinds.items():
            value = self.values.get(name)
            if known == kind and value is not None:
                found += value if isinstance(value, list) else [value]
        return found

    def step(self, stage: Mapping[str, Any]) -> dict[str, Any]:
        filled = {key: self._value(value, key) for key, value in stage.items()}
        return {key: value for key, value in filled.items() if value is not _ABSENT}

    def _value(self, value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            entries = {name: self._value(entry, name) for name, entry in value.items()}
            return {name: entry for name, entry in entries.items() if entry is not _ABSENT}
        if isinstance(value, list):
            return [found for entry in value if (found := self._value(entry, key)) is not _ABSENT]
        if not isinstance(value, str):
            return value
        whole = _REFERENCE.fullmatch(value.strip())
        if whole:
            return self._named(whole[1], key)
        return _REFERENCE.sub(lambda found: _text(self.values.get(found[1])), value)

    def _named(self, name: str, key: str) -> Any:
        value = self.values.get(name)
        if value is None:
            return _ABSENT
        if self.kinds.get(name) not in MEDIA or not key.endswith(("Index", "Indices")):
            return value
        # A number is wanted where the user gave media: that of the upload.
        urls = self._urls(self.kinds[name])
        numbers = [-1 - urls.index(url) for url in (value if isinstance(value, list) else [value])]
        return numbers if key.endswith("Indices") else numbers[0]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def referenced(value: Any) -> set[str]:
    """Return the names of the inputs that anything refers to."""
    if isinstance(value, str):
        return set(_REFERENCE.findall(value))
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for entry in entries for name in referenced(entry)}
