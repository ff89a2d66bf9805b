"""Request the status and results of projects, including those of other processes, and list recent ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from logging import WARNING
from typing import Any, TypeVar, get_args

from attrs import evolve

from sogni.core.account.flows import wallet_address
from sogni.core.catalogue.flows import supported_models
from sogni.core.catalogue.model_families import ARTIFACT_PREFIX, family_of
from sogni.core.checks import integer, invalid_value, one_of, optional, path_segment, string_or_none, text
from sogni.core.flow import Flow, change, download, together
from sogni.core.http import HttpCall, get
from sogni.core.media import content_type_of_format
from sogni.core.projects.project import read_seed
from sogni.core.projects.queue import read_waiting_reason
from sogni.core.projects.results import ARTIST_CANCELED, download_url
from sogni.core.projects.transfers import fetch_media, storage_call
from sogni.core.requests import FAILURES, request_data
from sogni.errors import ProtocolError
from sogni.models.converter import read
from sogni.models.projects import (
    JobRecord,
    JobResult,
    ProjectResultRecord,
    ProjectStatusRecord,
    RecentJob,
    RecentProject,
    ResultKind,
    UrlUnavailable,
)

T = TypeVar("T")

KINDS: tuple[ResultKind, ...] = get_args(ResultKind)
_DEFAULT_AGE = 24 * 3600.0
_MAX_AGE = 7 * 24 * 3600.0 - 60
"""Seconds that recent projects are listed for, less a minute for the time of the request."""
_CLOCK_TOLERANCE = 60.0
"""Seconds by which a time may be in the future, because the clock may have been set."""
_NEVER = datetime.fromtimestamp(0, UTC)


def project_status(project_id: str) -> Flow[ProjectStatusRecord]:
    """Request the status of a project. Raises `NotFoundError` if the account has no such project."""
    # additions-5x §5
    call = get(f"/v2/projects/{path_segment('project_id', project_id)}")
    data = yield from request_data(call)
    project = data.get("project") if isinstance(data, Mapping) else None
    if not isinstance(project, Mapping):
        raise ProtocolError(f"GET {call.path}: the response has no project")
    record = read(ProjectStatusRecord, {**project, "waitingReason": None}, f"GET {call.path}")
    return evolve(record, waiting_reason=read_waiting_reason(project.get("waitingReason")))


# Results (additions-5x §5)


def project_result(project_id: str, kind: ResultKind | None = None) -> Flow[ProjectResultRecord]:
    """Request the results of a project with their URLs; `kind` is used only if nothing else determines their type."""
    given = optional(one_of, "kind", kind, allowed=KINDS)
    record = yield from project_status(project_id)
    output_format = record.extra.get("outputFormat")
    output_format = output_format if isinstance(output_format, str) else None
    model = record.model
    result = ProjectResultRecord(
        id=record.id,
        status=record.status,
        finished=record.finished,
        model_id=model.id if model else None,
        output_format=output_format,
    )
    jobs = _one_per_id([*record.completed_worker_jobs, *record.worker_jobs])
    media = None
    if any(job.status == "jobCompleted" for job in jobs.values()):
        media = (yield from _kind_of(result, model.type if model else None)) or given
    flows = [_job_result(result, job_id, job, media) for job_id, job in jobs.items()]
    return evolve(result, jobs=(yield from together(flows)))


def _one_per_id(jobs: list[JobRecord]) -> dict[str, JobRecord]:
    """Return the first job of each id."""
    found: dict[str, JobRecord] = {}
    for job in jobs:
        job_id = (job.img_id or job.id or "").upper()
        if job_id:
            found.setdefault(job_id, job)
    return found


def _kind_of(result: ProjectResultRecord, model_type: str | None) -> Flow[str | None]:
    """Return the media kind of a project, by its model, file format or type; None if all are unknown."""
    by_model = (yield from _kind_of_model(result.model_id)) if result.model_id else None
    by_format = (content_type_of_format(result.output_format) or "").partition("/")[0]
    by_type = "audio" if model_type == "music" else model_type
    return next((kind for kind in (by_model, by_format, by_type) if kind in KINDS), None)


def _kind_of_model(model_id: str) -> Flow[str | None]:
    """Return the media kind of a model, by its id, or else by the model list."""
    if model_id.startswith(ARTIFACT_PREFIX):
        return "model"
    family = family_of(model_id)
    if family is not None:
        return family.media
    try:
        models = yield from supported_models()
    except FAILURES:
        return None
    return next((model.media for model in models if model.id == model_id), None)


def _job_result(result: ProjectResultRecord, job_id: str, job: JobRecord, media: str | None) -> Flow[JobResult]:
    seed = read_seed(job.seed_used)
    found = JobResult(id=job_id, status=_status_of(job), seed=seed if seed is not None and seed >= 0 else None)
    if job.status != "jobCompleted":
        return evolve(found, reason=job.reason)
    found = evolve(found, kind=media)
    if _is_withheld(job):
        return _without_url(found, "sensitiveContent")
    if job.media_url:
        return evolve(found, url=job.media_url)
    if media is None:
        return _without_url(found, "unknownMediaKind")
    try:
        url = yield from download_url(media, result.id, job_id, result.output_format)
    except FAILURES as error:
        failed = evolve(_without_url(found, "downloadUrlFailed"), error=str(error))
        what = (result.id, failed.id, failed.error)
        yield from change(
            lambda state, _: state.out.log(WARNING, "project %s: no URL for the result of job %s: %s", *what)
        )
        return failed
    return evolve(found, url=str(url))


def _status_of(job: JobRecord) -> str:
    if job.status == "jobCompleted":
        return "completed"
    if job.status == "jobError":
        return "canceled" if job.reason == ARTIST_CANCELED else "failed"
    return job.status or "unknown"


def _is_withheld(job: JobRecord) -> bool:
    """Whether the content filter withholds the result."""
    return bool(job.triggered_nsfw_filter and not job.nsfw_detected)


def _without_url(job: JobResult, why: UrlUnavailable) -> JobResult:
    return evolve(job, url_unavailable=why)


def _renew_call(result: ProjectResultRecord, job: JobResult) -> Flow[HttpCall | None]:
    """Return the request for a result with a new URL; None if its kind is unknown, or the service gives none."""
    if job.kind is None:
        return None
    try:
        return storage_call((yield from download_url(job.kind, result.id, job.id, result.output_format)))
    except FAILURES:
        return None


def save_results(
    result: ProjectResultRecord,
    path_for: Callable[[int, str, str, int | None], Callable[[str], T]],
    *,
    overwrite: bool = False,
) -> Flow[list[T]]:
    """Write all results that have a URL to files, concurrently; returns the paths in job order."""
    flows = [
        save_result(result, job, path_for(index, result.id, job.id, job.seed), overwrite=overwrite)
        for index, job in enumerate(result.jobs)
        if job.url
    ]
    return (yield from together(flows))


def save_result(
    result: ProjectResultRecord, job: JobResult, path_for: Callable[[str], T], *, overwrite: bool = False
) -> Flow[T]:
    """Write the result of a job that has a URL to a file."""
    renew = partial(_renew_call, result, job)
    call = storage_call(job.url or "")
    return (yield from fetch_media(call, renew, lambda call: download(call, path_for, overwrite=overwrite)))


# Recent projects (additions-5x §5)


def recent_projects(
    since: datetime | None = None, limit: int = 50, app_source: str | None = None
) -> Flow[list[RecentProject]]:
    """Request the projects that have made results since a time, newest first; `limit` counts results."""
    limit = integer("limit", limit, low=1, high=100)
    app_source = optional(text, "app_source", app_source, empty=False)
    start = optional(_seconds, "since", since)
    now = yield from change(lambda state, now: state.out.wall(now))
    if start is None:
        start = now - _DEFAULT_AGE
    elif start > now + _CLOCK_TOLERANCE:
        raise invalid_value("since", since, "a time in the past")
    address = yield from wallet_address()
    call = get(
        "/v1/jobs/list",
        role="artist",
        address=address,
        state="completed",
        mediaOnly=True,
        since=int(max(start, now - _MAX_AGE) * 1000),
        limit=limit,
        appSource=app_source,
    )
    data = yield from request_data(call)
    jobs = data.get("jobs") if isinstance(data, Mapping) else None
    if not isinstance(jobs, list):
        raise ProtocolError(f"GET {call.path}: the response has no jobs")
    return grouped_by_project(jobs)


def _seconds(name: str, value: Any) -> float:
    if not isinstance(value, datetime):
        raise invalid_value(name, value, "a datetime")
    try:
        return value.timestamp()
    except (ValueError, OverflowError, OSError):  # a local time near the year 1 or 9999
        raise invalid_value(name, value, "a datetime that the platform supports") from None


def grouped_by_project(jobs: list[Any]) -> list[RecentProject]:
    """Return the projects of listed jobs, newest first; those without a time last. Malformed jobs are skipped."""
    found: dict[str, RecentProject] = {}
    for entry in jobs:
        given = entry.get("parentRequest") if isinstance(entry, Mapping) else None
        given = given if isinstance(given, Mapping) else {}
        project_id = string_or_none(given.get("id"))
        job = _recent_job(entry) if project_id else None
        if not project_id or job is None:
            continue
        project = found.get(project_id) or _recent_project(project_id, given)
        times = [time for time in (project.finished_at, job.finished_at) if time is not None]
        found[project_id] = evolve(project, jobs=[*project.jobs, job], finished_at=max(times, default=None))
    return sorted(found.values(), key=lambda project: project.finished_at or _NEVER, reverse=True)


def _recent_job(entry: Mapping[str, Any]) -> RecentJob | None:
    try:
        job = read(JobRecord, entry, "a recent job")
    except ProtocolError:
        return None
    job_id = job.img_id or job.id
    if not job_id:
        return None
    ended = job.end_time if job.end_time is not None and job.end_time > _NEVER else None
    return RecentJob(
        id=job_id.upper(), status=_status_of(job), sensitive_content_withheld=_is_withheld(job), finished_at=ended
    )


def _recent_project(project_id: str, given: Mapping[str, Any]) -> RecentProject:
    model = given.get("model")
    model = model if isinstance(model, Mapping) else {}
    return RecentProject(
        id=project_id,
        model_id=string_or_none(model.get("id")),
        model_name=string_or_none(model.get("name")),
        app_source=string_or_none(given.get("appSource")),
    )
