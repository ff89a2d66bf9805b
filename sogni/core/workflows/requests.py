"""REST calls of durable workflows, their responses, and the names of saved artifacts.

Nothing is sent here. The structure of a plan is checked in `plans`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve

from sogni.core import checks
from sogni.core.attribution import app_source_headers
from sogni.core.checks import header_text, json_list, json_object, path_segment
from sogni.core.http import HttpCall, HttpReply, data_of, error_of, get, post
from sogni.core.projects.file_names import plain, portable
from sogni.core.workflows.plans import checked_plan
from sogni.core.workflows.reference_media import in_references, refuse_unreachable
from sogni.core.workflows.runs import billing_mode
from sogni.errors import ProtocolError, SogniError
from sogni.models.converter import read
from sogni.models.workflows import WorkflowArtifact, WorkflowEvent, WorkflowRecord, WorkflowReseed, WorkflowResumption

T = TypeVar("T")

WORKFLOWS = "/v1/creative-agent/workflows"


def start_call(given: Mapping[str, Any], app_source: str | None, key: str) -> HttpCall:
    """The start of a workflow; `key` makes it safe to repeat. ValidationError for what cannot be started."""
    references = given.get("media_references")
    listed = None if references is None else json_list("media_references", references)
    refuse_unreachable(in_references(listed))
    plan, template = given.get("input"), given.get("workflow_id")
    if bool(plan) == bool(template):
        raise checks.invalid_value(
            "input",
            None if plan is None else type(plan).__name__,
            "one of input and workflow_id",
            "start takes either input, a plan, or workflow_id, the id of a template",
        )
    if given.get("inputs") is not None and not template:
        raise checks.invalid_value(
            "inputs", None, "None beside input", "inputs belong to a template: give its id as workflow_id"
        )
    source = given.get("app_source") or app_source
    body = {
        "input": _plan(plan, listed, given.get("strict", False)) if plan else None,
        "workflow_id": checks.text("workflow_id", template) if template else None,
        "inputs": checks.optional(json_object, "inputs", given.get("inputs")),
        "token_type": _word("token_type", given.get("token_type")),
        "app_source": _word("app_source", source),
        "max_estimated_capacity_units": checks.optional(
            checks.number, "max_estimated_capacity_units", given.get("max_estimated_capacity_units")
        ),
        "confirm_cost": checks.optional(checks.flag, "confirm_cost", given.get("confirm_cost")),
        "media_references": listed,
        "billing_mode": billing_mode(given.get("billing_mode")),
        "safe_content_filter": checks.optional(checks.flag, "safe_content_filter", given.get("safe_content_filter")),
    }
    return _keyed(WORKFLOWS, body, source, key)


def _plan(plan: Any, references: list[Any] | None, strict: bool) -> dict[str, Any]:
    return json_object("input", checked_plan(plan, media_references=references, strict=strict))


def _word(name: str, value: Any) -> str | None:
    return checks.optional(checks.text, name, value) or None


def _keyed(path: str, body: Mapping[str, Any], source: str | None, key: str | None) -> HttpCall:
    """A POST, without what is None; one with a key may be sent again."""
    headers = app_source_headers(source)
    if key is not None:
        headers["Idempotency-Key"] = header_text("idempotency_key", key)
    sent = {name: value for name, value in body.items() if value is not None}
    return post(path, sent, headers=headers, repeatable=key is not None, operation="")


def workflow_path(workflow_id: Any) -> str:
    """The address of one workflow."""
    return f"{WORKFLOWS}/{path_segment('workflow_id', workflow_id)}"


def list_call(limit: Any, offset: Any) -> HttpCall:
    """A page of workflows; 0 is sent, too (workflows §5)."""
    return get(
        WORKFLOWS,
        limit=checks.optional(checks.integer, "limit", limit),
        offset=checks.optional(checks.integer, "offset", offset),
    )


def get_call(workflow_id: Any) -> HttpCall:
    """Ask for a workflow."""
    return get(workflow_path(workflow_id))


def events_call(workflow_id: Any) -> HttpCall:
    """What happened in a workflow so far."""
    return get(f"{workflow_path(workflow_id)}/events")


def cancel_call(workflow_id: Any) -> HttpCall:
    """End a workflow; its steps stop when they can. Without a body (workflows §5)."""
    return evolve(post(f"{workflow_path(workflow_id)}/cancel"), body=None)


def resume_call(workflow_id: Any, given: Mapping[str, Any], app_source: str | None) -> HttpCall:
    """Let a workflow go on that waited for its user."""
    source = given.get("app_source") or app_source
    return _keyed(f"{workflow_path(workflow_id)}/resume", _again(given, source), source, None)


def reseed_call(workflow_id: Any, given: Mapping[str, Any], app_source: str | None, key: str) -> HttpCall:
    """Another take of a workflow, with other seeds."""
    source = given.get("app_source") or app_source
    seeds = given.get("seed_overrides")
    body = {"seed_overrides": None if seeds is None else _seeds(seeds), **_again(given, source)}
    return _keyed(f"{workflow_path(workflow_id)}/reseed", body, source, key)


def _again(given: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    return {
        "token_type": _word("token_type", given.get("token_type")),
        "app_source": _word("app_source", source),
        "billing_mode": billing_mode(given.get("billing_mode")),
    }


def _seeds(seeds: Any) -> dict[str, Any]:
    plain = json_object("seed_overrides", seeds)
    return {step: checks.integer(f"seed_overrides[{step!r}]", seed) for step, seed in plain.items()}


# -- answers -------------------------------------------------------------------


def data_in(call: HttpCall, reply: HttpReply) -> Mapping[str, Any]:
    """The `data` of an answer. ApiError, ProtocolError."""
    if not reply.ok:
        raise workflow_error(call, reply)
    data = data_of(call, reply)
    if not isinstance(data, Mapping):
        raise ProtocolError(f"{call.method} {call.path}: the answer has no data")
    return data


def workflow_error(call: HttpCall, reply: HttpReply) -> SogniError:
    """The error of a refusal; some hide what went wrong in their `data` (workflows §8)."""
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        body = None
    inner = body.get("data") if isinstance(body, dict) and body.get("status") != "error" else None
    if not isinstance(inner, dict):
        return error_of(call, reply)
    return error_of(call, evolve(reply, body=json.dumps(inner).encode()))


def read_workflow(call: HttpCall, data: Mapping[str, Any]) -> WorkflowRecord:
    """The workflow in the data of an answer. ProtocolError."""
    return read(WorkflowRecord, _member("workflow", call, data), f"the answer to {call.method} {call.path}")


def read_workflows(call: HttpCall, data: Mapping[str, Any]) -> list[WorkflowRecord]:
    """The workflows in a list. ProtocolError."""
    return read(list[WorkflowRecord], _member("workflows", call, data), f"the answer to {call.method} {call.path}")


def read_events(call: HttpCall, data: Mapping[str, Any]) -> list[WorkflowEvent]:
    """The events in an answer. ProtocolError."""
    return read(list[WorkflowEvent], _member("events", call, data), f"the answer to {call.method} {call.path}")


def _member(name: str, call: HttpCall, data: Mapping[str, Any]) -> Any:
    if data.get(name) is None:
        raise ProtocolError(f"{call.method} {call.path}: the answer has no data.{name}")
    return data[name]


def read_resumption(call: HttpCall, data: Mapping[str, Any]) -> WorkflowResumption:
    """What resuming gave (workflows §5)."""
    return WorkflowResumption(workflow=read_workflow(call, data), resumed=data.get("resumed") is True)


def read_reseed(call: HttpCall, data: Mapping[str, Any]) -> WorkflowReseed:
    """What another take is (workflows §5)."""
    told = data.get("reseed")
    reseed = told if isinstance(told, Mapping) else {}
    cloned, steps = reseed.get("cloned_from_run_id"), reseed.get("steps")
    return WorkflowReseed(
        workflow=read_workflow(call, data),
        cloned_from_run_id=cloned if isinstance(cloned, str) else "",
        steps=list(steps) if isinstance(steps, list) else [],
        idempotent=data.get("idempotent") is True,
    )


# Names of saved artifacts.


def artifact_paths(
    directory: str | PathLike[str], workflow_id: str
) -> Callable[[int, WorkflowArtifact], Callable[[str], Path]]:
    """For each artifact the path for a suffix: workflow, place and, when it has one, its id."""

    def for_artifact(place: int, artifact: WorkflowArtifact) -> Callable[[str], Path]:
        parts = [plain(workflow_id), str(place), *([plain(artifact.id)] if artifact.id else [])]
        stem = portable("-".join(parts))
        return lambda suffix: Path(directory) / (stem + suffix)

    return for_artifact
