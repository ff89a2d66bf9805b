"""Saved workflow templates: whose they are, who may see and change them, and what the service takes as one.

Called by the routes of templates and by those that start workflows (workflows §7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from .accounts import Account
from .archive import Archive
from .refusals import RefusalError
from .replies import NOT_FOUND
from .state import State
from .system_templates import SYSTEM_TEMPLATES
from .template_inputs import Filled, fill_template, referenced
from .workflows.plan_check import STEP_TOOLS

KIND = "template"
_CATEGORIES = ("portrait", "video-social", "makeover", "cinematic", "music", "analysis", "custom", "other")
_INPUT_TYPES = ("image", "audio", "video", "text", "number", "select", "boolean")
_MOST_INPUTS, _LONGEST_NAME, _LONGEST_INPUT = 16, 200, 64
_OURS = ("id", "author", "createdAt", "updatedAt")
"""Keys the service writes; what a client says of them is ignored."""


@frozen
class _Owned:
    owner: str | None
    template: dict[str, Any]


@define(eq=False)
class Templates:
    """All templates of one emulator, those of the service among them."""

    state: State
    archive: Archive
    _all: dict[str, _Owned] = field(factory=dict)

    def restore(self) -> None:
        self.clear()
        for kept in self.archive.things(KIND):
            self._all[kept.id] = _Owned(kept.owner, kept.body)

    def clear(self) -> None:
        """Forget all but the service's own."""
        self._all = {entry["id"]: _Owned(None, dict(entry)) for entry in SYSTEM_TEMPLATES}

    def list(
        self, account: Account, visibility: str, limit: int, offset: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return a page of the templates an account sees, and where the next one begins."""
        own = account.wallet_address
        seen = [
            entry.template
            for entry in self._all.values()
            if entry.owner == own or entry.template.get("visibility") == "public"
            if visibility == "all"
            or (visibility == "own" and entry.owner == own)
            or visibility == entry.template.get("visibility", "private")
        ]
        following = offset + limit
        return seen[offset:following], following if following < len(seen) else None

    def get(self, id: str, account: Account) -> dict[str, Any]:
        """Return a template the account may see; one of somebody else is as if it did not exist."""
        found = self._all.get(id)
        if found is None or (found.template.get("visibility") != "public" and found.owner != account.wallet_address):
            raise RefusalError(404, "Template not found", NOT_FOUND)
        return found.template

    def create(self, account: Account, body: Mapping[str, Any]) -> dict[str, Any]:
        _check(body)
        return self._add(account, body)

    def update(self, id: str, account: Account, changes: Mapping[str, Any]) -> dict[str, Any]:
        owned = self._own(id, account)
        wanted = {**owned.template, **{key: value for key, value in changes.items() if key not in _OURS}}
        _check(wanted)
        wanted["updatedAt"] = round(self.state.clock() * 1000)
        self._keep(id, evolve(owned, template=wanted))
        return wanted

    def delete(self, id: str, account: Account) -> None:
        self._own(id, account)
        del self._all[id]
        self.archive.delete(KIND, id)

    def fork(self, id: str, account: Account, name: Any) -> dict[str, Any]:
        """Copy a template into one's own, private."""
        if not isinstance(name, str | None):
            raise RefusalError(400, "newName must be a text")
        source = self.get(id, account)
        copy = {**source, "name": name or f"{source['name']} (copy)", "visibility": "private", "forkedFrom": id}
        _check(copy)
        return self._add(account, copy)

    def fill(self, id: str, account: Account, inputs: Any) -> Filled:
        """Return the plan of a template for inputs."""
        return fill_template(self.get(id, account), inputs)

    def _own(self, id: str, account: Account) -> _Owned:
        self.get(id, account)
        found = self._all[id]
        if found.owner != account.wallet_address:
            raise RefusalError(403, "Only the owner of a template can change it", 103)
        return found

    def _add(self, account: Account, body: Mapping[str, Any]) -> dict[str, Any]:
        now = round(self.state.clock() * 1000)
        while (name := f"tpl_{self.state.chance.uuid().lower()}") in self._all:
            continue
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
    problems = []
    name = template.get("name")
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= _LONGEST_NAME:
        problems.append(f"name must be a text of 1 to {_LONGEST_NAME} characters")
    if template.get("visibility", "private") not in ("private", "public"):
        problems.append("visibility must be private or public")
    if template.get("category", "custom") not in _CATEGORIES:
        problems.append(f"category must be one of {', '.join(_CATEGORIES)}")
    inputs = template.get("inputs", [])
    problems += _inputs_problems(inputs) if isinstance(inputs, list) else ["inputs must be a list"]
    stages = template.get("stages", [])
    if not isinstance(stages, list) or not all(isinstance(stage, Mapping) for stage in stages):
        problems.append("stages must be a list of objects")
    else:
        known = (
            {str(entry.get("name")) for entry in inputs if isinstance(entry, Mapping)}
            if isinstance(inputs, list)
            else set()
        )
        problems += _stages_problems(stages, known)
    if problems:
        raise RefusalError(400, f"Invalid template: {'; '.join(problems)}", details={"problems": problems})


def _inputs_problems(inputs: list[Any]) -> list[str]:
    problems = [] if len(inputs) <= _MOST_INPUTS else [f"inputs must have at most {_MOST_INPUTS} entries"]
    seen = set()
    for index, entry in enumerate(inputs):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_INPUT:
            problems.append(f"inputs[{index}].name must be a text of 1 to {_LONGEST_INPUT} characters")
            continue
        if name in seen:
            problems.append(f"inputs[{index}].name: {name!r} is declared twice")
        seen.add(name)
        if entry.get("type") not in _INPUT_TYPES:
            problems.append(f"inputs[{index}].type must be one of {', '.join(_INPUT_TYPES)}")
        if entry.get("type") == "select" and not _are_options(entry.get("options")):
            problems.append(f"inputs[{index}].options must be a list of objects with a value")
        if not _is_range(entry.get("multiple")):
            problems.append(f"inputs[{index}].multiple must have whole numbers, min from 0 on and max from 1 on")
    return problems


def _are_options(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(option, Mapping) and "value" in option for option in given)


def _is_range(given: Any) -> bool:
    """True for how many values an input takes, and for none said (workflows §7.1)."""
    if not isinstance(given, Mapping | None):
        return False
    bounds = [] if given is None else [(given.get("min", 0), 0), (given.get("max", 1), 1)]
    return all(type(bound) is int and bound >= least for bound, least in bounds)


def _stages_problems(stages: list[Mapping[str, Any]], inputs: set[str]) -> list[str]:
    problems = []
    for index, stage in enumerate(stages):
        if not isinstance(stage.get("toolName"), str) or stage["toolName"] not in STEP_TOOLS:
            problems.append(f"stages[{index}].toolName: unknown tool {stage.get('toolName')!r}")
        unknown = sorted(referenced(stage) - inputs)
        problems += [f"stages[{index}]: $inputs.{name} is not declared" for name in unknown]
    return problems
