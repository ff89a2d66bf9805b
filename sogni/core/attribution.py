"""Attribution: the app, agent or tool behind a request, as parameters, payload fields and headers.

Invalid values raise an error, because the service would silently drop them from its statistics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

import attrs

from sogni.core.checks import invalid_value, nested, one_of
from sogni.models.converter import camel
from sogni.settings import AgentSurface, Attribution, ExecutionMode, InteractionKind, OperationScope, WorkloadKind

CONNECTION_FIELDS = (
    "interaction_kind", "agent_framework", "agent_framework_version", "agent_surface", "agent_surface_version",
    "execution_mode",
)  # fmt: skip
"""In the order of the handshake."""
WORKLOAD_FIELDS = tuple(it.name for it in attrs.fields(Attribution) if it.name != "interaction_kind")
MEDIATED = "agent_mediated"

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "interaction_kind": get_args(InteractionKind),
    "workload_kind": get_args(WorkloadKind),
    "operation_scope": get_args(OperationScope),
    "agent_surface": get_args(AgentSurface),
    "execution_mode": get_args(ExecutionMode),
}
_VERSION = (re.compile(r"[0-9][A-Za-z0-9.+_-]{0,31}"), "a version: a digit, then up to 31 letters, digits or .+_-")
_ID = (
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"),
    "an id of 1 to 128 letters, digits or ._:-, starting with a letter or digit",
)
_FORMS = {
    "agent_framework": (
        re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,128}"),
        "a string of 1 to 128 characters without control characters",
    ),
    "agent_framework_version": _VERSION,
    "agent_surface_version": _VERSION,
    "operation_id": _ID,
    "root_operation_id": _ID,
    "parent_operation_id": _ID,
}


def check_attribution(given: Any) -> Attribution | None:
    """Return an attribution with checked values; None stays None. Raises `ValidationError` or `TypeError`."""
    found = nested(Attribution, "attribution", given)
    if found is None:
        return None
    values = {name: value for name, value in attrs.asdict(found).items() if value is not None}
    plain: dict[str, Any] = {name: _checked(name, value) for name, value in values.items()}
    return attrs.evolve(found, **plain)


def _checked(name: str, value: Any) -> str:
    field = f"attribution.{name}"
    if name in _CHOICES:
        return one_of(field, value, _CHOICES[name])
    form, description = _FORMS[name]
    if name == "agent_framework" and isinstance(value, str):
        value = value.strip()
    if not isinstance(value, str) or not form.fullmatch(value):
        raise invalid_value(field, value, description)
    return value


def check_override(given: Any) -> Attribution | None:
    """Return a checked attribution of a single request; None stays None. Raises `ValidationError` or `TypeError`."""
    found = check_attribution(given)
    if found is not None and found.interaction_kind is not None:
        sentence = "attribution.interaction_kind applies to the whole connection; set it on the client"
        raise invalid_value(
            "attribution.interaction_kind", found.interaction_kind, "None in a single request", sentence
        )
    return found


def check_header_override(given: Any) -> Attribution | None:
    """Return a checked attribution of a single REST request. Raises `ValidationError` or `TypeError`."""
    found = check_override(given)
    if found is not None and found.agent_framework is not None and not found.agent_framework.isascii():
        allowed = "ASCII text in a REST request"
        raise invalid_value("attribution.agent_framework", found.agent_framework, allowed)
    return found


def connection_parameters(given: Attribution | None) -> list[tuple[str, str]]:
    """Return the handshake parameters."""
    return [(camel(name), getattr(given, name)) for name in CONNECTION_FIELDS if getattr(given, name, None)]


def workload(default: Attribution | None, given: Any, own_id: str) -> dict[str, str]:
    """Return the attribution of a request as flat wire fields; `given` takes precedence over `default`.

    `own_id` is the id of the requested object, and the default operation id. Empty if there is no attribution.
    """
    override = check_override(given)
    fields = _merged(default, override)
    if fields.get("workload_kind", MEDIATED) != MEDIATED:
        fields.pop("agent_framework", None)
        fields.pop("agent_framework_version", None)
    if not fields:
        return {}
    operation = fields.setdefault("operation_id", own_id)
    root, parent = fields.get("root_operation_id"), fields.get("parent_operation_id")
    scope = fields.setdefault("operation_scope", "child" if parent or (root or operation) != operation else "top_level")
    if scope == "child" and root and not parent:
        fields["parent_operation_id"] = root
    elif scope == "top_level":
        fields["root_operation_id"] = operation
        fields.pop("parent_operation_id", None)
    return {camel(name): fields[name] for name in WORKLOAD_FIELDS if name in fields}


def _merged(default: Attribution | None, override: Attribution | None) -> dict[str, str]:
    """Merge field by field; a version stays with the framework or surface it belongs to."""
    fields = _values(default)
    new = _values(override)
    for name in ("agent_framework", "agent_surface"):
        if name in new and new[name] != fields.get(name):
            fields.pop(f"{name}_version", None)
    return fields | new


def _values(given: Attribution | None) -> dict[str, str]:
    return {name: getattr(given, name) for name in WORKLOAD_FIELDS if getattr(given, name, None) is not None}


def attribution_headers(default: Attribution | None, given: Attribution | None, own_id: str) -> dict[str, str]:
    """Return the attribution headers, as `workload` does; values that a header cannot carry are omitted."""
    fields = workload(default, given, own_id)
    kind = default.interaction_kind if default is not None else None
    fields |= {"interactionKind": kind} if kind is not None else {}
    return {f"X-Sogni-{_dashed(key)}": value for key, value in fields.items() if value.isascii()}


def _dashed(key: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", key[0].upper() + key[1:])


# The application name (chat §14.8)


MAX_SOURCE_LENGTH = 128


def app_source_headers(source: str | None) -> dict[str, str]:
    """Return the `X-App-Source` header; empty without a source or if a header cannot carry it."""
    fits = source is not None and 0 < len(source) <= MAX_SOURCE_LENGTH and source.isascii() and source.isprintable()
    return {"X-App-Source": source} if source is not None and fits else {}
