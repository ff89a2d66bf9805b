"""Durable workflows: starting, watching and waiting for them, saving their artifacts, and uploading media.

A workflow continues whether or not a client watches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sogni.core.checks import invalid_value
from sogni.core.flow import Flow, change, download, new_id, together
from sogni.core.http import HttpCall, HttpReply, error_of
from sogni.core.projects.create import open_source
from sogni.core.projects.transfers import EXPIRED, put_source, storage_call
from sogni.core.projects.uploads import put_call, read_signed_url
from sogni.core.requests import repeated, request, request_data, within
from sogni.core.workflows import requests as calls
from sogni.core.workflows.event_feed import EventFeed, wait_for_record
from sogni.core.workflows.event_readers import WorkflowFrameReader
from sogni.core.workflows.reference_media import ReferenceUpload, reference_upload
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
from sogni.settings import Settings

T = TypeVar("T")

WORKFLOW_PAUSES = WORKFLOW_ENDS | {"waiting_for_user"}
"""Statuses in which a workflow does not continue by itself."""


def _settings() -> Flow[Settings]:
    return (yield from change(lambda state, _: state.settings))


def _data(call: HttpCall) -> Flow[Mapping[str, Any]]:
    reply = yield from request(call)
    return calls.data_in(call, reply)


def start_workflow(given: Mapping[str, Any]) -> Flow[WorkflowRecord]:
    """Start a workflow, once, even if the request has to be repeated."""
    settings = yield from _settings()
    key = given.get("idempotency_key") or (yield from new_id())
    call = calls.start_call(settings.with_token(given), settings.app_source, key)
    return calls.read_workflow(call, (yield from _data(call)))


def list_workflows(limit: int | None, offset: int | None) -> Flow[list[WorkflowRecord]]:
    """Return a page of workflows."""
    call = calls.list_call(limit, offset)
    return calls.read_workflows(call, (yield from _data(call)))


def get_workflow(workflow_id: str, left: float | None = None) -> Flow[WorkflowRecord]:
    """Return a workflow, within the seconds left."""
    call = yield from within(calls.get_call(workflow_id), left)
    return calls.read_workflow(call, (yield from _data(call)))


def workflow_events(workflow_id: str) -> Flow[list[WorkflowEvent]]:
    """Return the events of a workflow so far."""
    call = calls.events_call(workflow_id)
    return calls.read_events(call, (yield from _data(call)))


def cancel_workflow(workflow_id: str) -> Flow[WorkflowRecord]:
    """Cancel a workflow."""
    call = calls.cancel_call(workflow_id)
    return calls.read_workflow(call, (yield from _data(call)))


def resume_workflow(workflow_id: str, given: Mapping[str, Any]) -> Flow[WorkflowResumption]:
    """Resume a workflow that waits for its user."""
    settings = yield from _settings()
    call = calls.resume_call(workflow_id, settings.with_token(given), settings.app_source)
    return calls.read_resumption(call, (yield from _data(call)))


def reseed_workflow(workflow_id: str, given: Mapping[str, Any]) -> Flow[WorkflowReseed]:
    """Run a workflow again with other seeds, once, even if the request has to be repeated."""
    settings = yield from _settings()
    key = given.get("idempotency_key") or (yield from new_id())
    call = calls.reseed_call(workflow_id, settings.with_token(given), settings.app_source, key)
    return calls.read_reseed(call, (yield from _data(call)))


# Watching


def workflow_feed(workflow_id: str, after: Any = None, last_event_id: Any = None) -> EventFeed[WorkflowSseEvent]:
    """Return the stream of all frames of a workflow, or of those after an id. Raises `ValidationError`."""
    return EventFeed(WorkflowFrameReader(workflow_id, after, last_event_id), lambda: _has_ended(workflow_id))


def _has_ended(workflow_id: str) -> Flow[bool]:
    return (yield from get_workflow(workflow_id)).ended


def wait_for_workflow(workflow_id: str, timeout: float | None) -> Flow[WorkflowRecord]:
    """Return a workflow once it has ended or waits for its user. Raises `SogniTimeoutError`."""
    return (
        yield from wait_for_record(
            lambda left: get_workflow(workflow_id, left),
            lambda record: record.status in WORKFLOW_PAUSES,
            lambda _: workflow_feed(workflow_id),
            timeout,
            f"workflow {workflow_id}",
        )
    )


# Files


def save_artifacts(
    workflow_id: str,
    path_for: Callable[[int, WorkflowArtifact], Callable[[str], T]],
    *,
    overwrite: bool = False,
) -> Flow[list[T]]:
    """Download all artifacts of a workflow, several at once; returns the paths in the order of the artifacts."""
    record = yield from get_workflow(workflow_id)
    flows = [
        _save(workflow_id, index, artifact.url, path_for(index, artifact), overwrite)
        for index, artifact in enumerate(record.artifacts)
        if artifact.url
    ]
    return (yield from together(flows))


def _save(workflow_id: str, index: int, url: str, path_for: Callable[[str], T], overwrite: bool) -> Flow[T]:
    call = storage_call(url)
    outcome: T | HttpReply = yield from repeated(call, lambda: download(call, path_for, overwrite=overwrite))
    if isinstance(outcome, HttpReply) and outcome.status in EXPIRED:
        # Signed URLs expire; a new record has new ones.
        artifacts = (yield from get_workflow(workflow_id)).artifacts
        renewed = artifacts[index].url if index < len(artifacts) else None
        if renewed and renewed != url:
            call = storage_call(renewed)
            outcome = yield from repeated(call, lambda: download(call, path_for, overwrite=overwrite))
    if isinstance(outcome, HttpReply):
        raise error_of(call, outcome)
    return outcome


def upload_reference(media: Any) -> Flow[MediaReference]:
    """Upload a file and return a reference with a URL that the service can download."""
    if media is None or isinstance(media, bool):
        raise invalid_value("media", media, "a path, bytes or a file")
    source = yield from open_source("media", media)
    try:
        upload = reference_upload(source.name, source.head, (yield from new_id()), (yield from new_id()))
        return (yield from _upload(upload, source))
    finally:
        source.close()


def _upload(upload: ReferenceUpload, source: Any) -> Flow[MediaReference]:
    upload_url = read_signed_url((yield from request_data(upload.upload_call())), "uploadUrl")
    yield from put_source(put_call(upload_url, upload.content_type, source.size), source, "media")
    url = read_signed_url((yield from request_data(upload.download_call())), "downloadUrl")
    return MediaReference(url=str(url), media_type=upload.kind, mime_type=upload.content_type)
