"""One project: decides what its frames mean for it, its jobs and whoever waits (projects-4.2 §11, §12).

Fed by the client state with frames of this project in the order of arrival. It tells through the
outbox and does nothing itself. The first end counts: nothing reopens a finished project or job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from attrs import evolve

from ..models.events import ErrorData, EtaRange
from . import chores
from .job_errors import error_data, read_number
from .job_state import JobState
from .outbox import Outbox
from .project_facts import ProjectFacts
from .provenance import read_provenance


class ProjectState(ProjectFacts):
    """A project and the frames that change it."""

    __slots__ = ()

    # -- frames ----------------------------------------------------------------

    def join(self, out: Outbox, listening: Any) -> None:
        """Become part of a client: a restored project had none. Who listens to it already is heard from now on."""
        if self.listening and not listening:
            listening.append(True)
        self._shift(self.out.epoch - out.epoch)
        self.out, self.listening = out, listening

    def _shift(self, seconds: float) -> None:
        """Move to another clock: what stood at 0 there stands at `seconds` here."""
        self.heard_at += seconds
        self.sent_at += seconds
        self.settled_at += seconds
        self.eta_at = None if self.eta_at is None else self.eta_at + seconds
        for job in self.jobs.values():
            if job.eta_at is not None and job.eta_started_at is not None:
                job.eta_at, job.eta_started_at = job.eta_at + seconds, job.eta_started_at + seconds

    def abandon(self) -> None:
        """The request was never written: nobody is to hear of this project."""
        self.abandoned = True
        self.request = None

    def alive(self, now: float) -> None:
        """The service spoke of this project without saying anything new."""
        self._hear(now)

    def queued(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobState` `queued`: the place in the queue."""
        self._hear(now)
        for job in self.tally.working:
            job.stop_clock()  # time in the queue is no time of work (projects-5x §11)
        self.tally.working.clear()
        if self.ended or self.status == "processing":
            return
        names = set()
        if self.status != "queued":
            self.status = "queued"
            names.add("status")
        position = payload.get("queuePosition")
        if type(position) is int and position != self.queue_position:
            self.queue_position = position
            names.add("queue_position")
        self._updated(names, now)

    def completed(self, now: float, *, sync: bool = True, extra: Mapping[str, Any] | None = None) -> None:
        """`jobState` `jobCompleted`: the service is done with the project; its record is read after it."""
        self._hear(now)
        if self.ended:
            return
        self.status = "completed"
        self._updated({"status"}, now)
        if sync:
            self.out.begin(chores.SyncProject(self.id))
        self.announce_end("completed", extra=extra)

    def overrule(self, status: str, error: ErrorData, now: float) -> None:
        """The record says otherwise before anybody was told of the end; running jobs share it (projects-5x §8)."""
        if self.settled:
            if self.status == status:
                self._fail_jobs(self.error or error, now)
                self.announce_end("error", self.error)
            return
        self.status = "processing"  # not "completed" any more, or the last of its jobs would settle it as that
        self._fail_jobs(error, now)
        if not self.settled:
            self.status, self.error = status, error
            self._updated({"status", "error"}, now)
        self.announce_end("error", self.error)

    def settle_anyway(self, now: float) -> None:
        """Nothing more will come: jobs without an end have failed, and the project is what it is.

        As long as addresses of results are being asked for, it waits for the last of them.
        """
        self.concluded = True
        if self.tally.unsigned:
            return
        self._fail_jobs(ErrorData(code=0, message="the service has no result of this job"), now)
        self.check_settled(now, anyway=True)

    def _fail_jobs(self, error: ErrorData, now: float) -> None:
        """Fail every job without an end, save those whose result only lacks its address."""
        for job in list(self.jobs.values()):
            if not job.ended and job.signing is None:
                self.end_job(job, "failed", error, now)

    def counted(self, images: int | None, steps: int | None, previews: int | None) -> None:
        """The record's counts outrank those that were asked for (projects-4.2 §14.3)."""
        counts = {"number_of_media": images, "steps": steps, "number_of_previews": previews}
        known = {name for name in counts if hasattr(self.params, name)}
        self.params = evolve(self.params, **{name: counts[name] for name in known if counts[name] is not None})
        if images and not self.settled:
            self.number_of_media = images

    def recorded(self, job: JobState, found: Any, now: float) -> None:
        """Facts of a record that a frame did not bring; an end once reached stays."""
        names = job.change(
            step=job.step if found.performed_steps is None else found.performed_steps,
            worker_name=(found.worker.name if found.worker else None) or job.worker_name,
            seed=job.seed if _whole(found.seed_used) is None else _whole(found.seed_used),
        )
        self._job_changed(job, names, now)

    def fail(self, error: ErrorData, now: float, *, sync: bool = False) -> None:
        """The project failed as a whole; that may be said after its last job failed, and is news then."""
        self._hear(now)
        if not self.ended:
            self.status, self.error = "failed", error
            self._updated({"status", "error"}, now)
            if sync:
                self.out.begin(chores.SyncProject(self.id))
        if self.status == "failed":
            self.announce_end("error", error)

    def job_begins(self, payload: Mapping[str, Any], now: float, *, started: bool) -> None:
        """`initiatingModel` or `jobStarted`: a worker has the job."""
        self._hear(now)
        job = self._unfinished(payload, now)
        if job is None:
            return
        index = payload.get("jobIndex")
        names = job.change(
            status="processing" if started else "initiating",
            worker_name=_text(payload.get("workerName")),
            positive_prompt=_text(payload.get("positivePrompt")),
            negative_prompt=_text(payload.get("negativePrompt")),
            job_index=index if type(index) is int else job.job_index,
        )
        if "job_index" in names:
            self.tally.indexed(job)
        if started:
            self._begin_work()
        self._job_changed(job, names, now)

    def job_progressed(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobProgress`: steps, a fraction, an estimate, a preview."""
        self._hear(now)
        job = self._unfinished(payload, now)
        if job is None:
            return
        names = set()
        step, count, fraction = payload.get("step"), payload.get("stepCount"), payload.get("progress")
        if job.status != "processing":
            job.status = "processing"
            names.add("status")
        if type(step) is int and job.step < step <= _MOST:
            job.step = step
            names.add("step")
        if type(count) is int and job.step_count != count <= _MOST:
            job.step_count = count
            names.add("step_count")
        if _is_number(fraction) and fraction != job.external_progress:
            job.external_progress = fraction
            names.add("external_progress")
        low, high = payload.get("etaMin"), payload.get("etaMax")
        if _is_number(low) and _is_number(high) and high > 0:
            names |= job.change(eta_range=EtaRange(min=low, max=high))
        self._begin_work()
        if self.status != "processing" and not self.ended:
            self.status = "processing"
            self._job_changed(job, names, now, {"status"})
        else:
            self._job_changed(job, names, now)
        if payload.get("hasImage") is True:
            self.out.begin(chores.SignPreview(self.id, job.id))

    def job_eta(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobETA`: seconds left; one without a job keeps the project alive and says no more."""
        self._hear(now)
        seconds = payload.get("etaSeconds")
        if not _is_number(seconds):
            return
        job = self._unfinished(payload, now)
        if job is None:
            return
        job.eta_started_at = now if job.eta_started_at is None else job.eta_started_at
        job.eta_at, job.eta_seconds = now + seconds, math.floor(seconds + 0.5)
        latest = self.tally.latest(job)
        extra = {"eta"} if latest != self.eta_at else set()
        self.eta_at = latest
        self._job_changed(job, {"eta", "eta_seconds"}, now, extra)

    def job_result(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobResult`: the job is done; without an address one is asked for first (projects-4.2 §11.4)."""
        self._hear(now)
        known = self.jobs.get(payload.get("imgID") or "")
        if self.settled or (known is not None and known.status in ("failed", "canceled")):
            self._late_result(known, payload, now)
            return
        if not payload.get("imgID"):
            return
        job = self._job(payload, now)
        self._begin_work()
        url = next(filter(None, (_text(payload.get(name)) for name in ("resultUrl", "videoUrl", "videoFile"))), None)
        if job.signing is not None and not url:
            return
        withheld = payload.get("triggeredNSFWFilter") is True and payload.get("nsfwDetected") is not True
        if getattr(self.params, "disable_nsfw_filter", False):
            withheld = False
        if job.ended:
            # A repeated result: its address is the newer one, the end stays what it was.
            self._job_changed(job, job.change(result_url=url or job.result_url), now)
        elif url or withheld or payload.get("userCanceled"):
            self.job_done(job, payload, url, now)
        else:
            job.signing = dict(payload)
            self.tally.unsigned[job] = None
            if not self.signing:
                self.signing = True
                self.out.begin(chores.SignResults(self.id))

    def unsigned(self, now: float) -> list[tuple[JobState, dict[str, Any]]]:
        """The jobs that wait for the URL of their result, in the order of their frames, each with its frame.

        If there is none any more, nothing keeps a project that is over from being settled.
        """
        waiting = [(job, job.signing) for job in self.tally.unsigned if job.signing is not None]
        self.signing = bool(waiting)
        if self.concluded and not waiting:
            self.settle_anyway(now)
        return waiting

    def signing_died(self, error: ErrorData, now: float) -> None:
        """Nobody requests URLs any more: the jobs that wait for one fail."""
        self.signing = False
        for job in list(self.tally.unsigned):
            self.end_job(job, "failed", error, now)
        if self.concluded:
            self._end_with(error, now)

    def abort(self, error: ErrorData, now: float) -> None:
        """Work for this project died: every unfinished job fails, and the project too unless it has results."""
        self.signing = False
        for job in self.tally.unsigned:
            job.end_signing()
        self.tally.unsigned.clear()
        self._end_with(error, now)

    def _end_with(self, error: ErrorData, now: float) -> None:
        if self.status == "completed" and self.result_urls:
            self._fail_jobs(error, now)
            self.settle_anyway(now)
        else:
            self.overrule("failed", error, now)

    def _late_result(self, job: JobState | None, payload: Mapping[str, Any], now: float) -> None:
        """A result after the end: the steps count, the end does not change."""
        step = _count(payload.get("performedStepCount"))
        if job is not None and job.status == "failed" and step is not None:
            self._job_changed(job, job.change(step=step), now)

    def job_done(self, job: JobState, payload: Mapping[str, Any], url: str | None, now: float) -> None:
        """Apply a result, its address known or given up."""
        job.end_signing()
        job.stop_clock()
        if job.ended:
            return
        canceled = bool(payload.get("userCanceled"))
        step, seed = _count(payload.get("performedStepCount")), _whole(payload.get("lastSeed"))
        sources = payload.get("nsfwSources")
        names = job.change(
            status="canceled" if canceled else "completed",
            step=(job.step_count or job.step) if step is None else step,
            seed=job.seed if seed is None else seed,
            result_url=url,
            last_frame_url=_text(payload.get("lastFrameUrl")),
            provenance=read_provenance(payload),
            is_nsfw=bool(payload.get("triggeredNSFWFilter")),
            nsfw_detected=bool(payload.get("nsfwDetected")),
            nsfw_sources=tuple(filter(_text, sources)) if isinstance(sources, list) else (),
            user_canceled=canceled,
        )
        self.tally.end(job)
        self._job_changed(job, names, now)
        if self.concluded:
            self.settle_anyway(now)

    def job_failed(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobError` with a job: it failed, and the project with it when it was the last (projects-4.2 §11.5)."""
        self._hear(now)
        job = self._unfinished(payload, now)
        if job is not None:
            self._begin_work()
            self.end_job(job, "failed", error_data(payload), now)

    def end_job(self, job: JobState, status: str, error: ErrorData | None, now: float) -> None:
        """End a job without a result."""
        job.end_signing()
        job.stop_clock()
        names = job.change(status=status, error=error)
        self.tally.end(job)
        extra = set()
        every = len(self.jobs) >= self.number_of_media and self.tally.failed == len(self.jobs)
        if status == "failed" and not self.ended and (self.number_of_media == 1 or every):
            self.status, self.error = "failed", error
            extra = {"status", "error"}
        self._job_changed(job, names, now, extra)
        if status == "failed":
            self._announce_failure(job)

    def job_canceled(self, job_id: str, now: float) -> None:
        """A job was canceled, which fails nothing."""
        job = self._unfinished({"imgID": job_id}, now)
        if job is not None:
            self.end_job(job, "canceled", None, now)

    def job_retried(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobRetry`: the render was queued again, which is no failure (projects-5x §12)."""
        self._hear(now)
        index = payload.get("jobIndex")
        job = self.jobs.get(payload.get("imgID") or "")
        if job is None and index is not None:
            job = self.tally.at_index(index)
        if job is None or job.ended or self.settled:
            return
        job.retrying = True
        names = job.begin_again()
        self._begins_again(job)
        self.tally.retries(job)
        if type(index) is int:
            names |= job.change(job_index=index)
            self.tally.indexed(job)
        self._job_changed(job, names, now)

    def previewed(self, job: JobState, url: str, now: float) -> None:
        """The address of a preview is known."""
        if job.ended:
            return
        names = job.change(preview_url=url)
        if self.listening:
            self.out.tell(job.listeners, "preview", url)
        self._job_changed(job, names, now)

    def cancel(self, now: float) -> None:
        """The service confirmed a cancellation."""
        if self.ended:
            return
        for job in list(self.jobs.values()):
            if not job.ended:
                self.end_job(job, "canceled", None, now)
        self.status = "canceled"
        self._updated({"status"}, now)

    # -- what follows from a change --------------------------------------------

    def _hear(self, now: float) -> None:
        self.heard_at = now
        self.strikes = 0
        if not self.acknowledged:
            self.acknowledged = True
            self.request = None

    def _begin_work(self) -> None:
        if not self.work_began:
            self.work_began = True
            self.out.wake(self)

    def _unfinished(self, payload: Mapping[str, Any], now: float) -> JobState | None:
        """The job a frame may still change; None when it names none, and after an end: nothing is announced then."""
        if self.settled or not payload.get("imgID"):
            return None
        job = self._job(payload, now)
        return None if job.ended else job

    def _job(self, payload: Mapping[str, Any], now: float) -> JobState:
        """The job a frame is about; one that runs again is recognised, a new one is announced."""
        job_id = payload["imgID"]
        job = self.jobs.get(job_id)
        if job is not None:
            return job
        again = self._retried_as(payload.get("jobIndex"))
        if again is not None:
            before = again.id
            names = again.begin_again(job_id)
            self.renamed(again, before)
            self._begins_again(again)
            self._job_changed(again, names, now)
            return again
        return self.add_job(JobState(self, job_id, self.steps), now)

    def _begins_again(self, job: JobState) -> None:
        self.tally.unsigned.pop(job, None)
        self.tally.working.pop(job, None)

    def _retried_as(self, index: Any) -> JobState | None:
        return self.tally.at_index(index) or self.tally.only_retrying()

    def add_job(self, job: JobState, now: float) -> JobState:
        """Add a job and announce it."""
        job.place = len(self.jobs)
        self.jobs[job.id] = job
        self._emit("job_started", job)
        self._updated({"jobs"}, now)
        return job


_MOST = 2**53 - 1
"""The largest number JSON carries exactly; what is above it is nobody's count."""
_FAR = 1e9
"""Seconds or percent beyond which a number means nothing, and dates end."""


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and -_FAR <= value <= _FAR


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    """A seed, also one sent as text; kept exact where a double would lose digits."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        number = read_number(value) if isinstance(value, str) else None
        return int(number) if number is not None and number.is_integer() else None
