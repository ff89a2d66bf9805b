"""The workers: who renders next, and what the queue looks like to those who wait.

Called by the intake. Workers go on when a client is away. One job's life is in ``job_run``; here is only the
order of jobs and the end of projects.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from attrs import define, field

from .job_run import JobRun, Pace
from .projects import Job, Project
from .state import State

_TOLD_POSITIONS = 10
_TELL_EVERY = 0.1


@define(eq=False)
class WorkerPool:
    """A number of workers and the jobs that wait for them, oldest first."""

    state: State
    count: int
    pace: Pace
    _queue: deque[tuple[Project, Job]] = field(factory=deque)
    _waiting: dict[str, Project] = field(factory=dict)
    _arrived: asyncio.Event = field(factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(factory=list)
    _telling: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._work(f"local-worker-{n + 1}")) for n in range(self.count)]

    async def stop(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, project: Project) -> None:
        """Queue a project and tell its client the place in the queue."""
        self._waiting[project.id] = project
        project.queue_position = len(self._waiting)
        self.state.publish(project, "jobState", self.queued_state(project))
        self._queue.extend((project, job) for job in project.jobs)
        self._arrived.set()

    def queued_state(self, project: Project) -> dict[str, Any]:
        """A ``jobState`` payload of type "queued"; positions count from 1 (transport §9.2)."""
        ahead = max(0, project.queue_position - 1)
        return {
            "type": "queued",
            "jobID": project.id,
            "queuePosition": project.queue_position,
            "estimatedStartSeconds": round(ahead * self.pace.step_time * 5 / self.count, 1),
            "queueStatus": "waiting",
        }

    def cancel(self, project: Project | None) -> None:
        """End a project on its client's wish; what was not delivered is not paid."""
        if project is None or project.finished:
            return
        self._waiting.pop(project.id, None)
        for job in project.jobs:
            if not job.finished:
                self.state.projects.end_job(project, job, "jobError", "artistCanceled")
        self.state.projects.end(project, "cancelled", "artistCanceled", claimed=True)
        self._settle(project)

    def cancel_all(self) -> None:
        """End every unfinished project."""
        for project in self.state.projects:
            self.cancel(project)

    async def _work(self, name: str) -> None:
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            await self.pace.running.wait()
            # Another worker may have taken the last job meanwhile.
            if not self._queue:
                continue
            project, job = self._queue.popleft()
            if project.finished:
                continue
            if self._waiting.pop(project.id, None) is not None:
                self._tell_positions_soon()
            retried = await JobRun(self.state, self.pace, project, job, name).run()
            if retried:
                self._queue.appendleft((project, job))
            elif not project.finished and all(job.finished for job in project.jobs):
                self._finish(project)

    def _finish(self, project: Project) -> None:
        delivered = any(job.status == "jobCompleted" for job in project.jobs)
        if delivered:
            claimed = self.state.publish(project, "jobState", {"type": "jobCompleted"})
            self.state.projects.end(project, "completed", "allJobsCompleted", claimed=claimed)
        else:
            # Each job's error has been sent; a client that heard the last one knows that the project failed.
            claimed = self.state.connections.find(project.account, project.app_id) is not None
            reason = str(project.jobs[-1].error)
            self.state.projects.end(project, "errored", reason, claimed=claimed)
        self._settle(project)

    def _settle(self, project: Project) -> None:
        paid = project.settled_cost()
        # A kill between the two would let a durable step pay again for what it has paid.
        with self.state.archive.together():
            project.account.settle(project.order.token, project.cost, paid, source_sid=str(project.sid))
            if project.on_paid is not None:
                project.on_paid(paid)
        if not self.state.projects.active(project.account):
            for connection in self.state.connections.of(project.account):
                if connection.models_withheld:
                    connection.models_withheld = False
                    connection.send("swarmModels", self.state.catalogue.swarm_models(connection.network))
        self.state.journal.notify()

    def _tell_positions_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_TELL_EVERY, self._tell_positions)

    def _tell_positions(self) -> None:
        """Tell those near the front how they moved up; all would be too many, for every start moves
        everybody."""
        self._telling = None
        for position, project in enumerate(self._waiting.values(), 1):
            moved = project.queue_position != position
            project.queue_position = position
            if moved and position <= _TOLD_POSITIONS:
                self.state.publish(project, "jobState", self.queued_state(project))
