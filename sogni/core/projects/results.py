"""Application of the service's records to tracked projects, and requests for the URLs of results.

A job that has ended stays ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from attrs import evolve

from sogni.core.checks import path_segment
from sogni.core.failsafe import failure_data
from sogni.core.failures import DETAILS
from sogni.core.flow import Flow, State, catch_up, change, pause, together
from sogni.core.http import get
from sogni.core.projects.job import JobState, error_data
from sogni.core.projects.params import params_from_record, record_type
from sogni.core.projects.project import ProjectState, ProjectTotals
from sogni.core.projects.uploads import download_url_call, read_signed_url
from sogni.core.requests import FAILURES, TEMPORARY_STATUSES, request_data
from sogni.errors import ApiError, ClientClosedError, NotFoundError
from sogni.models.converter import read
from sogni.models.projects import ErrorData, JobRecord, ProjectRecord

ARTIST_CANCELED = "artistCanceled"
"""The reason in a record of a job that was canceled by its owner (projects-5x §9.4)."""
_QUEUED = frozenset({"queued", "active"})


def restored_project(state: State, record: ProjectRecord, now: float) -> ProjectState:
    """Return a project that this client did not start, from the service's record."""
    params = params_from_record(record)
    listed = record_type(record)
    kind = listed if listed != "image" else state.catalogue.kind_of(params.model_id)
    project = ProjectState(record.id.upper(), params, state.out, now=now, kind=kind, listening=state.listening)
    project.app_id = record.app_id
    project.recovered = True
    project.acknowledged = True
    if record.create_time is not None:
        project.started_at = record.create_time.timestamp()
    return project


def replay_record(project: ProjectState, record: ProjectRecord, state: State, now: float) -> None:
    """Apply a record of a running project through the handlers of ordinary frames."""
    project.touch(now)
    replay_jobs(project, record, state, now)
    if record.status in _QUEUED and project.status == "pending":
        state.receive("jobState", {"type": "queued", "jobID": project.id}, now)
    elif record.status == "completed":
        state.receive("jobState", {"type": "jobCompleted", "jobID": project.id}, now)
    elif record.status in ("errored", "failed"):
        reason = "genfailure" if record.reason in (None, "allJobsCompleted") else record.reason
        failure = {"jobID": project.id, "error": reason, "error_message": reason}
        for job in project.job_list():
            state.receive("jobError", {**failure, "imgID": job.id}, now)
        state.receive("jobError", failure, now)
    elif record.status in ("cancelled", "canceled"):
        project.cancel(now)


def replay_jobs(project: ProjectState, record: ProjectRecord, state: State, now: float) -> None:
    """Apply the jobs of a record: running ones first, then those that ended; one per identity."""
    if project.settled:
        return
    seen: set[str] = set()
    for job in [*record.worker_jobs, *record.completed_worker_jobs]:
        job_id = (job.img_id or "").upper()
        known = project.jobs.get(job_id)
        if not job_id or job_id in seen or (known is not None and known.ended):
            continue
        seen.add(job_id)
        if job.status == "jobError" and job.reason == ARTIST_CANCELED:
            # As a frame it would fail the job, and with it a project of one job.
            project.job_canceled(job_id, now)
            continue
        for kind, payload in _frames(job, {"jobID": project.id, "imgID": job_id}, record, known):
            state.receive(kind, payload, now)
        known = project.jobs.get(job_id)
        if known is not None:
            project.apply_job_times(known, job, now)
    if project.polled:
        # Its frames go to another app id.
        project.explain_wait(record.extra, now)


def _frames(
    job: JobRecord, ids: dict[str, Any], record: ProjectRecord, known: JobState | None
) -> list[tuple[str, dict[str, Any]]]:
    if job.status == "jobCompleted":
        result = {
            **other_result_fields(job),
            **ids,
            "performedStepCount": job.performed_steps,
            "lastSeed": None if job.seed_used is None else str(job.seed_used),
            "triggeredNSFWFilter": job.triggered_nsfw_filter,
            "nsfwDetected": job.nsfw_detected,
            "userCanceled": job.reason == "artistCanceled",
            "resultUrl": job.media_url,
        }
        return [("jobResult", result)]
    if job.status == "jobError":
        return [("jobError", {**ids, **failure_of(job)})]
    phase = known.status if known is not None else "pending"
    if job.status in ("assigned", "initiatingModel"):
        return [] if phase != "pending" else [("jobState", _started_frame("initiatingModel", job, ids, known))]
    if job.status in ("jobStarted", "jobProgress"):
        started = [] if phase == "processing" else [("jobState", _started_frame("jobStarted", job, ids, known))]
        return [*started, ("jobProgress", {**ids, "step": job.performed_steps or 0, "stepCount": record.step_count})]
    return []


def failure_of(job: JobRecord) -> dict[str, Any]:
    """Return the failure of a job in a record, as the fields of a frame."""
    reason = job.reason or "genfailure"
    details = {name: job.extra[name] for name in (*DETAILS, "fairUse") if name in job.extra}
    return {"error": reason, "error_message": reason, **details}


def other_result_fields(job: JobRecord) -> dict[str, Any]:
    """Return the other fields of a result in a record, as the fields of a frame."""
    result = job.result if isinstance(job.result, Mapping) else {}
    return {**result, "lastFrameUrl": job.last_frame_url}


def _started_frame(kind: str, job: JobRecord, ids: dict[str, Any], known: JobState | None) -> dict[str, Any]:
    """Return a frame of a job in progress, with the known prompts, because records contain none."""
    worker = (job.worker.username or job.worker.name) if job.worker else None
    prompts = {"positivePrompt": known.positive_prompt, "negativePrompt": known.negative_prompt} if known else {}
    return {**ids, "type": kind, "workerName": worker, **prompts}


# Background work after `jobResult`, previews and the end of a project: projects-4.2 §10.4, §11.4, §14.3.


SIGNING_TRIES, SIGNING_PAUSE = 3, 2.0
"""Number of rounds to request a result URL in; each round already retries temporary failures."""
RECORD_TRIES, RECORD_PAUSE = 4, 2.5
"""Number of requests for the record of a project (transport §13.2)."""

PROJECT_STATUS = {
    "completed": "completed", "errored": "failed", "failed": "failed", "cancelled": "canceled", "canceled": "canceled",
}  # fmt: skip


def signed_url(project: ProjectState, job_id: str, *, preview: bool = False) -> Flow[str]:
    """Request the download URL of a result."""
    if preview:
        call = download_url_call(project.kind, project_id=project.id, job_id=job_id, preview=True)
        return read_signed_url((yield from request_data(call)), "downloadUrl")
    output_format = getattr(project.params, "output_format", None)
    return (yield from download_url(project.kind, project.id, job_id, output_format))


def download_url(kind: str, project_id: str, job_id: str, output_format: str | None) -> Flow[str]:
    """Request the download URL of a result.

    A result of unknown type counts as an image, but may turn out to be served by the route of other media.
    """
    # additions-5x §5 "Kind fallback"
    call = download_url_call(kind, project_id=project_id, job_id=job_id, output_format=output_format)
    other = download_url_call("video", project_id=project_id, job_id=job_id)
    if call.path != other.path and (yield from change(lambda state, _: state.projects.is_served_as_media(job_id))):
        call = other
    try:
        return read_signed_url((yield from request_data(call)), "downloadUrl")
    except NotFoundError as error:
        if call.path == other.path or other.path not in error.message:
            raise
    yield from change(lambda state, _: state.projects.serve_as_media(job_id))
    return read_signed_url((yield from request_data(other)), "downloadUrl")


def sign_results(project_id: str) -> Flow[None]:
    """Request the URLs of finished jobs, then complete them in the order in which they finished.

    A job may be retried, even under another id, while its URL is requested: a URL only counts for the result frame
    that it was requested for.
    """
    errors: list[Exception] = []
    project = yield from change(lambda state, _: state.projects.by_id.get(project_id))
    while project is not None:
        waiting = yield from change(lambda _, now: project.unsigned(now))
        if not waiting:
            break
        outcomes = yield from _sign_all(project, [job.id for job, _ in waiting])
        yield from catch_up()
        for (job, payload), outcome in zip(waiting, outcomes, strict=True):
            yield from change(partial(_apply_url, project, job, payload, outcome))
            if isinstance(outcome, Exception):
                errors.append(outcome)
    if errors:
        raise errors[0]


def _sign_all(
    project: ProjectState, job_ids: list[str], *, recorded: bool = False
) -> Flow[list[str | Exception | None]]:
    """Request the URLs of several results concurrently; in the order of the jobs."""
    flows = [_sign_with_retries(project, job_id, recorded) for job_id in job_ids]
    if len(flows) == 1:
        return [(yield from flows[0])]
    return (yield from together(flows)) if flows else []


def _sign_with_retries(project: ProjectState, job_id: str, recorded: bool) -> Flow[str | Exception | None]:
    """Request the URL of a result, with retries; None if the service does not have it.

    A `recorded` result already exists, so a refusal is final. Internal errors are returned, so that they only affect
    this result.
    """
    for attempt in range(SIGNING_TRIES):
        if attempt:
            yield from pause(SIGNING_PAUSE * attempt, 0.2)
        try:
            return (yield from signed_url(project, job_id))
        except FAILURES as error:
            if recorded and isinstance(error, ApiError) and error.status not in TEMPORARY_STATUSES:
                return None
        except ClientClosedError:
            raise
        except Exception as error:
            return error
    return None


def _apply_url(
    project: ProjectState,
    job: JobState,
    payload: dict[str, Any],
    outcome: str | Exception | None,
    state: State,
    now: float,
) -> None:
    if job.signing is payload:
        _complete_job(project, job, payload, outcome, state, now)


def _complete_job(
    project: ProjectState,
    job: JobState,
    payload: dict[str, Any],
    outcome: str | Exception | None,
    state: State,
    now: float,
) -> None:
    """Complete a job and notify listeners, unless it ended while its URL was requested."""
    if isinstance(outcome, Exception):
        if not job.ended:
            project.end_job(job, "failed", failure_data("getting the URL of the result", outcome), now)
        return
    completes = not job.ended
    project.job_done(job, payload, outcome, now)
    if completes:
        state.projects.notify_result(project, payload)


def sign_preview(project_id: str, job_id: str) -> Flow[None]:
    """Request the URL of a running job's preview; failures are ignored."""
    project = yield from change(lambda state, _: state.projects.by_id.get(project_id))
    if project is None:
        return
    try:
        url = yield from signed_url(project, job_id, preview=True)
    except FAILURES:
        return

    def set_preview(state: State, now: float) -> None:
        job = project.jobs.get(job_id)
        if job is not None and not job.ended:
            project.previewed(job, url, now)
            state.projects.notify_preview(project, job_id, str(url))

    yield from change(set_preview)


def project_record(project_id: str) -> Flow[ProjectRecord]:
    """Request the record of a finished project. Raises `NotFoundError` until it is finished."""
    call = get(f"/v1/projects/{path_segment('project_id', project_id)}")
    data = yield from request_data(call)
    return read(ProjectRecord, data.get("project") if isinstance(data, Mapping) else None, f"GET {call.path}")


def live_record(project_id: str) -> Flow[ProjectRecord]:
    """Request the live record of an own project. Raises `NotFoundError` for other ids."""
    # projects-5x §9.7
    call = get(f"/v2/projects/{path_segment('project_id', project_id)}")
    data = yield from request_data(call)
    return read(ProjectRecord, data.get("project") if isinstance(data, Mapping) else None, f"GET {call.path}")


def any_record(project_id: str) -> Flow[ProjectRecord]:
    """Request the record of a project, finished or not. Raises `NotFoundError` if the account has no such project."""
    try:
        return (yield from project_record(project_id))
    except NotFoundError:
        return as_recorded((yield from live_record(project_id)))


def as_recorded(record: ProjectRecord) -> ProjectRecord:
    """Return a live record with the status names of finished ones."""
    names = {"failed": "errored", "canceled": "cancelled"}
    return evolve(record, status=names.get(record.status or "", record.status))


def sync_project(project_id: str) -> Flow[None]:
    """Complete an ended project from its record: unknown jobs, seeds, steps, missing URLs.

    If there is still no record after several requests, the project is settled with the results there are.
    """
    for attempt in range(RECORD_TRIES):
        if attempt:
            project = yield from change(lambda state, _: state.projects.by_id.get(project_id))
            if project is None or project.settled:
                return
            yield from pause(RECORD_PAUSE, 0.2)
        try:
            record = yield from project_record(project_id)
        except FAILURES:
            continue
        yield from apply_record(project_id, record)
        return
    yield from change(lambda state, now: _settle(state, project_id, now))


def apply_record(project_id: str, record: ProjectRecord) -> Flow[None]:
    """Apply a record to a tracked project, and request missing URLs."""
    project = yield from change(lambda state, _: state.projects.by_id.get(project_id))
    if project is None:
        return
    missing = yield from change(lambda state, now: _merge(project, record, now))
    unsigned = [job.id for job, found in missing if found.media_url is None and not _withheld(project, found)]
    signed = yield from _sign_all(project, unsigned, recorded=True)
    outcomes = dict(zip(unsigned, signed, strict=True))
    for job, found in missing:
        job_id = _id_of(found)
        yield from change(_completion(project, job, found, found.media_url or outcomes.get(job_id)))
    if PROJECT_STATUS.get(record.status or ""):
        yield from change(lambda state, now: _conclude(project, record, now))


def _withheld(project: ProjectState, found: JobRecord) -> bool:
    """Whether the content filter withholds the result."""
    # projects-5x §13
    filtered = not getattr(project.params, "disable_nsfw_filter", False)
    return bool(filtered and found.triggered_nsfw_filter and not found.nsfw_detected)


def _merge(project: ProjectState, record: ProjectRecord, now: float) -> list[tuple[JobState, JobRecord]]:
    """Apply the jobs of a record; returns those that are completed in the record only."""
    if PROJECT_STATUS.get(record.status or ""):
        # Until then the cost is that of the results so far.
        project.apply_totals(ProjectTotals(record.cost, record.token_type, record.end_time, record.duration), now)
    missing = []
    for found in record.completed_worker_jobs:
        job_id = _id_of(found)
        if not job_id:
            continue
        job = project.jobs.get(job_id)
        if job is None:
            if project.settled:
                continue
            job = project.add_job(JobState(project, job_id, project.steps), now)
        project.apply_job_record(job, found, now)
        if job.ended or job.signing is not None:
            continue
        if found.status == "jobCompleted":
            missing.append((job, found))
        elif found.status == "jobError":
            canceled = found.reason == "artistCanceled"
            error = None if canceled else error_data(failure_of(found))
            project.end_job(job, "canceled" if canceled else "failed", error, now)
    project.apply_counts(record.image_count, record.step_count, record.preview_count)
    return missing


def _id_of(found: JobRecord) -> str:
    return (found.img_id or "").upper()


def _completion(
    project: ProjectState, job: JobState, found: JobRecord, outcome: str | Exception | None
) -> Callable[[State, float], None]:
    """Return the change that completes a job from its record, unless it was retried under another id meanwhile."""
    job_id = _id_of(found)
    payload = {
        "imgID": job_id,
        "performedStepCount": found.performed_steps,
        "lastSeed": found.seed_used,
        "triggeredNSFWFilter": found.triggered_nsfw_filter,
        "nsfwDetected": found.nsfw_detected,
        "userCanceled": found.reason == "artistCanceled",
    }
    payload = {**other_result_fields(found), **payload}

    def complete(state: State, now: float) -> None:
        if job.id == job_id:
            _complete_job(project, job, payload, outcome, state, now)

    return complete


def _conclude(project: ProjectState, record: ProjectRecord, now: float) -> None:
    """Apply the end of a project from its record."""
    status = PROJECT_STATUS[record.status or ""]
    if status == "failed":
        _fail(project, record, now)
    elif status == "canceled":
        project.cancel(now)
    if not project.settled:
        project.completed(now, sync=False)
        project.settle_anyway(now)


def _fail(project: ProjectState, record: ProjectRecord, now: float) -> None:
    """Fail a project according to its record, unless it completed with results."""
    if project.status == "completed" and project.result_urls:
        return
    project.overrule("failed", project.error or recorded_error(record), now)


def recorded_error(record: ProjectRecord) -> ErrorData:
    """Return the error in a record; a numeric reason is its code."""
    # projects-5x §8
    reason = "" if record.reason in (None, "allJobsCompleted") else record.reason
    code = int(reason) if re.fullmatch(r"\d{1,9}", reason) else 0
    return ErrorData(code=code, message=reason or "the project failed")


def _settle(state: State, project_id: str, now: float) -> None:
    project = state.projects.by_id.get(project_id)
    if project is not None and project.ended:
        project.settle_anyway(now)
