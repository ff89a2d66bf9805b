"""Records as frames: decides what a snapshot changes of a tracked project (projects-5x §9.4).

Called by the recovery flows. Nothing is downgraded: a job that ended here stays ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.records import JobRecord, ProjectRecord
from .client_state import ClientState
from .job_errors import DETAILS
from .job_state import JobState
from .project_params import params_from_record, record_type
from .project_state import ProjectState

ARTIST_CANCELED = "artistCanceled"
"""The reason of a record's job that was canceled by its owner (projects-5x §9.4)."""
_QUEUED = frozenset({"queued", "active"})


def restored_project(state: ClientState, record: ProjectRecord, now: float) -> ProjectState:
    """A project this client has not started itself, made from what the service holds."""
    params = params_from_record(record)
    listed = record_type(record)
    kind = listed if listed != "image" else state.kind_of(params.model_id)
    project = ProjectState(record.id.upper(), params, state.out, now=now, kind=kind, listening=state.listening)
    project.app_id = record.app_id
    project.recovered = True
    project.acknowledged = True
    if record.create_time is not None:
        project.started_at = record.create_time.timestamp()
    return project


def replay(project: ProjectState, record: ProjectRecord, state: ClientState, now: float) -> None:
    """Apply a record of a running project through the handlers of ordinary frames."""
    project.alive(now)
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


def replay_jobs(project: ProjectState, record: ProjectRecord, state: ClientState, now: float) -> None:
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
            # Not as a frame, which would fail the job, and with it a project of one.
            project.job_canceled(job_id, now)
            continue
        for kind, payload in _frames(job, {"jobID": project.id, "imgID": job_id}, record, known):
            state.receive(kind, payload, now)


def _frames(
    job: JobRecord, ids: dict[str, Any], record: ProjectRecord, known: JobState | None
) -> list[tuple[str, dict[str, Any]]]:
    if job.status == "jobCompleted":
        result = {
            **beside_result(job),
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
        return [] if phase != "pending" else [("jobState", _begun("initiatingModel", job, ids, known))]
    if job.status in ("jobStarted", "jobProgress"):
        started = [] if phase == "processing" else [("jobState", _begun("jobStarted", job, ids, known))]
        return [*started, ("jobProgress", {**ids, "step": job.performed_steps or 0, "stepCount": record.step_count})]
    return []


def failure_of(job: JobRecord) -> dict[str, Any]:
    """Why a recorded job failed, as a frame says it."""
    reason = job.reason or "genfailure"
    return {"error": reason, "error_message": reason, **{key: job.extra[key] for key in DETAILS if key in job.extra}}


def beside_result(job: JobRecord) -> dict[str, Any]:
    """What a record says beside the result, as a frame says it."""
    told = job.result if isinstance(job.result, Mapping) else {}
    return {**told, "lastFrameUrl": job.last_frame_url}


def _begun(kind: str, job: JobRecord, ids: dict[str, Any], known: JobState | None) -> dict[str, Any]:
    """A frame of a job that a worker has; the prompts no record holds stay as they are."""
    worker = (job.worker.username or job.worker.name) if job.worker else None
    prompts = {"positivePrompt": known.positive_prompt, "negativePrompt": known.negative_prompt} if known else {}
    return {**ids, "type": kind, "workerName": worker, **prompts}
