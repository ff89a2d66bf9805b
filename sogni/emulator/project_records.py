"""How a project looks on the wire: in REST answers, in the greeting and in the recovery routes.

Called by the routes and the greeting. It reads projects and changes nothing.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from .accounts import decimal_text
from .orders import ImageOrder, Order, VideoOrder
from .projects import Job, Project

_LIVE_STATUS = {
    "pending": "pending",
    "queued": "queued",
    "assigned": "processing",
    "progress": "processing",
    "completed": "completed",
    "errored": "failed",
    "cancelled": "canceled",
}


def _ms(moment: float | None) -> int | None:
    return None if moment is None else round(moment * 1000)


def _present(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None}


def job_record(project: Project, job: Job) -> dict[str, Any]:
    """A worker job. ``imgID`` is its identity; ``id`` repeats the project's (projects-5x §9.2)."""
    worker = {"id": job.worker, "name": job.worker, "username": job.worker} if job.worker else None
    return _present(
        {
            "id": project.id,
            "SID": project.sid * 1000 + job.index,
            "imgID": job.image_id,
            "jobIndex": job.index,
            "worker": worker,
            "createTime": _ms(job.created),
            "startTime": _ms(job.started),
            "updateTime": _ms(job.updated or job.created),
            "endTime": _ms(job.ended),
            "status": job.status,
            "reason": job.reason,
            "performedSteps": job.step,
            "triggeredNSFWFilter": job.withheld,
            "nsfwDetected": True if job.nsfw and not job.withheld else None,
            "seedUsed": job.seed if job.status == "jobCompleted" else None,
            "network": project.order.network,
            "resultUrl": job.result_url,
            "lastFrameUrl": job.last_frame_url,
        }
    )


def finished_record(project: Project) -> dict[str, Any]:
    """The ``project`` of ``GET /v1/projects/{id}`` (projects-4.2 §14.3)."""
    order, spent = project.order, project.settled_cost()
    ended = [job_record(project, job) for job in project.jobs if job.finished]
    return _present(
        {
            "id": project.id,
            "SID": project.sid,
            "artist": {"username": project.account.username, "address": project.account.wallet_address},
            "model": {
                "id": order.model.id,
                "SID": order.model.sid,
                "name": order.model.name,
                "type": order.media,
            },
            "imageCount": order.count,
            "stepCount": order.steps,
            "previewCount": order.previews,
            "hasGuideImage": isinstance(order, ImageOrder) and order.starting_image,
            "denoiseStrength": _denoise_text(order),
            "costActual": {"costInToken": decimal_text(spent), "calculatedStepCount": order.performed_steps},
            "createTime": _ms(project.created),
            "updateTime": _ms(project.updated or project.created),
            "endTime": _ms(project.ended),
            "status": project.status,
            "reason": project.reason,
            "network": order.network,
            "tokenType": order.token,
            "appSource": order.app_source,
            "workerJobs": [job_record(project, job) for job in project.jobs if not job.finished],
            "completedWorkerJobs": ended,
        }
    )


def _denoise_text(order: Any) -> str:
    return f"{order.denoise:g}" if isinstance(order, ImageOrder) and order.starting_image else "0"


def live_record(project: Project) -> dict[str, Any]:
    """The ``project`` of ``GET /v2/projects/{id}`` (transport §13.1)."""
    return {**finished_record(project), "status": _LIVE_STATUS[project.status], "finished": project.finished}


def _shape(order: Order) -> dict[str, Any]:
    """How large a result is, and how long if it has a length."""
    if isinstance(order, ImageOrder):
        return _present({"sizePreset": order.size_preset, "width": order.width, "height": order.height})
    if isinstance(order, VideoOrder):
        fps = order.fps.numerator if order.fps.denominator == 1 else float(order.fps)
        return {"width": order.width, "height": order.height, "videoFrames": order.frames, "videoFps": fps}
    return {}


def recovered_record(project: Project) -> dict[str, Any]:
    """An entry of ``activeProjects`` and ``unclaimedCompletedProjects`` (projects-5x §9.2)."""
    order = project.order
    request = json.dumps(order.request, separators=(",", ":"), ensure_ascii=False).encode()
    return {
        **finished_record(project),
        **_shape(order),
        "appId": project.app_id,
        "jobType": order.media,
        "modelType": order.media,
        "isTest": False,
        "clientRequestData": base64.b64encode(request).decode("ascii"),
    }
