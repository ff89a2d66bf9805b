"""Enhancing an image: decides what is downloaded, created and waited for (projects-4.2 §15)."""

from __future__ import annotations

from typing import Any

from ..errors import JobError
from ..protocol.client_state import ClientState
from ..protocol.enhancement import enhancement_params, enhancement_refusal, enhancement_strength
from ..protocol.job_state import JobState
from ..protocol.project_state import ProjectState
from .create import create_project
from .steps import Flow, change
from .transfers import result_url
from .waiting import raise_for_outcome, wait_for_project


def enhance(job: JobState, handle: Any, strength: str, **overrides: Any) -> Flow[str]:
    """Make an enhanced version of a finished image; returns its URL. JobError when it cannot be."""
    enhancement_strength(strength)
    project = job.project
    refusal = enhancement_refusal(
        kind=project.kind,
        status=job.status,
        withheld=job.withheld,
        model_id=getattr(project.params, "model_id", ""),
    )
    if refusal is not None:
        raise JobError(f"job {job.id}: {refusal}", job=handle)
    params = enhancement_params(project.params, image=handle, strength=strength, seed=job.seed, **overrides)
    enhancement = yield from create_project(params, {})
    yield from change(lambda state, now: _begun(state, job, enhancement, now))
    yield from wait_for_project(enhancement, timeout=None, queue_timeout=None)
    raise_for_outcome(enhancement, strict=True)
    return enhancement.result_urls[0]


def enhanced_url(project: ProjectState) -> Flow[str]:
    """The URL of what enhancing made. JobError while there is nothing."""
    for job in project.job_list():
        return (yield from result_url(job))
    raise JobError(f"the enhanced image is {project.status}; only a completed one has a result")


def _begun(state: ClientState, job: JobState, enhancement: ProjectState, now: float) -> None:
    if job.enhancement is not None:
        job.enhancement.enhances = None
    job.enhancement = enhancement
    job.project.enhancing(job, now)
    if not enhancement.settled:
        enhancement.enhances = job
