"""Workers: the queue of jobs, and the life of a job from loading the model to delivery or failure.

A job passes through its states and sends the frames that report them; its files are written when they are first read.
Workers continue while a client is disconnected.
"""
# Protocol notes: transport §9.

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from attrs import define, field

from sogni.emulator.clock import Pace
from sogni.emulator.faults import WAIT_MESSAGES, FailedJob, FlaggedJob, RetriedJob, WaitReason
from sogni.emulator.fields import present
from sogni.emulator.projects.projects import Job, Project
from sogni.emulator.projects.storage import Key
from sogni.emulator.state import EXTERNAL_URL_LIFETIME, State

_log = logging.getLogger(__name__)
_MAX_ATTEMPTS = 3
_ETA_INTERVAL = 1.0
# Long renders report their duration at once.
_TIMED = ("video", "audio")


class _CanceledError(Exception):
    """The project ended while a worker was busy with it."""


@define(eq=False)
class Worker:
    """A worker, with what it has loaded."""

    name: str
    model: str | None = None
    loras: set[str] = field(factory=set)


@define(eq=False)
class JobRun:
    """One attempt at one job."""

    state: State
    pace: Pace
    project: Project
    job: Job
    worker: Worker
    _stage: float = field(init=False)
    """Seconds of each stage."""
    _eta_due: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._stage = self.pace.stage_seconds(self.project.seconds, self.project.order.stages)

    async def _wait(self, seconds: float) -> float:
        """Wait, and return how many seconds have passed, which are more than ``seconds`` if the host is busy."""
        began = self.pace()
        await self.pace.sleep(seconds)
        passed = self.pace() - began
        await self.pace.running.wait()
        if self.project.finished:
            raise _CanceledError
        return max(seconds, passed)

    async def run(self) -> bool:
        """Work until the job is done, failed or canceled. Return True if it must be repeated."""
        try:
            await self._start()
            problem = await self._broken_input()
            if problem is not None:
                self._fail("genfailure", problem, from_worker=True)
                return False
            return await self._render()
        except _CanceledError:
            return False
        except Exception:
            # A worker that stopped here would leave all later projects waiting.
            _log.exception("the emulator could not render a job of project %s", self.project.id)
            self._fail("genfailure", "The worker failed", from_worker=True)
            return False

    async def _start(self) -> None:
        state = {"imgID": self.job.image_id, "workerName": self.worker.name, "jobIndex": self.job.index}
        await self._wait(0)
        self.state.projects.begin(self.project, self.job, "initiatingModel", self.worker.name)
        self._send("jobState", {"type": "initiatingModel", **state})
        if self.pace.load_time and not self.project.order.model.external:
            async for preparation in self._prepare():
                self._send("jobState", {"type": "initiatingModel", **state, "preparation": preparation})
        await self._wait(self._stage)
        self.state.projects.begin(self.project, self.job, "jobStarted", self.worker.name)
        self._send("jobState", {"type": "jobStarted", **state})
        if self.project.order.media in _TIMED:
            self._send_eta(self.project.order.stages * self._stage)
        else:
            self._eta_due = self.pace() + _ETA_INTERVAL

    async def _prepare(self) -> AsyncIterator[dict[str, object]]:
        """Download the LoRAs and load the model that the worker does not have yet; yield what it does."""
        # Protocol notes: transport §9.2.
        worker, seconds = self.worker, self.pace.load_time
        wanted = _loras(self.project.order.request)
        missing = [lora for lora in wanted if lora not in worker.loras]
        counts = {"requested": len(wanted), "cached": len(wanted) - len(missing), "total": len(missing)}
        for done, lora in enumerate(missing):
            download = {"phase": "downloadingAssets", "assetType": "lora", **counts, "current": done + 1}
            yield {**download, "completed": done, "currentProgress": 0}
            await self._wait(seconds)
            yield {**download, "completed": done + 1, "currentProgress": 1}
            worker.loras.add(lora)
        model = self.project.order.model.id
        if worker.model == model:
            return
        for phase, name in (("unloadingModel", worker.model), ("loadingModel", model)):
            if name is not None:
                about = {"phase": phase, "model": "".join(part.capitalize() for part in re.split(r"[^a-z0-9]+", name))}
                yield {**about, "step": "start"}
                await self._wait(seconds)
                yield {**about, "step": "end", "elapsedSec": seconds}
            worker.model = None if phase == "unloadingModel" else model

    async def _broken_input(self) -> str | None:
        if not self.project.inputs:
            return None
        kind = self.state.kinds[self.project.order.media]
        with self.pace.held():
            problem = await self.state.store.run(kind.broken_input, self.project.inputs)
        await self._wait(0)
        return problem

    async def _render(self) -> bool:
        stages = self.project.order.stages
        previews = _preview_stages(stages, self.project.order.previews)
        for stage in range(1, stages + 1):
            await self._step(stages - stage + 1)
            self.state.projects.advance(self.project, self.job, stage)
            has_image = stage in previews and self._offer_preview(stage / stages)
            self._send("jobProgress", self._progress(stage, stages, has_image))
            if stage == 1:
                outcome = self._planned_trouble()
                if outcome is not None:
                    return outcome
        self._deliver()
        return False

    async def _step(self, remaining_steps: int) -> None:
        """Wait for one step, reporting the remaining seconds about once a second."""
        left = self._stage
        while left > (wait := max(0.0, self._eta_due - self.pace())):
            # At a fast clock, delays of every reported second would add up to many times the duration.
            left -= await self._wait(wait)
            self._send_eta((remaining_steps - 1) * self._stage + max(0.0, left))
        await self._wait(left)

    def _send_eta(self, seconds: float) -> None:
        self._eta_due = self.pace() + _ETA_INTERVAL
        self._send("jobETA", {"imgID": self.job.image_id, "etaSeconds": round(seconds)})

    def _progress(self, stage: int, stages: int, has_image: bool) -> dict[str, object]:
        eta = (stages - stage) * self._stage
        external = self.project.order.model.external
        return {
            "imgID": self.job.image_id,
            "hasImage": has_image,
            "etaSeconds": round(eta, 1),
            "etaMin": round(eta * 0.9, 1),
            "etaMax": round(eta * 1.2, 1),
            **({"progress": stage / stages} if external else {"step": stage, "stepCount": stages}),
        }

    def _offer_preview(self, done: float) -> bool:
        kind = self.state.kinds[self.project.order.media]
        product = kind.preview(self.project.order, self.job.seed, self.project.inputs, done)
        if product is None:
            return False
        self.state.store.put_later(self._key("preview"), product.produce, product.content_type)
        return True

    def _planned_trouble(self) -> bool | None:
        """Apply the fault plan to this image: return True for a retry, False for a failure, else None."""
        again = self.state.faults.take(RetriedJob, self.job.index)
        if again is not None:
            self._retry(again.error, again.message)
            return True
        fault = self.state.faults.take(FailedJob, self.job.index)
        if fault is None:
            return None
        self.job.details = fault.details
        self._fail(fault.error, fault.message, fault.is_from_worker)
        return False

    def _retry(self, error: int | str, message: str) -> None:
        payload = {
            "imgID": self.job.image_id,
            "jobIndex": self.job.index,
            "attempt": self.job.attempt,
            "maxAttempts": max(_MAX_ATTEMPTS, self.job.attempt),
            "isFromWorker": True,
            "error": error,
            "error_message": message,
        }
        self.state.projects.retry(self.project, self.job, self.state.ids.uuid())
        self._send("jobRetry", payload)

    def _fail(self, error: int | str, message: str, from_worker: bool) -> None:
        self.job.error, self.job.message = error, message
        self.state.projects.end_job(self.project, self.job, "jobError", str(error))
        problem = {"isFromWorker": from_worker, "error": error, "error_message": message}
        self._send("jobError", {"imgID": self.job.image_id, **problem, **self.job.details})

    def _deliver(self) -> None:
        order, job = self.project.order, self.job
        job.nsfw = self.state.faults.take(FlaggedJob, job.index) is not None
        job.withheld = job.nsfw and not order.disable_safety
        if not job.withheld:
            product = self.state.kinds[order.media].result(order, job.seed, self.project.inputs)
            self.state.store.put_later(self._key("complete"), product.produce, product.content_type)
            if order.model.external:
                job.result_url = self.state.download_url(self._key("complete"), lifetime=EXTERNAL_URL_LIFETIME)
            if product.last_frame is not None:
                self.state.store.put_later(self._key("lastFrame"), product.last_frame, "image/png")
                job.last_frame_url = self.state.download_url(self._key("lastFrame"), lifetime=EXTERNAL_URL_LIFETIME)
        job.step = order.performed_steps
        self.state.projects.end_job(self.project, job, "jobCompleted", "jobCompleted")
        self._send("jobResult", self._result())

    def _result(self) -> dict[str, object]:
        """Return the payload of ``jobResult``. Regular results have no URL: the client requests one."""
        # Protocol notes: projects-4.2 §11.4.
        job = self.job
        result: dict[str, Any] = {
            "imgID": job.image_id,
            "jobIndex": job.index,
            "performedStepCount": job.step,
            "lastSeed": str(job.seed),
            "userCanceled": False,
            "triggeredNSFWFilter": job.withheld,
        }
        if job.nsfw and not job.withheld:
            result |= {"nsfwDetected": True, "nsfwSources": ["image"]}
        urls = {"resultUrl": job.result_url, "lastFrameUrl": job.last_frame_url}
        return result | present(urls)

    def _key(self, role: str) -> Key:
        return Key(self.project.id, self.job.image_id, role)

    def _send(self, type: str, payload: dict[str, Any]) -> None:
        self.state.publish(self.project, type, payload)


def _preview_stages(stages: int, previews: int) -> set[int]:
    """Spread the previews over the steps; the last step has none, because its result follows immediately."""
    return {max(1, round(stages * n / (previews + 1))) for n in range(1, previews + 1)} - {stages}


def _loras(request: Mapping[str, Any]) -> list[str]:
    loras = request["keyFrames"][0].get("loras")
    return [lora for lora in loras if isinstance(lora, str)] if isinstance(loras, list) else []


_MAX_PUBLISHED_POSITIONS = 10
_PUBLISH_INTERVAL = 0.1


@define(eq=False)
class WorkerPool:
    """Workers and the jobs that wait for them, oldest first."""

    state: State
    count: int
    pace: Pace
    _queue: deque[tuple[Project, Job]] = field(factory=deque)
    _waiting: dict[str, Project] = field(factory=dict)
    _busy: int = 0
    _seconds: float = 0.0
    """Seconds of all jobs that wait or run."""
    _waiting_seconds: float = 0.0
    """Seconds of the jobs of projects that wait."""
    _arrived: asyncio.Event = field(factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(factory=list)
    _position_task: asyncio.TimerHandle | None = None

    def __attrs_post_init__(self) -> None:
        self.state.start_seconds = self.start_seconds

    def start_seconds(self) -> float:
        """Return in how many seconds a worker is likely to start a project that arrives now."""
        free = len(self._queue) + self._busy < self.count
        return 0.0 if free else max(0.0, self._seconds / self.count)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._work(f"local-worker-{n + 1}")) for n in range(self.count)]

    async def stop(self) -> None:
        """Stop all workers and forget what waits for them."""
        if self._position_task is not None:
            self._position_task.cancel()
            self._position_task = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._queue.clear()
        self._waiting.clear()
        self._seconds = self._waiting_seconds = 0.0

    def add(self, project: Project) -> None:
        """Queue a project and notify its client of its position."""
        self._waiting[project.id] = project
        project.queue_position = len(self._waiting)
        project.start_seconds = self.start_seconds()
        project.job_seconds = self.pace.job_seconds(project.seconds, project.order.stages)
        self._seconds += project.job_seconds * len(project.jobs)
        self._waiting_seconds += project.job_seconds * len(project.jobs)
        if len(self._queue) + self._busy >= self.count or not self.pace.running.is_set():
            project.waiting_reason = {"reason": "queued", "message": WAIT_MESSAGES["queued"]}
        for rule in self.state.faults.take_all(WaitReason, len(project.jobs)):
            if rule.index is None:
                project.waiting_reason = rule.wire
            else:
                project.job_reasons[rule.index] = rule.wire
        self._publish_queued(project)
        self._queue.extend((project, job) for job in project.jobs)
        self._arrived.set()

    def queued_state(self, project: Project) -> dict[str, object]:
        """Return a ``jobState`` payload of type "queued"; positions count from 1."""
        # Protocol notes: transport §9.2.
        unserved = project.waiting_reason is not None and project.waiting_reason["reason"] == "no_workers"
        reasons = {name: value for name, value in project.reasons().items() if value}
        return {
            "type": "queued",
            "jobID": project.id,
            "queuePosition": project.queue_position,
            "estimatedStartSeconds": None if unserved else round(project.start_seconds, 1),
            "queueStatus": "no-workers" if unserved else "waiting",
            **reasons,
        }

    def _publish_queued(self, project: Project) -> None:
        self.state.publish(project, "jobState", self.queued_state(project))
        if project.waiting_reason or project.job_reasons:
            self.state.publish(project, "projectQueue", project.reasons())

    def cancel(self, project: Project | None) -> None:
        """Cancel a project at its client's request; what was not delivered is not charged."""
        if project is None or project.finished:
            return
        self._no_longer_waiting(project)
        for job in project.jobs:
            if not job.finished:
                self.state.projects.end_job(project, job, "jobError", "artistCanceled")
        project.end("cancelled", "artistCanceled", self.pace(), claimed=True)
        self._settle(project)

    def cancel_all(self) -> None:
        """Cancel every unfinished project."""
        for project in self.state.projects:
            self.cancel(project)

    async def _work(self, name: str) -> None:
        worker = Worker(name)
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            await self.pace.running.wait()
            # Another worker may have taken the last job in the meantime.
            if not self._queue:
                continue
            project, job = self._queue.popleft()
            if project.finished:
                self._seconds -= project.job_seconds
                continue
            if self._no_longer_waiting(project):
                self._publish_positions_soon()
            self._explain_rest(project, job)
            self._busy += 1
            try:
                retried = await JobRun(self.state, self.pace, project, job, worker).run()
            finally:
                self._busy -= 1
            if retried:
                self._queue.appendleft((project, job))
                continue
            self._seconds -= project.job_seconds
            if not project.finished and all(job.finished for job in project.jobs):
                self._finish(project)

    def _no_longer_waiting(self, project: Project) -> bool:
        waited = self._waiting.pop(project.id, None) is not None
        if waited:
            self._waiting_seconds -= project.job_seconds * len(project.jobs)
        return waited

    def _explain_rest(self, project: Project, job: Job) -> None:
        """Notify the client that the wait of a job is over, and that of its project."""
        if project.waiting_reason is None and job.index not in project.job_reasons:
            return
        project.waiting_reason = None
        project.job_reasons.pop(job.index, None)
        self.state.publish(project, "projectQueue", project.reasons())

    def _finish(self, project: Project) -> None:
        delivered = any(job.status == "jobCompleted" for job in project.jobs)
        if delivered:
            claimed = self.state.publish(project, "jobState", {"type": "jobCompleted"})
            project.end("completed", "allJobsCompleted", self.pace(), claimed=claimed)
        else:
            # Every job's error has been sent; a client that received the last one knows that the project failed.
            claimed = self.state.connections.find(project.account, project.app_id) is not None
            project.end("errored", str(project.jobs[-1].error), self.pace(), claimed=claimed)
        self._settle(project)

    def _settle(self, project: Project) -> None:
        paid = project.settled_cost()
        # One transaction: otherwise a crash in between would make a durable step pay twice.
        with self.state.archive.transaction():
            project.account.funds.settle(
                project.order.token, project.cost, paid, free_credits=project.free_credits, source_sid=str(project.sid)
            )
            if project.on_paid is not None:
                project.on_paid(paid)
        waiting = [it for it in self.state.connections.of(project.account) if it.models_withheld]
        if waiting and not self.state.projects.active(project.account):
            for connection in waiting:
                connection.models_withheld = False
                connection.send("swarmModels", self.state.catalogue.swarm_models(connection.network))
        self.state.recorder.notify()

    def _publish_positions_soon(self) -> None:
        if self._position_task is None:
            self._position_task = asyncio.get_running_loop().call_later(_PUBLISH_INTERVAL, self._publish_positions)

    def _publish_positions(self) -> None:
        """Notify the clients near the front of the queue of their new positions; notifying all would be too much."""
        self._position_task = None
        ahead = self._seconds - self._waiting_seconds
        for position, project in enumerate(self._waiting.values(), 1):
            changed = project.queue_position != position
            project.queue_position = position
            project.start_seconds = max(0.0, ahead / self.count)
            ahead += project.job_seconds * len(project.jobs)
            if changed and position <= _MAX_PUBLISHED_POSITIONS:
                self._publish_queued(project)
