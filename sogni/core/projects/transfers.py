"""Uploads of media and downloads of results.

Signed URLs are short-lived: if one is refused, a new one is requested once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from attrs import evolve

from sogni.core.checks import invalid_value
from sogni.core.failures import job_error
from sogni.core.flow import Flow, change, download, http, new_id, open_stream, spool, together, until, upload
from sogni.core.http import HttpCall, HttpReply, error_of
from sogni.core.media import MAX_BYTES, Remote
from sogni.core.projects.job import JobState
from sogni.core.projects.results import signed_url
from sogni.core.projects.saved_uploads import use_saved_upload
from sogni.core.projects.uploads import (
    UploadItem,
    last_frame_call,
    put_call,
    read_signed_url,
    signed_url_call,
    upload_url_call,
)
from sogni.core.requests import FAILURES, repeated, request_data
from sogni.errors import JobError
from sogni.models.converter import camel

T = TypeVar("T")

EXPIRED = frozenset({400, 401, 403, 404, 410})
"""Status codes with which storage rejects an expired URL."""


def upload_media(project_id: str, groups: list[list[tuple[UploadItem, Any]]]) -> Flow[None]:
    """Upload all sources, group by group; those of one group concurrently."""
    for group in groups:
        flows = [_upload_one(project_id, item, source) for item, source in group]
        if len(flows) == 1:
            yield from flows[0]
        elif flows:
            yield from together(flows)


def _upload_one(project_id: str, item: UploadItem, source: Any) -> Flow[None]:
    if (yield from use_saved_upload(project_id, item, source)):
        return
    image_id = yield from new_id()
    call = upload_url_call(item, project_id=project_id, image_id=image_id, content_type=source.content_type)
    url = read_signed_url((yield from request_data(call)), "uploadUrl")
    yield from put_source(put_call(url, source.content_type, source.size), source, item.field)


def put_source(call: HttpCall, source: Any, name: str) -> Flow[None]:
    """Upload one source, with retries, because a PUT to a signed URL can be repeated."""
    reply = yield from repeated(call, lambda: upload(call, source))
    if not reply.ok:
        error = error_of(call, reply)
        error.add_note(f"while uploading {name}")
        raise error


def _await_url(job: JobState) -> Flow[None]:
    """Wait while the URL of the result is requested in the background."""
    if job.signing is not None:
        yield from until(
            (job,),
            lambda _: True if job.signing is None else None,
            timeout=None,
            phase="request",
            waiting_for=f"the URL of job {job.id}",
        )


def result_url(job: JobState) -> Flow[str]:
    """Return the result URL of a job, requested if unknown. Raises `JobError` if there is no result."""
    yield from _await_url(job)
    if job.result_url:
        return job.result_url
    if job.status != "completed":
        message = f"job {job.id} is {job.status}; only a completed one has a result"
        raise job_error(message, job.error, job.user_object)
    if job.withheld:
        raise JobError(f"the result of job {job.id} is withheld by the content filter", job=job.user_object)
    url = yield from signed_url(job.project, job.id)
    yield from change(lambda state, _: job.change(result_url=str(url)))
    return str(url)


def last_frame_url(job: JobState) -> Flow[str]:
    """Return the URL of the last frame of a video, requested if unknown. Raises `JobError` if there is none."""
    yield from _await_url(job)
    if job.last_frame_url:
        return job.last_frame_url
    if not job.has_result_media or job.project.kind != "video":
        why = "withheld by the content filter" if job.withheld else f"a {job.status} {job.project.kind}"
        raise JobError(f"job {job.id} has no last frame: it is {why}", job=job.user_object)
    url = read_signed_url((yield from request_data(last_frame_call(job.project.id, job.id))), "downloadUrl")
    yield from change(lambda state, _: job.change(last_frame_url=str(url)))
    return str(url)


def with_media(job: JobState) -> Flow[str]:
    """Return the result URL of a job. Raises `JobError` if there is no result or it is withheld."""
    yield from _await_url(job)
    if not job.has_result_media:
        why = "withheld by the content filter" if job.withheld else f"unavailable: the job is {job.status}"
        raise job_error(f"the result of job {job.id} is {why}", job.error, job.user_object)
    return (yield from result_url(job))


def _renew_call(job: JobState) -> Flow[HttpCall | None]:
    """Return the request for a result whose URL has expired, with a new one; None if the service gives none."""
    try:
        url = yield from signed_url(job.project, job.id)
    except FAILURES:
        return None
    yield from change(lambda state, _: job.change(result_url=str(url)))
    return storage_call(url)


def _fetch_result(job: JobState, fetch: Callable[[HttpCall], Flow[T | HttpReply]]) -> Flow[T]:
    """Call `fetch` with the request for the result of a job."""
    call = storage_call((yield from with_media(job)))
    return (yield from fetch_media(call, partial(_renew_call, job), fetch))


def fetch_media(
    call: HttpCall, renew: Callable[[], Flow[HttpCall | None]], fetch: Callable[[HttpCall], Flow[T | HttpReply]]
) -> Flow[T]:
    """Call `fetch` with the request for a file; if its URL has expired, again with the one that `renew` returns.

    Signed URLs are only passed in requests, whose repr hides them: error reports may show all locals.
    """
    outcome = yield from repeated(call, partial(fetch, call))
    if isinstance(outcome, HttpReply) and outcome.status in EXPIRED:
        renewed = yield from renew()
        if renewed is not None:
            call = renewed
            outcome = yield from repeated(call, partial(fetch, call))
    if isinstance(outcome, HttpReply):
        raise error_of(call, outcome)
    return outcome


def result_data(job: JobState) -> Flow[bytes]:
    """Return the bytes of a result."""
    return (yield from _fetch_result(job, _body))


def _body(call: HttpCall) -> Flow[bytes | HttpReply]:
    reply = yield from http(call)
    return reply.body if reply.ok else reply


def preview_data(job: JobState) -> Flow[bytes]:
    """Return the bytes of the latest preview."""
    url = job.preview_url
    if url is None:
        raise JobError(f"job {job.id} has no preview", job=job.user_object)
    call = storage_call(url)
    outcome = yield from repeated(call, partial(_body, call))
    if isinstance(outcome, HttpReply):
        raise error_of(call, outcome)
    return outcome


def save_result(job: JobState, path_for: Callable[[str], T], *, overwrite: bool = False) -> Flow[T]:
    """Write a result to a file."""
    return (yield from _fetch_result(job, lambda call: download(call, path_for, overwrite=overwrite)))


def open_result(job: JobState) -> Flow[Any]:
    """Return a file object that streams a result."""
    return (yield from _fetch_result(job, open_stream))


def storage_call(url: str) -> HttpCall:
    """Return the GET of a signed URL, without credentials."""
    return HttpCall(method="GET", path=url, host="storage", repeatable=True)


def save_project(
    jobs: list[JobState], path_for: Callable[[int, JobState], Callable[[str], T]], *, overwrite: bool = False
) -> Flow[list[T]]:
    """Write all results to files, concurrently; returns the paths in job order."""
    for job in jobs:
        yield from _await_url(job)
    indexed = [(place, job) for place, job in enumerate(jobs) if job.has_result_media]
    flows = [save_result(job, path_for(place, job), overwrite=overwrite) for place, job in indexed]
    return (yield from together(flows))


def save_urls(urls: Sequence[str], path_for: Callable[[int], Callable[[str], T]]) -> Flow[list[T]]:
    """Download URLs to files, concurrently; returns the paths in the order of the URLs."""
    return (yield from together([save_url(url, path_for(place)) for place, url in enumerate(urls)]))


def save_url(url: str, path_for: Callable[[str], T]) -> Flow[T]:
    """Download a URL to a file."""
    call = storage_call(url)
    outcome = yield from repeated(call, lambda: download(call, path_for))
    if isinstance(outcome, HttpReply):
        raise error_of(call, outcome)
    return outcome


def spool_result(job: JobState, name: str) -> Flow[Any]:
    """Return the result of a job as a media source, in a temporary file."""
    return (yield from _fetch_result(job, lambda call: spool(call, name)))


def fetch_url(media: Remote) -> Flow[Any]:
    """Download a trusted URL as a media source, in a temporary file. Raises `ValidationError` if it is too large."""
    limit = MAX_BYTES[media.kind]
    call = evolve(storage_call(media.url), redirects=False, max_bytes=limit)
    source = yield from repeated(call, lambda: spool(call, media.where))
    if isinstance(source, HttpReply) and 300 <= source.status < 400:
        raise invalid_value(media.where, f"HTTP {source.status}", "a URL that does not redirect")
    if isinstance(source, HttpReply):
        error = error_of(call, source)
        error.add_note(f"while fetching {media.where}")
        raise error
    if source.size > limit:
        source.close()
        raise invalid_value(media.where, f"{source.size} bytes", f"media of at most {limit} bytes")
    return source


# Signed URLs on request: projects-4.2 §10.1.


def request_signed_url(
    endpoint: Literal["image", "media"], direction: Literal["uploadUrl", "downloadUrl"], **fields: Any
) -> Flow[str]:
    """Request a signed URL; fields that are None are omitted."""
    query = {camel(name): value for name, value in fields.items() if value is not None}
    data = yield from request_data(signed_url_call(endpoint, direction, **query))
    return str(read_signed_url(data, direction))
