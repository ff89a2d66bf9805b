"""Completions over the socket: from ``llmJobRequest`` to ``llmJobResult`` or ``llmJobError``.

Schedules the completions of all clients and resends what a reconnecting client has missed.
"""
# Protocol notes: chat §3, §14.2.

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

from attrs import define, field

from sogni.emulator.account.accounts import Account, decimal_text
from sogni.emulator.chat import completions as bills
from sogni.emulator.chat.agent import Agent, Session, library_of
from sogni.emulator.chat.completions import Bill, usage_of
from sogni.emulator.chat.models import LANGUAGE_MODELS
from sogni.emulator.chat.requests import ChatRequest, DeclinedError, check_frame
from sogni.emulator.chat.script import ChatFailure, Completion
from sogni.emulator.clock import Pace
from sogni.emulator.connections import RESTART, Connection
from sogni.emulator.faults import SocketDrop
from sogni.emulator.projects.request_checks import check_project_id
from sogni.emulator.state import State
from sogni.emulator.tools.media_library import ToolError

_log = logging.getLogger(__name__)
_MAX_PUBLISHED_POSITIONS = 10
"""Only the completions near the front of the queue are notified of its progress: notifying all would be too much."""


@define(eq=False)
class ChatJob:
    """One request. ``unwritten`` holds the frames, by number, that no socket has accepted; a reconnecting client
    receives them first.
    """

    id: str
    app_id: str
    chat_request: ChatRequest
    bill: Bill
    connection: Connection | None
    failure: ChatFailure | None = None
    worker: str | None = None
    position: int = 0
    tokens_sent: int = 0
    ended: bool = False
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    session: Session | None = None
    unwritten: dict[int, tuple[str, dict[str, Any]]] = field(factory=dict)
    _count: int = 0

    def usage(self, completion: Completion) -> dict[str, int]:
        return usage_of(self.chat_request, completion) if self.session is None else dict(self.session.usage)

    def settle(self, completion: Completion) -> dict[str, object]:
        """Charge the price, unless the rounds of a session were charged already, and return the ``cost`` of the
        result.
        """
        if self.session is None:
            return self.bill.settle(completion.output_tokens)
        usage = self.session.usage
        price = self.chat_request.model.price(usage["prompt_tokens"], usage["completion_tokens"])
        return price.settled(self.chat_request.token)

    def send(self, type: str, payload: Mapping[str, Any]) -> None:
        self._count += 1
        self.unwritten[self._count] = (type, {"jobID": self.id, **payload})
        self._write(self._count)

    def send_again(self) -> None:
        """Send what the previous connection did not accept."""
        for number in list(self.unwritten):
            self._write(number)

    def _write(self, number: int) -> None:
        connection, (kind, payload) = self.connection, self.unwritten[number]
        if connection is None:
            return
        if not connection.subscriptions.wants(kind):
            del self.unwritten[number]
            return

        def written() -> None:
            # A replaced connection may still write its queue, but its client is gone.
            if self.connection is connection:
                self.unwritten.pop(number, None)

        connection.send(kind, payload, written)


@define(eq=False)
class SocketJobs:
    """The completions of all clients, and the workers that make them."""

    state: State
    agent: Agent
    workers: int
    pace: Pace
    _jobs: dict[str, ChatJob] = field(factory=dict)
    _waiting: deque[ChatJob] = field(factory=deque)
    _free: deque[str] = field(init=False)
    _ended: dict[str, ChatJob] = field(factory=dict)
    """Those of which some frames may not have been written yet."""

    def __attrs_post_init__(self) -> None:
        self._free = deque(f"local-llm-{n + 1}" for n in range(self.workers))

    def swarm_models(self) -> dict[str, object]:
        """Return the payload of ``swarmLLMModels``."""
        return {name: model.info(self.workers) for name, model in LANGUAGE_MODELS.items()}

    # Requests

    def request(self, connection: Connection, payload: Any) -> None:
        """Handle an ``llmJobRequest`` frame."""
        job_id = payload.get("jobID") if isinstance(payload, dict) else None
        if not isinstance(job_id, str) or not job_id:
            self.state.recorder.violation(
                "llmJobRequest $.jobID", "must be a string; the refusal cannot be sent without it"
            )
            return
        problem = check_project_id(job_id)
        if problem is not None:
            self.state.recorder.violation("llmJobRequest $.jobID", problem)
        if job_id.upper() in self._jobs:
            self.state.recorder.violation("llmJobRequest $.jobID", "is the ID of a running completion")
            return
        try:
            self._accept(connection, job_id.upper(), payload)
        except DeclinedError as error:
            connection.send("llmJobError", {"jobID": job_id.upper(), **error.frame()})

    def _accept(self, connection: Connection, id: str, payload: Mapping[str, Any]) -> None:
        checked = check_frame(payload)
        for finding in checked.findings:
            self.state.recorder.violation(f"llmJobRequest {finding.where}", finding.message)
        if checked.chat_request is None:
            raise DeclinedError(checked.error, checked.message)
        chat_request = checked.chat_request
        failure = self.agent.completer.script.take(ChatFailure, chat_request)
        if failure is not None and failure.after_tokens is None:
            raise failure.to_error()
        job = ChatJob(
            id, connection.app_id, chat_request, Bill.open(connection.account, chat_request), connection, failure
        )
        self._jobs[id] = job
        job.send("jobState", {"type": "pending", **self._estimate(job)})
        drop = self.state.faults.take(SocketDrop, "request_received", -1)
        if drop is not None:
            connection.end(drop.code)
        job.position = len(self._waiting) + 1
        job.send("jobState", {"type": "queued", "queuePosition": job.position, **self._estimate(job)})
        self._waiting.append(job)
        self._serve_next()

    def _estimate(self, job: ChatJob) -> dict[str, object]:
        estimated = bills.estimate(job.chat_request).in_token(job.chat_request.token)
        return {"modelId": job.chat_request.model.id, "estimatedCost": decimal_text(estimated)}

    # Workers

    def _serve_next(self) -> None:
        while self._free and self._waiting:
            job, worker = self._waiting.popleft(), self._free.popleft()
            job.worker = worker
            job.task = asyncio.get_running_loop().create_task(self._run(job))
            # A callback runs even if the task is canceled before its first step.
            job.task.add_done_callback(partial(self._release, worker))
        for position, job in enumerate(islice(self._waiting, _MAX_PUBLISHED_POSITIONS), 1):
            if job.position != position:
                job.position = position
                job.send("jobState", {"type": "queued", "queuePosition": position, **self._estimate(job)})

    def _release(self, worker: str, _: object) -> None:
        self._free.append(worker)
        self._serve_next()

    async def _run(self, job: ChatJob) -> None:
        try:
            await self.pace.running.wait()
            job.send("jobState", {"type": "assigned", "workerName": job.worker})
            job.send("jobState", {"type": "jobStarted", "workerName": job.worker})
            started = asyncio.get_running_loop().time()
            completion = await self._answer(job)
            await self._publish(job, completion)
            if job.failure is not None:
                raise job.failure.to_error()
            taken = asyncio.get_running_loop().time() - started
            self._end(job, "llmJobResult", self._result(job, completion, taken))
        except DeclinedError as error:
            job.bill.refund()
            self._end(job, "llmJobError", {**error.frame(), "workerName": job.worker})
        except Exception as error:
            # A scripted answer that raises ends its own completion, not the worker.
            _log.exception("the emulator could not answer the completion %s", job.id)
            job.bill.refund()
            server_error = DeclinedError("server_error", f"The worker failed: {type(error).__name__}")
            self._end(job, "llmJobError", {**server_error.frame(), "workerName": job.worker})

    async def _answer(self, job: ChatJob) -> Completion:
        """Generate the answer, or run a session with tools, whose rounds are charged one by one."""
        chat_request = job.chat_request
        if not chat_request.execute_tools or chat_request.sogni_tools is None:
            return await self.agent.completer.think(chat_request, f"call-{job.id[:8].lower()}")
        job.bill.refund()
        try:
            library = await library_of(self.agent.tools, chat_request)
        except ToolError as refused:
            raise DeclinedError("invalid_request", refused.message) from refused
        job.session = Session(job.bill.account, chat_request, job.id, library)
        return await self.agent.run(job.session)

    async def _publish(self, job: ChatJob, completion: Completion) -> None:
        """Send each piece when it is due: the role first, the finish reason and the usage last."""
        job.send("jobTokens", {"role": "assistant", "content": "", "finishReason": None})
        async for piece in self.agent.completer.paced(job.chat_request, completion, job.failure):
            await self.pace.running.wait()
            job.tokens_sent += 1
            job.send("jobTokens", {**piece, "finishReason": None})
        if job.failure is None:
            usage = job.usage(completion)
            job.send("jobTokens", {"content": "", "finishReason": completion.finish_reason, "usage": usage})

    def _result(self, job: ChatJob, completion: Completion, seconds: float) -> dict[str, object]:
        return {
            "usage": job.usage(completion),
            "timeTaken": round(seconds, 3),
            "cost": job.settle(completion),
            "workerName": job.worker,
        }

    def _end(self, job: ChatJob, type: str, payload: Mapping[str, Any]) -> None:
        job.ended = True
        self._ended[job.id] = job
        job.send(type, payload)
        self.state.recorder.notify()
        self._forget_done()

    def _forget_done(self) -> None:
        for job in list(self._ended.values()):
            if not job.unwritten:
                self._forget(job.id)

    # Connections

    def alive(self, account: Account, app_id: str) -> list[str]:
        """Return the IDs of the completions that continue on a client's new connection."""
        self._forget_done()
        return [job.id for job in self._of(account, app_id)]

    def _of(self, account: Account, app_id: str) -> list[ChatJob]:
        return [job for job in self._jobs.values() if job.bill.account is account and job.app_id == app_id]

    def attach(self, connection: Connection) -> None:
        """Resume a client's completions: first what it has missed, then what follows."""
        for job in self._of(connection.account, connection.app_id):
            job.connection = connection
            if job.timer is not None:
                job.timer.cancel()
                job.timer = None
            job.send_again()

    def detach(self, connection: Connection) -> None:
        """Keep the completions of a disconnected client for a while; a restart discards them."""
        # Protocol notes: chat §14.2.
        self._forget_done()
        for job in list(self._jobs.values()):
            if job.connection is not connection:
                continue
            job.connection = None
            if connection.end_code == RESTART:
                job.bill.refund()
                self._abandon(job)
            else:
                loop = asyncio.get_running_loop()
                job.timer = loop.call_later(self.agent.completer.script.kept_seconds, self._abandon, job)

    def _abandon(self, job: ChatJob) -> None:
        """Stop a completion whose client did not return; what was sent is charged."""
        if not job.ended:
            job.bill.settle(job.tokens_sent)
        if job.task is not None:
            job.task.cancel()
        elif job in self._waiting:
            self._waiting.remove(job)
        self._forget(job.id)

    def _forget(self, id: str) -> None:
        self._ended.pop(id, None)
        job = self._jobs.pop(id, None)
        if job is not None and job.timer is not None:
            job.timer.cancel()

    def cancel_all(self) -> None:
        """Cancel every completion and free its reservation."""
        for job in list(self._jobs.values()):
            job.bill.refund()
            self._abandon(job)

    async def stop(self) -> None:
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        self.cancel_all()
        await asyncio.gather(*tasks, return_exceptions=True)
