"""What the inspector shows: items of its lists as HTML, and fields of its forms. The HTML is in `items.html`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import frozen
from jinja2 import Environment, FileSystemLoader

from sogni.emulator.control import CHAT, FAULT_OPERATIONS, Control
from sogni.emulator.declarations import InvalidValueError, Operation, Parameter, shape
from sogni.emulator.inspector.traffic import Traffic, hint_of, shown
from sogni.emulator.projects.projects import Job, Project
from sogni.emulator.projects.storage import Key
from sogni.emulator.state import State
from sogni.emulator.workflows.runs import Run, Step
from sogni.redaction import redact

_PROJECTS, _RUNS, _ENTRIES = 24, 8, 120
_NAMES = {"completed": "completed", "errored": "failed", "cancelled": "canceled", "progress": "rendering"}
_ARROWS = {
    "request": ("→ HTTP", "received"),
    "upgrade": ("→ WS", "received"),
    "received": ("→ frame", "received"),
    "sent": ("← frame", "sent"),
}


def _amount(value: Decimal) -> str:
    """Return an amount with at most four decimals."""
    return f"{value.quantize(Decimal('0.0001')):f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def media_url(key: Key) -> str:
    return f"media/{key.project_id}/{key.item_id}/{key.role}"


def make_templates(state: State) -> Environment:
    def url_of(project: Project, job: Job, role: str) -> str | None:
        key = Key(project.id, job.image_id, role)
        return media_url(key) if state.store.has(key) else None

    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    found.globals |= {"media_url": media_url, "url_of": url_of}
    found.filters |= {
        "amount": _amount,
        "hint": hint_of,
        "iso": lambda at: datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "redact": redact,
        "shown": shown,
        "time_of_day": lambda at: datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S"),
    }
    return found


@frozen
class Item:
    """One item of a list. ``version`` changes with the content."""

    id: str
    html: str
    version: str

    @classmethod
    def of(cls, id: str, macro: Callable[..., Any], *values: Any) -> Item:
        bare = macro(*values).strip()
        version = hashlib.blake2b(bare.encode(errors="replace"), digest_size=8).hexdigest()
        head, _, rest = bare.partition(" ")
        return cls(id, type(bare)(f'{head} data-version="{version}" {rest}'), version)


def all_items(
    macros: Any, state: State, control: Control, runs: list[Run], traffic: Traffic, workers: int
) -> dict[str, list[Item]]:
    """Return the items of all lists, the newest first."""
    projects, made = list(state.projects), Item.of
    unfinished = [(it, job) for it in projects if not it.finished for job in it.jobs if not job.finished]
    busy = {job.worker: (it, job) for it, job in unfinished if job.worker}
    waiting = sum(job.worker is None for _, job in unfinished)
    names, paused = [f"local-worker-{number + 1}" for number in range(workers)], not state.clock.running.is_set()
    rules = {"faults": control.faults()["faults"], "scripts": control.chat()["chat"]}
    return {
        "overview": [
            *(made(f"account-{n}", macros.account, it, n) for n, it in enumerate(state.accounts.all())),
            made("queue", macros.queue, waiting, busy, names, paused),
            made("clock", macros.clock, control.clock(), len(state.connections)),
        ],
        "projects": [
            made(f"project-{it.id}", macros.project, it, _NAMES.get(it.status, it.status))
            for it in reversed(projects[-_PROJECTS:])
        ],
        "runs": [made(f"run-{it.id}", macros.run, it, graph(it.steps)) for it in reversed(runs[-_RUNS:])],
        "chats": [made(f"chat-{it.id}", macros.chat, it) for it in reversed(list(traffic.chats.values()))],
        **{
            name: [made(f"{name[:-1]}-rule-{it['id']}", macros.rule, it, name[:-1], _given(it)) for it in found]
            for name, found in rules.items()
        },
        "traffic": [made(f"entry-{it.number}", macros.entry, it, *_ARROWS[it.kind]) for it in traffic.newest(_ENTRIES)],
    }


def _given(rule: Mapping[str, Any]) -> list[str]:
    """Return the fields of a rule that differ from their defaults."""
    parameters = (FAULT_OPERATIONS.get(rule["name"]) or CHAT[rule["name"]]).parameters
    return [
        f"{key}={str(it)[:60]}"
        for key, it in rule["fields"].items()
        if key not in parameters or it != parameters[key].default
    ]


_WIDTH, _HEIGHT = 168, 46
_GAP_X, _GAP_Y, _MARGIN = 44, 16, 4


def graph(steps: Iterable[Step]) -> dict[str, Any]:
    """Return where the steps of a workflow are drawn: in columns by what they depend on."""
    columns: list[int] = []
    places: dict[str, tuple[int, int, int]] = {}
    nodes, edges = [], []
    for step in steps:
        # Steps come after those that they depend on; anything else is drawn in the first column.
        sources = [places[source] for source in sorted(step.sources) if source in places]
        column = max((source[0] + 1 for source in sources), default=0)
        columns += [0] * (column + 1 - len(columns))
        x, y = _MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + columns[column] * (_HEIGHT + _GAP_Y)
        columns[column] += 1
        places[step.id] = column, x, y
        nodes.append((step, x, y))
        for _, left, top in sources:
            start, middle = left + _WIDTH, (left + _WIDTH + x) // 2
            y1, y2 = top + _HEIGHT // 2, y + _HEIGHT // 2
            edges.append(f"M{start} {y1}C{middle} {y1} {middle} {y2} {x} {y2}")
    width = len(columns) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = max(columns, default=1) * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    return {"width": width, "height": height, "nodes": nodes, "edges": edges}


def field_of(parameter: Parameter) -> dict[str, Any]:
    """Return the input for a parameter: its choices, or the attributes of its element."""
    schema = parameter.schema()
    members = [it for it in schema.get("anyOf", [schema]) if it != {"type": "null"}]
    choices = [value for it in members for value in it.get("enum", ())]
    if members == [{"type": "boolean"}] or schema.get("type") == "boolean":
        choices = ["", "true", "false"]
    elif choices and not parameter.required:
        choices = ["", *choices]
    attributes: dict[str, Any] = {"type": "text"}
    if all(it.get("type") in ("integer", "number") for it in members):
        step = 1 if members[0]["type"] == "integer" else "any"
        edges = {"min": members[0].get("minimum"), "max": members[0].get("maximum")}
        attributes = {"type": "number", "step": step, **edges}
    names = ("name", "required", "description")
    return {
        **{name: getattr(parameter, name) for name in names},
        "choices": choices,
        "placeholder": schema.get("default", ""),
        "attributes": attributes,
    }


def read(operation: Operation, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a form; empty ones are left out."""
    found: dict[str, Any] = {}
    for name, text in given.items():
        parameter = operation.parameters.get(name)
        if parameter is None:
            raise InvalidValueError(f"{operation.name} has no field {name!r}", name, ", ".join(operation.parameters))
        if text.strip():
            found[name] = _value(parameter.hint, text)
    return found


def _value(hint: Any, text: str) -> Any:
    """Return the value that a string stands for: JSON if that is allowed, else the string itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if shape(hint).allows(value) else text
