"""A project from its snapshot: decides what of it is known again (api: `Project.to_dict`, pickling).

Called by the handles that are unpickled, and when a client goes on with a project of another one.
"""

from __future__ import annotations

from ..models.snapshots import ProjectSnapshot
from .job_state import JobState
from .outbox import Outbox
from .project_params import params_from_snapshot
from .project_state import ProjectState


def restored_state(snapshot: ProjectSnapshot) -> ProjectState:
    """The state of a project from its snapshot, belonging to no client."""
    params = params_from_snapshot(snapshot.params)
    kind = getattr(params, "type", "image")
    project = ProjectState(snapshot.id, params, Outbox(), now=snapshot.started_at.timestamp(), kind=kind, listening=[])
    project.status = snapshot.status
    project.queue_position = snapshot.queue_position
    project.error = snapshot.error
    project.recovered = snapshot.recovered
    project.app_id = snapshot.app_id
    project.acknowledged = True
    project.eta_at = snapshot.eta.timestamp() if snapshot.eta else None
    for job in snapshot.jobs:
        project.adopt(JobState.restored(project, job))
    # A completed project whose results are still on their way is not settled; attaching it brings them.
    project.settled = project.ended and (project.status != "completed" or all(job.ended for job in project.job_list()))
    return project
