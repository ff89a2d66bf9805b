"""Workflow templates: the service's own, those of users, and the plans made from them."""
# Protocol notes: workflows §2.3, §7.

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from sogni.emulator.account.accounts import Account
from sogni.emulator.fields import is_web_url
from sogni.emulator.persistence import Archive
from sogni.emulator.responses import NOT_FOUND, RefusedError
from sogni.emulator.state import State
from sogni.emulator.tools.runner import TOOLS
from sogni.emulator.workflows.plans import data, shape_problems

_REFERENCE = re.compile(r"\$inputs\.([A-Za-z_][A-Za-z0-9_-]*)")
MEDIA = ("image", "audio", "video")
_ABSENT = object()
_PLAIN: Mapping[str, tuple[type, ...]] = {"text": (str,), "number": (int, float), "boolean": (bool,)}


@define
class Filled:
    """A filled template: the plan, the inputs with defaults, and the media among them."""

    plan: dict[str, Any]
    inputs: dict[str, Any]
    references: list[dict[str, Any]] = field(factory=list)


def fill_template(template: Mapping[str, Any], inputs: object) -> Filled:
    """Return the plan of a template, or raise ``RefusedError`` with all invalid inputs."""
    if not isinstance(inputs, Mapping | None):
        raise RefusedError(400, "inputs must be an object")
    values, declared = dict(inputs or {}), list(template.get("inputs") or ())
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
        raise RefusedError(400, f"Invalid inputs: {'; '.join(problems)}", details={"problems": problems})
    filling = _Filling(values, {entry["name"]: str(entry.get("type")) for entry in declared})
    steps = [filling.step(stage) for stage in template.get("stages") or ()]
    return Filled({"title": template["name"], "steps": steps}, values, filling.references())


def _input_problems(entry: Mapping[str, Any], value: object) -> list[str]:
    name, kind, multiple = entry["name"], entry.get("type"), entry.get("multiple")
    if isinstance(value, list) and multiple is not None:
        low, high = multiple.get("min", 0), multiple.get("max", len(value))
        found = [problem for item in value for problem in _input_problems({**entry, "multiple": None}, item)]
        if not low <= len(value) <= high:
            found.append(f"inputs.{name} must have {low} to {high} values, got {len(value)}")
        return found
    if kind in MEDIA:
        return [] if is_web_url(value) else [f"inputs.{name} must be an http(s) URL"]
    if kind == "select":
        allowed = [option.get("value") for option in entry.get("options") or ()]
        return [] if value in allowed else [f"inputs.{name} must be one of {', '.join(map(str, allowed))}"]
    types = _PLAIN.get(str(kind), (object,))
    wrong = not isinstance(value, types) or (isinstance(value, bool) and kind == "number")
    return [f"inputs.{name} must be a {kind}"] if wrong else []


@define(eq=False)
class _Filling:
    """Replaces ``$inputs.<name>`` with values."""

    values: Mapping[str, Any]
    kinds: Mapping[str, str]

    def references(self) -> list[dict[str, object]]:
        """Return the media among the inputs, in the order of their upload numbers."""
        return [{"url": url, "mediaType": kind} for kind in MEDIA for url in self._urls(kind)]

    def _urls(self, kind: str) -> list[str]:
        found: list[str] = []
        for name, known in self.kinds.items():
            value = self.values.get(name)
            if known == kind and value is not None:
                found += value if isinstance(value, list) else [value]
        return found

    def step(self, stage: Mapping[str, Any]) -> dict[str, object]:
        filled = {key: self._value(value, key) for key, value in stage.items()}
        return {key: value for key, value in filled.items() if value is not _ABSENT}

    def _value(self, value: object, key: str) -> Any:
        if isinstance(value, Mapping):
            entries = {name: self._value(entry, name) for name, entry in value.items()}
            return {name: entry for name, entry in entries.items() if entry is not _ABSENT}
        if isinstance(value, list):
            return [found for entry in value if (found := self._value(entry, key)) is not _ABSENT]
        if not isinstance(value, str):
            return value
        reference = _REFERENCE.fullmatch(value.strip())
        if reference:
            return self._named(reference[1], key)
        return _REFERENCE.sub(lambda found: _text(self.values.get(found[1])), value)

    def _named(self, name: str, key: str) -> Any:
        value = self.values.get(name)
        if value is None:
            return _ABSENT
        if self.kinds.get(name) not in MEDIA or not key.endswith(("Index", "Indices")):
            return value
        # Where a number is expected but the user gave media, use the number of the upload.
        urls = self._urls(self.kinds[name])
        numbers = [-1 - urls.index(url) for url in (value if isinstance(value, list) else [value])]
        return numbers if key.endswith("Indices") else numbers[0]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def referenced(value: object) -> set[str]:
    """Return the names of all referenced inputs."""
    if isinstance(value, str):
        return set(_REFERENCE.findall(value))
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for entry in entries for name in referenced(entry)}


# Saved templates


KIND = "template"
_OURS = ("id", "author", "createdAt", "updatedAt")
"""Keys written by the service; a client's values for them are ignored."""


@frozen
class _Owned:
    owner: str | None
    template: dict[str, Any]


@define(eq=False)
class Templates:
    """All templates of one emulator, including those of the service."""

    state: State
    archive: Archive
    _all: dict[str, _Owned] = field(factory=dict)

    def restore(self) -> None:
        self.clear()
        for saved in self.archive.items_of_kind(KIND):
            self._all[saved.id] = _Owned(saved.owner, saved.body)

    def clear(self) -> None:
        """Remove all templates except the service's own."""
        self._all = {entry["id"]: _Owned(None, dict(entry)) for entry in data()["templates"]}

    def list(
        self, account: Account, visibility: str, limit: int, offset: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return a page of the templates visible to an account, and the offset of the next page."""
        address = account.wallet_address
        visible = [
            entry.template
            for entry in self._all.values()
            if entry.owner == address or entry.template.get("visibility") == "public"
            if visibility == "all"
            or (visibility == "own" and entry.owner == address)
            or visibility == entry.template.get("visibility", "private")
        ]
        following = offset + limit
        return visible[offset:following], following if following < len(visible) else None

    def get(self, id: str, account: Account) -> dict[str, object]:
        """Return a template visible to the account; those of others are not found."""
        found = self._all.get(id)
        if found is None or (found.template.get("visibility") != "public" and found.owner != account.wallet_address):
            raise RefusedError(404, "Template not found", NOT_FOUND)
        return found.template

    def create(self, account: Account, body: Mapping[str, Any]) -> dict[str, object]:
        _check(body)
        return self._add(account, body)

    def update(self, id: str, account: Account, changes: Mapping[str, Any]) -> dict[str, object]:
        owned = self._own(id, account)
        requested = {**owned.template, **{key: value for key, value in changes.items() if key not in _OURS}}
        _check(requested)
        requested["updatedAt"] = round(self.state.clock() * 1000)
        self._keep(id, evolve(owned, template=requested))
        return requested

    def delete(self, id: str, account: Account) -> None:
        self._own(id, account)
        del self._all[id]
        self.archive.delete(KIND, id)

    def fork(self, id: str, account: Account, name: object) -> dict[str, object]:
        """Copy a template to the account, as private."""
        if not isinstance(name, str | None):
            raise RefusedError(400, "newName must be a string")
        source = self.get(id, account)
        copy = {**source, "name": name or f"{source['name']} (copy)", "visibility": "private", "forkedFrom": id}
        _check(copy)
        return self._add(account, copy)

    def fill(self, id: str, account: Account, inputs: object) -> Filled:
        return fill_template(self.get(id, account), inputs)

    def _own(self, id: str, account: Account) -> _Owned:
        self.get(id, account)
        found = self._all[id]
        if found.owner != account.wallet_address:
            raise RefusedError(403, "Only the owner of a template can change it", 103)
        return found

    def _add(self, account: Account, body: Mapping[str, Any]) -> dict[str, object]:
        now = round(self.state.clock() * 1000)
        name = f"tpl_{self.state.ids.uuid().lower()}"
        template = {
            "version": "1.0.0",
            "description": "",
            "category": "custom",
            "stability": "experimental",
            "visibility": "private",
            "inputs": [],
            "stages": [],
            **json.loads(json.dumps({key: value for key, value in body.items() if key not in _OURS})),
            "id": name,
            "author": {"userId": account.wallet_address, "displayName": account.username},
            "createdAt": now,
            "updatedAt": now,
        }
        self._keep(name, _Owned(account.wallet_address, template))
        return template

    def _keep(self, id: str, owned: _Owned) -> None:
        self.archive.put(KIND, id, owned.owner or "", owned.template)
        self._all[id] = owned


def _check(template: Mapping[str, Any]) -> None:
    problems = shape_problems("template", template)
    if not problems:
        inputs, stages = template.get("inputs") or [], template.get("stages") or []
        names = [entry["name"] for entry in inputs]
        for index, entry in enumerate(inputs):
            if entry["name"] in names[:index]:
                problems.append(f"inputs[{index}].name: {entry['name']!r} is declared twice")
            if entry["type"] == "select" and not entry.get("options"):
                problems.append(f"inputs[{index}].options must be a list of objects with a value")
        for index, stage in enumerate(stages):
            if stage["toolName"] not in TOOLS:
                problems.append(f"stages[{index}].toolName: unknown tool {stage['toolName']!r}")
            unknown = sorted(referenced(stage) - {*names})
            problems += [f"stages[{index}]: $inputs.{name} is not declared" for name in unknown]
    if problems:
        raise RefusedError(400, f"Invalid template: {'; '.join(problems)}", details={"problems": problems})
