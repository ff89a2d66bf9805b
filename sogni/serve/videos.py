"""`/v1/videos`: videos are rendered in the background, and clients fetch their state and content later.

Only videos of this server can be fetched. Their ids are kept in a file, so they survive a restart.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from sogni.errors import NotFoundError
from sogni.serve.errors import RequestError, invalid, unsupported_value
from sogni.serve.fields import Fields, shown
from sogni.serve.media import create, files, parameters, size, stop
from sogni.serve.requests import Call, JsonResponse, Response

if TYPE_CHECKING:
    from sogni.serve.requests import Send
    from sogni_async import Job, Project, SogniClient

logger: logging.Logger = logging.getLogger("sogni.serve")

MODEL = "wan_v2.2-14b-fp8_t2v_lightx2v"
IMAGE_MODEL = "wan_v2.2-14b-fp8_i2v_lightx2v"
"""Default models without and with an image, for requests that do not name one."""
KEPT = 1000
"""Maximum number of videos that are remembered."""
CHUNK = 64 * 1024


async def create_video(call: Call) -> Response:
    """Start a video."""
    fields = await call.form_or_json()
    prompt = fields.text("prompt", most=32_000)
    images = await files("input_reference", fields.take("input_reference"))
    if len(images) > 1:
        raise invalid("input_reference", "input_reference must be one image.")
    model = await call.models.resolve(fields.string("model") or (IMAGE_MODEL if images else MODEL), "video")
    params: dict[str, Any] = {"type": "video", "model_id": model, "positive_prompt": prompt, **parameters(fields)}
    seconds = _seconds(fields)
    if seconds is not None:
        params["duration"] = seconds
    measures = size(fields)
    if measures is not None:
        params |= {"width": measures[0], "height": measures[1]}
    if images:
        params["reference_image"] = images[0]
    fields.ignore(["user"])
    fields.end()
    project, charge = await create(call, params)
    made: Any = project.params
    video = Video(
        id=f"video_{secrets.token_hex(12)}",
        project_id=project.id,
        model=model,
        created_at=int(time.time()),
        seconds=f"{seconds or made.duration or 0:g}",
        size="auto" if made.width is None else f"{made.width}x{made.height}",
        prompt=prompt,
    )
    call.costs.settle_later(charge, project)
    await call.videos.add(video, project)
    return JsonResponse(video.document(project))


def _seconds(fields: Fields) -> float | None:
    # Clients send a string.
    value = fields.take("seconds")
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = 0
    if isinstance(value, bool) or not 0 < seconds < 1000:
        raise invalid("seconds", f"seconds must be a number of seconds, got {shown(value)}.")
    return seconds


async def list_videos(call: Call) -> Response:
    """List the videos, newest first."""
    query = Fields(dict(call.query), form=True)
    limit = query.integer("limit", 0, 100)
    after, ascending = query.string("after"), query.one_of("order", ("asc", "desc"), "desc") == "asc"
    query.end()
    videos = call.videos.all()
    if not ascending:
        videos.reverse()
    if after is not None:
        ids = [video.id for video in videos]
        videos = videos[ids.index(after) + 1 :] if after in ids else []
    page = videos[: 20 if limit is None else limit]
    data = []
    for video in page:
        with suppress(RequestError):  # the service no longer has it
            data.append(video.document(await call.videos.project(video)))
    return JsonResponse(
        {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": len(videos) > len(page),
        }
    )


async def get_video(call: Call) -> Response:
    """Return the state of a video."""
    video = call.videos.get(call.path("video"))
    return JsonResponse(video.document(await call.videos.project(video)))


async def delete_video(call: Call) -> Response:
    """Forget a video, and cancel it if it is still in progress."""
    video = call.videos.get(call.path("video"))
    await call.videos.remove(video)
    return JsonResponse({"id": video.id, "object": "video.deleted", "deleted": True})


async def get_video_content(call: Call) -> Response:
    """Return the file of a video."""
    query = Fields(dict(call.query), form=True)
    variant = query.string("variant") or "video"
    query.end()
    if variant != "video":
        raise unsupported_value("variant", f"variant must be video, got {shown(variant)}.")
    video = call.videos.get(call.path("video"))
    project = await call.videos.project(video)
    if not project.finished:
        raise RequestError("The video is not complete yet.", status=409, code="video_not_ready", retry=False)
    await project.wait()
    jobs = [job for job in project.jobs if job.has_result_media]
    if not jobs:
        raise RequestError("The video is not available.", status=404, code="not_found")
    return _File(jobs[0])


@define
class Video:
    """The record of a video."""

    id: str
    project_id: str
    model: str
    created_at: int
    seconds: str
    size: str
    prompt: str | None = None

    def document(self, project: Project) -> dict[str, Any]:
        """Return the video in the form of OpenAI."""
        done = project.finished
        failed = done and not any(job.has_result_media for job in project.jobs)
        ended = project.finished_at
        error = project.error
        return {
            "id": self.id,
            "object": "video",
            "model": self.model,
            "status": "failed" if failed else "completed" if done else _STATUSES.get(project.status, "in_progress"),
            "progress": 100 if done and not failed else project.progress,
            "created_at": self.created_at,
            "completed_at": None if ended is None or failed else int(ended.timestamp()),
            "expires_at": None,
            "prompt": self.prompt,
            "size": self.size,
            "seconds": self.seconds,
            "remixed_from_video_id": None,
            "error": None if not failed else _failure(project, error),
        }


_STATUSES: Mapping[str, str] = {"pending": "queued", "queued": "queued"}


def _failure(project: Project, error: Any) -> dict[str, Any]:
    if error is None:
        return {"code": project.status, "message": f"The video is {project.status}."}
    return {"code": str(error.original_code or error.code), "message": error.message}


@define
class Videos:
    """The videos of this server.

    Attributes:
        client: The client.
        path: File with the videos; None to forget them when the server ends.
    """

    client: SogniClient
    path: Path | None = None
    _videos: dict[str, Video] = field(factory=dict)
    _projects: dict[str, Project] = field(factory=dict)
    _attaching: asyncio.Lock = field(factory=asyncio.Lock)
    _saving: asyncio.Lock = field(factory=asyncio.Lock)

    def __attrs_post_init__(self) -> None:
        if self.path is None:
            return
        try:
            for row in json.loads(self.path.read_bytes()):
                video = Video(**row)
                self._videos[video.id] = video
        except FileNotFoundError:
            return
        except (ValueError, TypeError):
            logger.warning("videos of earlier servers are forgotten: %s is damaged", self.path)

    def all(self) -> list[Video]:
        """Return all videos, oldest first."""
        return list(self._videos.values())

    def get(self, video_id: str) -> Video:
        """Return a video. Raises `RequestError` if it is not a video of this server."""
        video = self._videos.get(video_id)
        if video is None:
            raise _missing(video_id)
        return video

    async def project(self, video: Video) -> Project:
        """Return the project of a video, possibly from an earlier run of the server.

        Raises `RequestError` if the service no longer has it. The video is then forgotten.
        """
        # One request at a time: for a second one, `attach` would return the project before its record has been read.
        async with self._attaching:
            project = self._projects.get(video.id)
            if project is None:
                try:
                    project = await self.client.projects.attach(video.project_id)
                except NotFoundError:
                    self._videos.pop(video.id, None)
                    raise _missing(video.id) from None
                self._projects[video.id] = project
        if project.status == "completed":
            # The URL of the file may still be missing.
            await project.wait(check=False)
        return project

    async def add(self, video: Video, project: Project) -> None:
        """Remember a video."""
        self._videos[video.id] = video
        self._projects[video.id] = project
        while len(self._videos) > KEPT:
            oldest = next(iter(self._videos))
            del self._videos[oldest]
            self._projects.pop(oldest, None)
        await self._save()

    async def remove(self, video: Video) -> None:
        """Forget a video, and cancel it if it is still in progress."""
        project = self._projects.get(video.id)
        if project is not None and not project.finished:
            await stop(project)
        self._videos.pop(video.id, None)
        self._projects.pop(video.id, None)
        await self._save()

    async def _save(self) -> None:
        if self.path is None:
            return
        # One after the other, so that the last state is the one that is kept.
        async with self._saving:
            # Not the prompts, which are what users write.
            names = ("id", "project_id", "model", "created_at", "seconds", "size")
            rows = [{name: getattr(video, name) for name in names} for video in self._videos.values()]
            try:
                await asyncio.to_thread(_write, self.path, json.dumps(rows).encode())
            except OSError as error:
                logger.warning("videos not recorded error=%s", error)


def _write(path: Path, content: bytes) -> None:
    from sogni.local.files import write_file

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, content)


def _missing(video_id: str) -> RequestError:
    return RequestError(
        f"This server has made no video {shown(video_id)}.", status=404, param="video_id", code="not_found"
    )


class _File(Response):
    """The file of a video."""

    def __init__(self, job: Job) -> None:
        self._job = job

    async def send(self, send: Send) -> None:
        """Send the file."""
        async with await self._job.open() as file:
            headers = [(b"content-type", b"video/mp4"), (b"x-sogni-project-id", self._job.project_id.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while part := await file.read(CHUNK):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
