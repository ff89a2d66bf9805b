"""The life of one job on a worker: load the model, render step by step, deliver or fail.

Called by the worker pool. It moves the job through its states and sends the frames that tell of it
(transport §9); the files are described here and made when somebody reads them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from attrs import define, field

from .projects import Job, Project
from .state import EXTERNAL_URL_LIFETIME, State
from .store import Key

_log = logging.getLogger(__name__)
_EXTERNAL_STAGES = 4
_MAX_ATTEMPTS = 3
_SLICE = 0.2
# Workers of long renders say at once how long it will take.
_TIMED = ("video", "audio")


class _CanceledError(Exception):
    """The project ended while a worker was busy with it."""


@define(eq=False)
class Pace:
    """How fast workers are: ``step_time`` seconds per step, 0 for as fast as possible. ``running`` is
    cleared to pause them."""

    step_time: float
    running: asyncio.Event = field(factory=asyncio.Event)

    async def wait(self, seconds: float, project: Project) -> None:
        await asyncio.sleep(seconds)
        await self.running.wait()
        if project.finished:
            raise _CanceledError


@define(eq=False)
class JobRun:
    """One attempt at one job."""

    state: State
    pace: Pace
    project: Project
    job: Job
    worker: str
    _eta_told: float = 0.0

    @property
    def _stages(self) -> int:
        """The number of progress frames. An external provider tells fractions instead of steps."""
        order = self.project.order
        return _EXTERNAL_STAGES if order.model.external else order.performed_steps

    async def run(self) -> bool:
        """Work until the job is done, failed or canceled. True when it has to be done again."""
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
            # A worker that stopped here would leave every later project waiting.
            _log.exception("the emulator could not render a job of project %s", self.project.id)
            self._fail("genfailure", "The worker failed", from_worker=True)
            return False

    async def _start(self) -> None:
        state = {"imgID": self.job.image_id, "workerName": self.worker, "jobIndex": self.job.index}
        await self.pace.wait(0, self.project)
        self.state.projects.begin(self.project, self.job, "initiatingModel", self.worker)
        self._send("jobState", {"type": "initiatingModel", **state})
        await self.pace.wait(self.pace.step_time, self.project)
        self.state.projects.begin(self.project, self.job, "jobStarted", self.worker)
        self._send("jobState", {"type": "jobStarted", **state})
        if self.project.order.media in _TIMED:
            self._tell_eta(self._stages * self.pace.step_time)

    async def _broken_input(self) -> str | None:
        if not self.project.inputs:
            return None
        kind = self.state.kinds[self.project.order.media]
        loop = asyncio.get_running_loop()
        problem = await loop.run_in_executor(self.state.store.executor, kind.broken_input, self.project.inputs)
        await self.pace.wait(0, self.project)
        return problem

    async def _render(self) -> bool:
        stages = self._stages
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
        """Let the time of one step pass, telling the remaining seconds about once a second."""
        clock, left = asyncio.get_running_loop().time, self.pace.step_time
        while True:
            part = min(left, _SLICE)
            await self.pace.wait(part, self.project)
            left -= part
            if left <= 1e-9:
                return
            if clock() - self._eta_told >= 1:
                self._tell_eta((remaining_steps - 1) * self.pace.step_time + left)

    def _tell_eta(self, seconds: float) -> None:
        self._eta_told = asyncio.get_running_loop().time()
        self._send("jobETA", {"imgID": self.job.image_id, "etaSeconds": round(seconds)})

    def _progress(self, stage: int, stages: int, has_image: bool) -> dict[str, Any]:
        eta = (stages - stage) * self.pace.step_time
        frame: dict[str, Any] = {
            "imgID": self.job.image_id,
            "hasImage": has_image,
            "etaSeconds": round(eta, 1),
        }
        frame |= {"etaMin": round(eta * 0.9, 1), "etaMax": round(eta * 1.2, 1)}
        if self.project.order.model.external:
            return {**frame, "progress": stage / stages}
        return {**frame, "step": stage, "stepCount": stages}

    def _offer_preview(self, done: float) -> bool:
        kind = self.state.kinds[self.project.order.media]
        product = kind.preview(self.project.order, self.job.seed, self.project.inputs, done)
        if product is None:
            return False
        self.state.store.put_later(self._key("preview"), product.produce, product.content_type)
        return True

    def _planned_trouble(self) -> bool | None:
        """Carry out what the fault plan has for this image: a retry gives True, a failure False."""
        again = self.state.faults.take_job(self.job.index, retry=True)
        if again is not None:
            self._retry(again.error or "workerDisconnected", again.message)
            return True
        fault = self.state.faults.take_job(self.job.index)
        if fault is None:
            return None
        self._fail(fault.error if fault.error is not None else "genfailure", fault.message, fault.is_from_worker)
        return False

    def _retry(self, error: int | str, message: str) -> None:
        abandoned, attempt = self.job.image_id, self.job.attempt
        self.state.projects.retry(self.project, self.job, self.state.chance.uuid())
        self._send(
            "jobRetry",
            {
                "imgID": abandoned,
                "jobIndex": self.job.index,
                "attempt": attempt,
                "maxAttempts": max(_MAX_ATTEMPTS, attempt),
                "isFromWorker": True,
                "error": error,
                "error_message": message,
            },
        )

    def _fail(self, error: int | str, message: str, from_worker: bool) -> None:
        self.job.error, self.job.message = error, message
        self.state.projects.end_job(self.project, self.job, "jobError", str(error))
        payload = {
            "imgID": self.job.image_id,
            "isFromWorker": from_worker,
            "error": error,
            "error_message": message,
        }
        self._send("jobError", payload)

    def _deliver(self) -> None:
        order, job = self.project.order, self.job
        job.nsfw = self.state.faults.take_job(job.index, nsfw=True) is not None
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

    def _result(self) -> dict[str, Any]:
        """The payload of ``jobResult``. Ordinary results carry no URL: the client asks for one (projects-4.2
        §11.4)."""
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
        if job.result_url is not None:
            result["resultUrl"] = job.result_url
        if job.last_frame_url is not None:
            result["lastFrameUrl"] = job.last_frame_url
        return result

    def _key(self, role: str) -> Key:
        return Key(self.project.id, self.job.image_id, role)

    def _send(self, type: str, payload: dict[str, Any]) -> None:
        self.state.publish(self.project, type, payload)


def _preview_stages(stages: int, previews: int) -> set[int]:
    """Spread the previews over the steps; the last step has none, its result follows at once."""
    return {max(1, round(stages * n / (previews + 1))) for n in range(1, previews + 1)} - {stages}
