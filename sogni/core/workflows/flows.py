"""Starting, watching and waiting for durable workflows, and saving their files.

None of it needs the WebSocket. A workflow continues whether or not a client watches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sogni.core.flow import Flow, change, download, new_id, together
from sogni.core.http import HttpCall, HttpReply, error_of
from sogni.core.projects.create import open_source
from sogni.core.projects.transfers import EXPIRED, put_source, storage_call
from sogni.core.projects.uploads import put_call, read_signed_url
from sogni.core.requests import ask_data, repeated, request, within
from sogni.core.workflows import requests as calls
from sogni.core.workflows.event_feed import EventFeed, wait_until
from sogni.core.workflows.event_readers import WorkflowFrameReader
from sogni.core.workflows.reference_media import ReferenceUpload, reference_upload
from sogni.errors import ValidationError
from sogni.models.workflows import (
    WORKFLOW_ENDS,
    MediaReference,
    WorkflowArtifact,
    WorkflowEvent,
    WorkflowRecord,
    WorkflowReseed,
    WorkflowResumption,
    WorkflowSseEvent,
)

WORKFLOW_PAUSES = WORKFLOW_ENDS | {"waiting_for_user"}
"""Statuses in which a workflow does nothing by itself."""


def _app_source() -> Flow[str | None]:
    return (yield from change(lambda state, _: state.settings.app_source))


def _asked(call: HttpCall) -> Flow[Mapping[str, Any]]:
    reply = yield from request(call)
    return calls.data_in(call, reply)


def start_workflow(given: Mapping[str, Any]) -> Flow[WorkflowRecord]:
    """Start a workflow, once, however often it must be asked for."""
    source = yield from _app_source()
    key = given.get("idempotency_key") or (yield from new_id())
    call = calls.start_call(given, source, key)
    return calls.read_workflow(call, (yield from _asked(call)))


def list_workflows(limit: int | None, offset: int | None) -> Flow[list[WorkflowRecord]]:
    """A page of workflows."""
    call = calls.list_call(limit, offset)
    return calls.read_workflows(call, (yield from _asked(call)))


def get_workflow(workflow_id: str, left: float | None = None) -> Flow[WorkflowRecord]:
    """Ask for a workflow; there may be only some seconds `left` for it."""
    call = yield from within(calls.get_call(workflow_id), left)
    return calls.read_workflow(call, (yield from _asked(call)))


def workflow_events(workflow_id: str) -> Flow[list[WorkflowEvent]]:
    """What happened in a workflow so far."""
    call = calls.events_call(workflow_id)
    return calls.read_events(call, (yield from _asked(call)))


def cancel_workflow(workflow_id: str) -> Flow[WorkflowRecord]:
    """End a workflow."""
    call = calls.cancel_call(workflow_id)
    return calls.read_workflow(call, (yield from _asked(call)))


def resume_workflow(workflow_id: str, given: Mapping[str, Any]) -> Flow[WorkflowResumption]:
    """Let a workflow go on."""
    call = calls.resume_call(workflow_id, given, (yield from _app_source()))
    return calls.read_resumption(call, (yield from _asked(call)))


def reseed_workflow(workflow_id: str, given: Mapping[str, Any]) -> Flow[WorkflowReseed]:
    """Start another take, once, however often it must be asked for."""
    source = yield from _app_source()
    key = given.get("idempotency_key") or (yield from new_id())
    call = calls.reseed_call(workflow_id, given, source, key)
    return calls.read_reseed(call, (yield from _asked(call)))


# -- watching ------------------------------------------------------------------


def workflow_feed(workflow_id: str, after: Any = None, last_event_id: Any = None) -> EventFeed[WorkflowSseEvent]:
    """The frames of a workflow, those that were, and those to come. ValidationError."""
    return EventFeed(WorkflowFrameReader(workflow_id, after, last_event_id), lambda: _ended(workflow_id))


def _ended(workflow_id: str) -> Flow[bool]:
    return (yield from get_workflow(workflow_id)).ended


def wait_for_workflow(workflow_id: str, timeout: float | None) -> Flow[WorkflowRecord]:
    """The record of a workflow once it has ended or waits for its user. SogniTimeoutError."""
    return (
        yield from wait_until(
            lambda left: get_workflow(workflow_id, left),
            lambda record: record.status in WORKFLOW_PAUSES,
            lambda _: workflow_feed(workflow_id),
            timeout,
            f"workflow {workflow_id}",
        )
    )


# -- files ---------------------------------------------------------------------


def save_artifacts(
    workflow_id: str,
    path_for: Callable[[int, WorkflowArtifact], Callable[[str], Path]],
    *,
    overwrite: bool = False,
) -> Flow[list[Path]]:
    """Write every file a workflow made, several at once, in the order of its artifacts."""
    record = yield from get_workflow(workflow_id)
    made = [(place, artifact) for place, artifact in enumerate(record.artifacts) if artifact.url]
    flows = [_save(workflow_id, place, it.url or "", path_for(place, it), overwrite) for place, it in made]
    return (yield from together(flows))


def _save(workflow_id: str, place: int, url: str, path_for: Callable[[str], Path], overwrite: bool) -> Flow[Path]:
    call = storage_call(url)
    outcome: Path | HttpReply = yield from repeated(call, lambda: download(call, path_for, overwrite=overwrite))
    if isinstance(outcome, HttpReply) and outcome.status in EXPIRED:
        # A signed address is short-lived; the record holds a fresh one.
        artifacts = (yield from get_workflow(workflow_id)).artifacts
        renewed = artifacts[place].url if place < len(artifacts) else None
        if renewed and renewed != url:
            call = storage_call(renewed)
            outcome = yield from repeated(call, lambda: download(call, path_for, overwrite=overwrite))
    if isinstance(outcome, HttpReply):
        raise error_of(call, outcome)
    return outcome


def upload_reference(media: Any) -> Flow[MediaReference]:
    """Upload a file and return a reference to it, with an address the service can reach (workflows §4)."""
    if media is None or isinstance(media, bool):
        raise ValidationError("media must be a file", field="media", value=media, allowed="a path, bytes or a file")
    source = yield from open_source("media", media)
    try:
        plan = reference_upload(source.name, source.head, (yield from new_id()), (yield from new_id()))
        return (yield from _uploaded(plan, source))
    finally:
        source.close()


def _uploaded(plan: ReferenceUpload, source: Any) -> Flow[MediaReference]:
    address = read_signed_url((yield from ask_data(plan.upload_call())), "uploadUrl")
    yield from put_source(put_call(address, plan.content_type, source.size), source, "media")
    url = read_signed_url((yield from ask_data(plan.download_call())), "downloadUrl")
    return MediaReference(url=str(url), media_type=plan.kind, mime_type=plan.content_type)
