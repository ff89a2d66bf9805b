"""REST calls of durable workflows, their responses, and the names of saved artifacts.

Plans are checked in `plans`.
"""

# Workflows: workflows §2, §4, §5, §8.

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from sogni.core import checks
from sogni.core.checks import json_list, json_object, path_segment
from sogni.core.http import HttpCall, HttpReply, data_of, error_of, get, post
from sogni.core.projects.file_names import plain, portable
from sogni.core.storage import Directory, placed
from sogni.core.workflows.plans import checked_plan
from sogni.core.workflows.reference_media import reject_unreachable, unreachable_references
from sogni.core.workflows.runs import billing_mode, durable_post, optional_field, optional_string
from sogni.errors import ProtocolError, SogniError
from sogni.models.converter import read
from sogni.models.workflows import WorkflowArtifact, WorkflowEvent, WorkflowRecord, WorkflowReseed, WorkflowResumption

WORKFLOWS = "/v1/creative-agent/workflows"


def start_call(given: Mapping[str, Any], app_source: str | None, key: str) -> HttpCall:
    """Return the request that starts a workflow; `key` makes it repeatable. Raises `ValidationError`."""
    references = optional_field(json_list, "media_references", given)
    reject_unreachable(unreachable_references(references))
    plan, template = given.get("input"), given.get("workflow_id")
    if bool(plan) == bool(template):
        raise checks.invalid_value(
            "input",
            None if plan is None else type(plan).__name__,
            "one of input and workflow_id",
            "exactly one of input (a plan) and workflow_id (the id of a template) is required",
        )
    if given.get("inputs") is not None and not template:
        raise checks.invalid_value(
            "inputs", None, "None without workflow_id", "inputs requires workflow_id, the id of a template"
        )
    source = given.get("app_source") or app_source
    body = {
        "input": _plan(plan, references, given.get("strict", False)) if plan else None,
        "workflow_id": checks.text("workflow_id", template) if template else None,
        "inputs": optional_field(json_object, "inputs", given),
        "max_estimated_capacity_units": optional_field(checks.number, "max_estimated_capacity_units", given),
        "confirm_cost": optional_field(checks.flag, "confirm_cost", given),
        "media_references": references,
        "safe_content_filter": optional_field(checks.flag, "safe_content_filter", given),
        **_payment(given, source),
    }
    return durable_post(WORKFLOWS, body, source, key, operation="", attribution=given.get("attribution"))


def _plan(plan: Any, references: list[Any] | None, strict: bool) -> dict[str, Any]:
    return json_object("input", checked_plan(plan, media_references=references, strict=strict))


def workflow_path(workflow_id: Any) -> str:
    """Return the path of a workflow."""
    return f"{WORKFLOWS}/{path_segment('workflow_id', workflow_id)}"


def list_call(limit: Any, offset: Any) -> HttpCall:
    """Return the request for a page of workflows; 0 is sent too."""
    return get(
        WORKFLOWS,
        limit=checks.optional(checks.integer, "limit", limit),
        offset=checks.optional(checks.integer, "offset", offset),
    )


def get_call(workflow_id: Any) -> HttpCall:
    """Return the request for a workflow."""
    return get(workflow_path(workflow_id))


def events_call(workflow_id: Any) -> HttpCall:
    """Return the request for the events of a workflow so far."""
    return get(f"{workflow_path(workflow_id)}/events")


def cancel_call(workflow_id: Any) -> HttpCall:
    """Return the request that cancels a workflow, which has no body."""
    return evolve(post(f"{workflow_path(workflow_id)}/cancel"), body=None)


def resume_call(workflow_id: Any, given: Mapping[str, Any], app_source: str | None) -> HttpCall:
    """Return the request that resumes a workflow that waits for its user."""
    source = given.get("app_source") or app_source
    path, body = f"{workflow_path(workflow_id)}/resume", _payment(given, source)
    return durable_post(path, body, source, key=None, operation="", attribution=given.get("attribution"))


def reseed_call(workflow_id: Any, given: Mapping[str, Any], app_source: str | None, key: str) -> HttpCall:
    """Return the request that runs a workflow again with other seeds; `key` makes it repeatable."""
    source = given.get("app_source") or app_source
    body = {"seed_overrides": optional_field(_seeds, "seed_overrides", given), **_payment(given, source)}
    path = f"{workflow_path(workflow_id)}/reseed"
    return durable_post(path, body, source, key, operation="", attribution=given.get("attribution"))


def _payment(given: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    """Return the payment fields and the app source."""
    return {
        "token_type": optional_string("token_type", given),
        "app_source": checks.optional(checks.text, "app_source", source or None),
        "billing_mode": billing_mode(given),
    }


def _seeds(field: str, seeds: Any) -> dict[str, Any]:
    return {step: checks.integer(f"{field}[{step!r}]", seed) for step, seed in json_object(field, seeds).items()}


# Responses


def data_in(call: HttpCall, reply: HttpReply) -> Mapping[str, Any]:
    """Return the `data` of a response. Raises `ApiError` or `ProtocolError`."""
    if not reply.ok:
        raise workflow_error(call, reply)
    data = data_of(call, reply)
    if not isinstance(data, Mapping):
        raise ProtocolError(f"{call.method} {call.path}: the response has no data")
    return data


def workflow_error(call: HttpCall, reply: HttpReply) -> SogniError:
    """Return the error of an error response, which may be nested in `data`."""
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        body = None
    inner = body.get("data") if isinstance(body, dict) and body.get("status") != "error" else None
    if not isinstance(inner, dict):
        return error_of(call, reply)
    return error_of(call, evolve(reply, body=json.dumps(inner).encode()))


def read_workflow(call: HttpCall, data: Mapping[str, Any]) -> WorkflowRecord:
    """Return the workflow in the data of a response. Raises `ProtocolError`."""
    return read(WorkflowRecord, _member("workflow", call, data), f"the response to {call.method} {call.path}")


def read_workflows(call: HttpCall, data: Mapping[str, Any]) -> list[WorkflowRecord]:
    """Return the workflows in the data of a response. Raises `ProtocolError`."""
    return read(list[WorkflowRecord], _member("workflows", call, data), f"the response to {call.method} {call.path}")


def read_events(call: HttpCall, data: Mapping[str, Any]) -> list[WorkflowEvent]:
    """Return the events in the data of a response. Raises `ProtocolError`."""
    return read(list[WorkflowEvent], _member("events", call, data), f"the response to {call.method} {call.path}")


def _member(name: str, call: HttpCall, data: Mapping[str, Any]) -> Any:
    if data.get(name) is None:
        raise ProtocolError(f"{call.method} {call.path}: the response has no data.{name}")
    return data[name]


def read_resumption(call: HttpCall, data: Mapping[str, Any]) -> WorkflowResumption:
    """Return the outcome of resuming a workflow."""
    return WorkflowResumption(workflow=read_workflow(call, data), resumed=data.get("resumed") is True)


def read_reseed(call: HttpCall, data: Mapping[str, Any]) -> WorkflowReseed:
    """Return the outcome of running a workflow again."""
    reseed = data.get("reseed")
    fields = reseed if isinstance(reseed, Mapping) else {}
    cloned, steps = fields.get("cloned_from_run_id"), fields.get("steps")
    return WorkflowReseed(
        workflow=read_workflow(call, data),
        cloned_from_run_id=cloned if isinstance(cloned, str) else "",
        steps=list(steps) if isinstance(steps, list) else [],
        idempotent=data.get("idempotent") is True,
    )


# Names of saved artifacts


def artifact_paths(directory: Directory, workflow_id: str) -> Callable[[int, WorkflowArtifact], Callable[[str], Any]]:
    """Return a function from index and artifact to a function from suffix to path.

    The file is named by workflow, index and, if there is one, the id of the artifact.
    """

    def path_for(index: int, artifact: WorkflowArtifact) -> Callable[[str], Any]:
        parts = [plain(workflow_id), str(index), *([plain(artifact.id)] if artifact.id else [])]
        stem = portable("-".join(parts))
        return placed(directory, stem)

    return path_for
