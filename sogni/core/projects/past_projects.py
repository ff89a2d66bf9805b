"""Requests for projects by id, also of other processes, without tracking them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from sogni.core.checks import path_segment
from sogni.core.flow import Flow
from sogni.core.http import get
from sogni.core.requests import request_data
from sogni.errors import ProtocolError
from sogni.models.converter import read
from sogni.models.projects import ProjectStatusRecord, WaitingReason

_LONGEST_MESSAGE = 600


def project_status(project_id: str) -> Flow[ProjectStatusRecord]:
    """Request the status of a project. Raises `NotFoundError` if the account has no such project."""
    # additions-5x §5
    call = get(f"/v2/projects/{path_segment('project_id', project_id)}")
    data = yield from request_data(call)
    project = data.get("project") if isinstance(data, Mapping) else None
    if not isinstance(project, Mapping):
        raise ProtocolError(f"GET {call.path}: the response has no project")
    record = read(ProjectStatusRecord, {**project, "waitingReason": None}, f"GET {call.path}")
    return evolve(record, waiting_reason=waiting_reason(project.get("waitingReason")))


def waiting_reason(given: Any) -> WaitingReason | None:
    """Return the reason for a wait; None if there is none, or it is malformed."""
    # additions-5x §7
    try:
        reason = read(WaitingReason, given, "waitingReason")
    except ProtocolError:
        return None
    return reason if reason.message.strip() and len(reason.message) <= _LONGEST_MESSAGE else None
