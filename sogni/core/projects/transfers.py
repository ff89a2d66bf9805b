"""Uploads of media and downloads of results.

Signed URLs are short-lived: if one is refused, a new one is requested once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from attrs import evolve

from sogni.core.checks import invalid_value
from sogni.core.flow import Flow, change, download, http, new_id, open_stream, spool, together, until, upload
from sogni.core.http import HttpCall, HttpReply, error_of
from sogni.core.media import MOST_BYTES, Remote
from sogni.core.projects.job import JobState
from sogni.core.projects.results import signed_url
from sogni.core.projects.uploads import (
    UploadItem,
    last_frame_call,
    put_call,
    read_signed_url,
    signed_url_call,
    upload_url_call,
)
from sogni.core.requests import FAILURES, ask_data, repeated
from sogni.errors import JobError
from sogni.models.converter import camel

T = TypeVar("T")

EXPIRED = frozenset({400, 401, 403, 404, 410})
"""How storage refuses a signed address that is too old."""


def upload_media(project_id: str, groups: list[list[tuple[UploadItem, Any]]]) -> Flow[None]:
    """Send every source to its place, group after group; those of one group side by side."""
    for group in groups:
        flows = [_upload_one(project_id, item, source) for item, source in group]
        if len(flows) == 1:
            yield from flows[0]
        elif flows:
            yield from together(flows)


def _upload_one(project_id: str, item: UploadItem, source: Any) -> Flow[None]:
    image_id = yield from new_id()
    call = upload_url_call(item, project_id=project_id, image_id=image_id, content_type=source.content_type)
    url = read_signed_url((yield from ask_data(call)), "uploadUrl")
    yield from put_source(put_call(url, source.content_type, source.size), source, item.field)


def put_source(call: HttpCall, source: Any, name: str) -> Flow[None]:
    """Send one source, again after a passing failure: a PUT to a signed address can be repeated."""
    reply = yield from repeated(call, lambda: upload(call, source))
    if not reply.ok:
        error = error_of(call, reply)
        error.add_note(f"while uploading {name}")
        raise error


def _signed(job: JobState) -> Flow[None]:
    """Wait while the URL of a result that has arrived is requested in the background."""
    if job.signing is not None:
        yield from until(
            (job,),
            lambda _: True if job.signing is None else None,
            timeout=None,
            phase="request",
            waiting_for=f"the URL of job {job.id}",
        )


def result_url(job: JobState) -> Flow[str]:
    """The result URL of a job, asked for when it is not known. JobError without a result."""
    yield from _signed(job)
    if job.result_url:
        return job.result_url
    if job.status != "completed":
        raise JobError(f"job {job.id} is {job.status}; only a completed one has a result", job=job.handle)
    if job.withheld:
        raise JobError(f"the result of job {job.id} is withheld by the content filter", job=job.handle)
    url = yield from signed_url(job.project, job.id)
    yield from change(lambda state, _: job.change(result_url=str(url)))
    return str(url)


def last_frame_url(job: JobState) -> Flow[str]:
    """The address of the last frame of a video, asked for when it is not known. JobError where there can be none."""
    yield from _signed(job)
    if job.last_frame_url:
        return job.last_frame_url
    if not job.has_result_media or job.project.kind != "video":
        why = "withheld by the content filter" if job.withheld else f"a {job.status} {job.project.kind}"
        raise JobError(f"job {job.id} has no last frame: it is {why}", job=job.handle)
    url = read_signed_url((yield from ask_data(last_frame_call(job.project.id, job.id))), "downloadUrl")
    yield from change(lambda state, _: job.change(last_frame_url=str(url)))
    return str(url)


def with_media(job: JobState) -> Flow[str]:
    """The result URL of a job that has media to fetch. JobError for any other."""
    yield from _signed(job)
    if not job.has_result_media:
        why = "withheld by the content filter" if job.withheld else f"not there: the job is {job.status}"
        raise JobError(f"the result of job {job.id} is {why}", job=job.handle)
    return (yield from result_url(job))


def _renewed(job: JobState, reply: HttpReply) -> Flow[str | None]:
    """A fresh address after a refusal of the old one; None when it was refused for another reason."""
    if reply.status not in EXPIRED:
        return None
    try:
        url = yield from signed_url(job.project, job.id)
    except FAILURES:
        return None
    yield from change(lambda state, _: job.change(result_url=str(url)))
    return url


def _fetched(job: JobState, fetch: Callable[[HttpCall], Flow[T | HttpReply]]) -> Flow[T]:
    """What `fetch` makes of the result; a refused address is asked for again, once."""
    call = storage_call((yield from with_media(job)))
    outcome = yield from repeated(call, partial(fetch, call))
    if isinstance(outcome, HttpReply):
        renewed = yield from _renewed(job, outcome)
        if renewed is not None:
            call = storage_call(renewed)
            outcome = yield from repeated(call, partial(fetch, call))
    if isinstance(outcome, HttpReply):
        raise error_of(call, outcome)
    return outcome


def result_data(job: JobState) -> Flow[bytes]:
    """The bytes of a result. JobError, ApiError, SogniConnectionError."""
    return (yield from _fetched(job, _body))


def _body(call: HttpCall) -> Flow[bytes | HttpReply]:
    reply = yield from http(call)
    return reply.body if reply.ok else reply


def save_result(job: JobState, path_for: Callable[[str], Path], *, overwrite: bool = False) -> Flow[Path]:
    """Write a result to a file. JobError, ApiError, SogniConnectionError, OSError."""
    return (yield from _fetched(job, lambda call: download(call, path_for, overwrite=overwrite)))


def open_result(job: JobState) -> Flow[Any]:
    """A file object over a result, streamed. JobError, ApiError, SogniConnectionError."""
    return (yield from _fetched(job, open_stream))


def storage_call(url: str) -> HttpCall:
    """The GET of a signed address, without our credentials."""
    return HttpCall(method="GET", path=url, host="storage", repeatable=True)


def save_project(
    jobs: list[JobState], path_for: Callable[[int, JobState], Callable[[str], Path]], *, overwrite: bool = False
) -> Flow[list[Path]]:
    """Write every result there is, several at once, in job order."""
    for job in jobs:
        yield from _signed(job)
    indexed = [(place, job) for place, job in enumerate(jobs) if job.has_result_media]
    flows = [save_result(job, path_for(place, job), overwrite=overwrite) for place, job in indexed]
    return (yield from together(flows))


def save_addresses(urls: Sequence[str], path_for: Callable[[int], Callable[[str], Path]]) -> Flow[list[Path]]:
    """Write what stands at result addresses, several at once, in their order. ApiError, connection errors, OSError."""
    return (yield from together([_save_address(url, path_for(place)) for place, url in enumerate(urls)]))


def _save_address(url: str, path_for: Callable[[str], Path]) -> Flow[Path]:
    call = storage_call(url)
    outcome = yield from repeated(call, lambda: download(call, path_for))
    if isinstance(outcome, HttpReply):
        raise error_of(call, outcome)
    return outcome


def spool_result(job: JobState, name: str) -> Flow[Any]:
    """The result of a job as a media source, kept in a temporary file while it is on its way up."""
    return (yield from _fetched(job, lambda call: spool(call, name)))


def fetch_address(media: Remote) -> Flow[Any]:
    """What stands at a trusted address as a media source, in a temporary file. ValidationError when it is too large."""
    most = MOST_BYTES[media.kind]
    call = evolve(storage_call(media.url), redirects=False, most_bytes=most)
    source = yield from repeated(call, lambda: spool(call, media.where))
    if isinstance(source, HttpReply) and 300 <= source.status < 400:
        raise invalid_value(media.where, f"HTTP {source.status}", "an address that does not redirect")
    if isinstance(source, HttpReply):
        error = error_of(call, source)
        error.add_note(f"while fetching {media.where}")
        raise error
    if source.size > most:
        source.close()
        raise invalid_value(media.where, f"{source.size} bytes", f"media of at most {most} bytes")
    return source


# Signed URLs on request: projects-4.2 §10.1.


def signed_address(
    endpoint: Literal["image", "media"], direction: Literal["uploadUrl", "downloadUrl"], **fields: Any
) -> Flow[str]:
    """A signed address; fields that are None are left out. ProtocolError when the answer has none."""
    query = {camel(name): value for name, value in fields.items() if value is not None}
    data = yield from ask_data(signed_url_call(endpoint, direction, **query))
    return str(read_signed_url(data, direction))
